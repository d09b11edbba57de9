"""`make bench`: a bare bot, one of the given parts alone, and Threadlore in turn, on the same loopback platforms and
the same loopback model, in one run. Every figure is a ratio to the bare bot or measured beside its aim; nothing here
is a test."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.measures import Figures, measure, measure_long_thread
from benchmarks.platforms import Discord, Slack
from benchmarks.processes import BotProcess
from benchmarks.world import (
    environment_of,
    running,
    say,
    take_documents_in,
    until_connected,
    until_ready,
)
from bot.testing.discord_server import DiscordServer
from bot.testing.slack import SlackServer
from core.testing.model_server import ModelServer

HELP_RUNS = 5


@dataclass
class Report:
    """What came out. `aims`: (what, value, unit, and the aim where there is one)."""

    floors: dict[str, Figures] = field(default_factory=dict)
    parts: dict[str, Figures] = field(default_factory=dict)
    ours: dict[str, Figures] = field(default_factory=dict)
    aims: list[tuple[str, float, str, float | None]] = field(default_factory=list)


class Row(NamedTuple):
    """A figure that every bot has, and how many times the floor's it should be at most."""

    what: str
    unit: str
    read: Callable[[Figures], float]
    aim: float | None = None


ROWS = (
    Row("event to final answer, median", "ms", lambda bot: bot.to_answer_ms, 4.0),
    Row("event to model request, median", "ms", lambda bot: bot.to_model_ms),
    Row("CPU per turn, the bot", "ms", lambda bot: bot.cpu_ms, 6.0),
    Row("CPU per turn, with its Postgres", "ms", lambda bot: bot.cpu_ms + bot.server_cpu_ms),
    Row("200 at once, 2 s model", "s", lambda bot: bot.burst_seconds, 2.0),
)


class Bench:
    """The loopback world and the bots in it. Each has a Slack of its own: what one does not acknowledge would be
    delivered again to the next."""

    def __init__(self, model: ModelServer, home: Path) -> None:
        self.model = model
        self.home = home
        self.environment = environment_of(model, home)

    def discord_settings(self, discord: DiscordServer) -> dict[str, str]:
        return {
            "DISCORD_TOKEN": discord.token,
            "DISCORD_API_URL": discord.api_url,
            "DISCORD_GATEWAY_URL": discord.gateway_url,
        }

    def threadlore(self, platform_settings: dict[str, str], *, chat_model: bool = True) -> BotProcess:
        environment = self.environment | platform_settings
        if not chat_model:
            del environment["CHAT_MODEL"]
        return BotProcess("bot", ["serve"], environment, server_of=self.home)

    async def run(self) -> Report:
        report = Report()
        say("floor on Slack")
        async with SlackServer(echoes=False) as slack:
            floor = BotProcess("benchmarks.floor_slack", [], self.environment | slack.environment())
            async with running(floor):
                await until_connected(slack)
                report.floors["slack"] = await measure(Slack(slack), floor, self.model)
        say("floor on Discord")
        async with DiscordServer() as discord:
            floor = BotProcess(
                "benchmarks.floor_discord", [], self.environment | self.discord_settings(discord)
            )
            async with running(floor):
                await until_ready(discord)
                report.floors["discord"] = await measure(
                    Discord(discord, marks_final=False), floor, self.model
                )
        say("Threadlore takes its documents in")
        await take_documents_in(self.home)
        say("the given parts alone, on Slack")
        async with SlackServer(echoes=False) as slack:
            environment = self.environment | slack.environment()
            parts = BotProcess("benchmarks.parts_slack", [], environment, server_of=self.home)
            async with running(parts):
                await until_connected(slack)
                megabytes = parts.memory_megabytes()
                report.aims.append(("resident memory when ready, the given parts", megabytes, "MB", None))
                report.parts["slack"] = await measure(Slack(slack), parts, self.model)
        await self._measure_threadlore(report)
        return report

    async def _measure_threadlore(self, report: Report) -> None:
        async with SlackServer(echoes=False) as slack:
            await self._measure_on_slack(slack, report)
        say("Threadlore on Discord")
        async with DiscordServer() as discord:
            bot = self.threadlore(self.discord_settings(discord))
            async with running(bot, "is ready"):
                await until_ready(discord)
                report.ours["discord"] = await measure(Discord(discord, marks_final=True), bot, self.model)
        report.aims.append(("threadlore --help", await time_help(), "s", 0.5))

    async def _measure_on_slack(self, slack: SlackServer, report: Report) -> None:
        say("Threadlore on Slack, without a model")
        bot = self.threadlore(slack.environment(), chat_model=False)
        async with running(bot, "is ready"):
            megabytes = bot.memory_megabytes()
            report.aims.append(("resident memory when ready, no chat model", megabytes, "MB", 250.0))
        say("Threadlore on Slack")
        bot = self.threadlore(slack.environment())
        async with running(bot, "is ready") as start:
            report.aims.append(("ready, on a later start", start, "s", 5.0))
            # What calls the model is loaded after that.
            megabytes = await bot.settled_memory_megabytes()
            report.aims.append(("resident memory when ready, OpenAI model", megabytes, "MB", 250.0))
            platform = Slack(slack)
            report.ours["slack"] = await measure(platform, bot, self.model)
            report.aims.append(("resident memory after 200 at once", bot.memory_megabytes(), "MB", 250.0))
            platform.forget()
            early, late = await measure_long_thread(platform)
            report.aims.append(("turn 100 of a thread, to turn 2", late / early, "x", 1.2))


async def time_help() -> float:
    """Median seconds of `threadlore --help`."""
    times = []
    for _ in range(HELP_RUNS):
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", "--help", stdout=asyncio.subprocess.DEVNULL
        )
        await process.wait()
        times.append(time.monotonic() - began)
    return statistics.median(times)


def show(report: Report) -> None:
    """The table of ratios, each beside its aim."""
    console = Console()
    table = Table("what", "platform", "floor", "the given parts", "Threadlore", "aim")
    for name, floor in report.floors.items():
        for row in ROWS:
            cells = [f"{row.read(floor):.1f} {row.unit}"]
            for bots in (report.parts, report.ours):
                measured = row.read(bots[name]) if name in bots else None
                cells.append(
                    f"{measured:.1f} {row.unit} ({measured / row.read(floor):.2f}x)" if measured else ""
                )
            table.add_row(row.what, name, *cells, "" if row.aim is None else f"≤ {row.aim:g}x")
    console.print(table)
    others = Table("what", "measured", "aim")
    for what, value, unit, aim in report.aims:
        others.add_row(what, f"{value:.2f} {unit}", "" if aim is None else f"≤ {aim:g} {unit}")
    console.print(others)


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with ModelServer(piece_characters=200) as model:
            show(await Bench(model, Path(folder) / "home").run())


if __name__ == "__main__":
    asyncio.run(main())
