"""`serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from bot.commands.running import run_command

if TYPE_CHECKING:
    from core.settings import CoreSettings


def serve(role: str) -> None:
    async def work(settings: CoreSettings) -> None:
        from bot import server

        await server.serve(cast("Literal['all', 'ingress', 'worker']", role))

    run_command(work)
