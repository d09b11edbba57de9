"""`serve`."""

from __future__ import annotations

from typing import Literal, cast

from bot.commands.running import run_command


def serve(role: str) -> None:
    from bot import server

    run_command(lambda: server.serve(cast("Literal['all', 'ingress', 'worker']", role)), quiet=False)
