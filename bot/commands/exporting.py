"""`export turns` and `export feedback`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bot.commands.running import run_command, write_line

if TYPE_CHECKING:
    from core.settings import CoreSettings


def export(what: Literal["turns", "feedback"]) -> None:
    """One JSON object a line on stdout, as it is read."""

    async def work(settings: CoreSettings) -> None:
        from bot.stores import open_stores

        async with open_stores(settings) as stores:
            if what == "turns":
                async for turn in stores.turns.export():
                    write_line(turn.model_dump_json())
            else:
                async for feedback in stores.feedback.export():
                    write_line(feedback.model_dump_json())

    run_command(work)
