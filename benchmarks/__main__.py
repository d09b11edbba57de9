"""`make bench`: Threadlore and a bare bot in turn, on the same loopback platforms and the same loopback
model, in one run. Every figure is a ratio to the floor or measured beside its aim; nothing here is a test."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

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
    """What came out. `aims`: (what, value, unit, aim)."""

    floors: dict[str, Figures] = field(default_factory=dict)
    ours: dict[str, Figures] = field(default_factory=dict)
    aims: list[tuple[str, float, str, float]] = field(default_factory=list)


class Bench:
    """The loopback world and the bots in it."""

    def __init__(self, slack: SlackServer, model: ModelServer, home: Path) -> None:
        self.slack = slack
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
        settings = self.slack.environment()
        say("floor on Slack")
        floor = BotProcess("benchmarks.floor_slack", [], self.environment | settings)
        async with running(floor):
            await until_connected(self.slack)
            report.floors["slack"] = await measure(Slack(self.slack), floor, self.model)
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
        await self._measure_threadlore(report)
        return report

    async def _measure_threadlore(self, report: Report) -> None:
        say("Threadlore takes its documents in")
        await take_documents_in(self.home)
        say("Threadlore on Slack, without a model")
        bot = self.threadlore(self.slack.environment(), chat_model=False)
        async with running(bot, "is ready"):
            megabytes = bot.memory_megabytes()
            report.aims.append(("resident memory when ready, no chat model", megabytes, "MB", 250.0))
        say("Threadlore on Slack")
        bot = self.threadlore(self.slack.environment())
        async with running(bot, "is ready") as start:
            report.aims.append(("ready, on a later start", start, "s", 5.0))
            report.aims.append(
                ("resident memory when ready, OpenAI model", bot.memory_megabytes(), "MB", 250.0)
            )
            platform = Slack(self.slack)
            platform.forget()
            report.ours["slack"] = await measure(platform, bot, self.model)
            report.aims.append(("resident memory after 200 at once", bot.memory_megabytes(), "MB", 250.0))
            platform.forget()
            early, late = await measure_long_thread(platform)
            report.aims.append(("turn 100 of a thread, to turn 2", late / early, "x", 1.2))
        say("Threadlore on Discord")
        async with DiscordServer() as discord:
            bot = self.threadlore(self.discord_settings(discord))
            async with running(bot, "is ready"):
                await until_ready(discord)
                report.ours["discord"] = await measure(Discord(discord, marks_final=True), bot, self.model)
        report.aims.append(("threadlore --help", await time_help(), "s", 0.5))


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
    table = Table("what", "platform", "floor", "Threadlore", "ratio", "aim")
    for name, floor in report.floors.items():
        ours = report.ours[name]
        rows = [
            ("event to final answer, median", floor.to_answer_ms, ours.to_answer_ms, "ms", 4.0),
            ("event to model request, median", floor.to_model_ms, ours.to_model_ms, "ms", None),
            ("CPU per turn, the bot", floor.cpu_ms, ours.cpu_ms, "ms", 6.0),
            ("CPU per turn, with its Postgres", floor.cpu_ms, ours.cpu_ms + ours.server_cpu_ms, "ms", None),
            ("200 at once, 2 s model", floor.burst_seconds, ours.burst_seconds, "s", 2.0),
        ]
        for what, low, high, unit, aim in rows:
            shown = "" if aim is None else f"≤ {aim:g}x"
            table.add_row(what, name, f"{low:.1f} {unit}", f"{high:.1f} {unit}", f"{high / low:.2f}x", shown)
    console.print(table)
    others = Table("what", "measured", "aim")
    for what, value, unit, aim in report.aims:
        others.add_row(what, f"{value:.2f} {unit}", f"≤ {aim:g} {unit}")
    console.print(others)


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with SlackServer(echoes=False) as slack, ModelServer(piece_characters=200) as model:
            show(await Bench(slack, model, Path(folder) / "home").run())


if __name__ == "__main__":
    asyncio.run(main())
