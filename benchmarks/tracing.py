"""`python -m benchmarks.tracing`: what a Langfuse that fails or hangs costs the people who ask.

One Threadlore on the loopback Slack with a loopback model that answers at once, traced to a loopback Langfuse
that works, answers every request with 500, or takes 30 seconds for it, in turn. Its Postgres flushes nothing to disk. Printed are the times from event
to final answer, and each trouble as a ratio to the rounds in which Langfuse worked.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measures import QUESTIONS
from benchmarks.platforms import Slack
from benchmarks.processes import BotProcess
from benchmarks.world import environment_of, running, say, take_documents_in, until_connected
from bot.testing.slack import SlackServer
from core.storage.embedded import start_embedded_postgres
from core.testing.langfuse_server import LangfuseServer
from core.testing.model_server import ModelServer

ROUNDS = 10
QUESTIONS_A_ROUND = 40
AIM = 1.05


def works(server: LangfuseServer) -> None:
    server.break_with, server.delay_seconds = None, 0.0


def fails(server: LangfuseServer) -> None:
    server.break_with, server.delay_seconds = 500, 0.0


def hangs(server: LangfuseServer) -> None:
    server.break_with, server.delay_seconds = None, 30.0


STATES: Mapping[str, Callable[[LangfuseServer], None]] = {"works": works, "fails": fails, "hangs": hangs}


async def measure(platform: Slack, langfuse: LangfuseServer) -> dict[str, list[float]]:
    """Milliseconds from event to final answer, by what Langfuse did meanwhile."""
    times: dict[str, list[float]] = {state: [] for state in STATES}
    for number in range(-1, ROUNDS):
        states = random.sample(list(STATES), len(STATES)) if number >= 0 else ["works"]
        for state in states:
            STATES[state](langfuse)
            taken = [await time_one(platform) for _ in range(QUESTIONS_A_ROUND)]
            if number >= 0:  # the first round warms up
                times[state] += taken
        say(f"round {number + 1} of {ROUNDS}")
    works(langfuse)
    return times


async def time_one(platform: Slack) -> float:
    """Milliseconds until one question has its whole answer."""
    began = time.monotonic()
    question = await platform.ask(random.choice(QUESTIONS))
    taken = 1000 * (await platform.final([question]) - began)
    await asyncio.sleep(0.03)  # what follows an answer is not the next question's
    return taken


def percentile(times: list[float], share: float) -> float:
    return sorted(times)[min(int(share * len(times)), len(times) - 1)]


def show(times: Mapping[str, list[float]]) -> None:
    table = Table("Langfuse", "median", "95 %", "median, ratio", "95 %, ratio", "aim")
    base = times["works"]
    for state, taken in times.items():
        median, late = statistics.median(taken), percentile(taken, 0.95)
        table.add_row(
            state,
            f"{median:.1f} ms",
            f"{late:.1f} ms",
            f"{median / statistics.median(base):.2f}x",
            f"{late / percentile(base, 0.95):.2f}x",
            "" if taken is base else f"≤ {AIM:g}x",
        )
    Console().print(table)


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        # A disk that stalls for half a second now and then would be all that 95 % shows.
        postgres = await start_embedded_postgres(home, durable=False)
        async with (
            SlackServer(echoes=False) as slack,
            ModelServer(piece_characters=200) as model,
            LangfuseServer() as langfuse,
        ):
            say("Threadlore takes its documents in")
            await take_documents_in(home)  # into the same server
            keys = {"LANGFUSE_PUBLIC_KEY": "pk-lf-bench", "LANGFUSE_SECRET_KEY": "sk-lf-bench"}
            settings = environment_of(model, home) | slack.environment() | keys
            settings["DATABASE_URL"] = postgres.url
            bot = BotProcess("bot", ["serve"], settings | {"LANGFUSE_BASE_URL": langfuse.url}, home)
            async with running(bot, "is ready"):
                await until_connected(slack)
                show(await measure(Slack(slack), langfuse))
        await postgres.stop()


if __name__ == "__main__":
    asyncio.run(main())
