"""`export turns` and `export feedback`."""

from __future__ import annotations

from typing import Literal

from bot.commands.running import run_command, write_line


def export(what: Literal["turns", "feedback"]) -> None:
    """One JSON object a line on stdout, as it is read."""

    async def work() -> None:
        from bot.bootstrap import open_application

        async with open_application(platforms=()) as app:
            if what == "turns":
                async for turn in app.turns.export():
                    write_line(turn.model_dump_json())
            else:
                async for feedback in app.feedback.export():
                    write_line(feedback.model_dump_json())

    run_command(work)
