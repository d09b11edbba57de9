"""`python -m benchmarks.tracing [--rounds N]`: what a Langfuse that fails or hangs costs the people who ask.

One Threadlore on a loopback Slack, with a loopback model that answers at once, is traced to a loopback Langfuse that
works, answers every request with 500, or takes 30 seconds for it. A second Threadlore, with a Slack and a Postgres of
its own, has no Langfuse. One question after the other is asked, of one Threadlore at a time, in blocks of some seconds;
a round has a block of each kind, in random order. The Postgres servers flush nothing to disk, and the loopback Langfuse
is a process of its own.

Traces leave after the answer, in batches, and those that do not arrive are sent again after pauses of 1, 2, 4 … up to
60 seconds. So that no block pays for another's traces, after each one Langfuse works, and nothing is asked until the
trace of every question so far has arrived; requests that still hang are served at once. A block in trouble is thus
always the beginning of an outage, with the most attempts in a second that there can be. The first questions of a
block are not counted: a process that has rested is slow to wake.

Printed are the times from event to final answer, and their ratios, each with a 95 % interval: what 2,000 samples of
as many rounds, drawn with replacement, give for the ratio of all questions in them.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.langfuse_double import LangfuseProcess, State
from benchmarks.measures import QUESTIONS
from benchmarks.platforms import Slack
from benchmarks.processes import BotProcess
from benchmarks.world import environment_of, running, say, take_documents_in, until_connected
from bot.testing.slack import SlackServer
from core.evaluation.metrics import Interval
from core.storage.embedded import start_embedded_postgres
from core.testing.model_server import ModelServer

Kind = State | Literal["off"]
Round = Mapping[Kind, Sequence[float]]
"""Milliseconds of the questions that count, by what Langfuse did meanwhile."""

KINDS: tuple[Kind, ...] = ("off", "works", "fails", "hangs")
ROUNDS = 8
BLOCK_SECONDS = 8.0
UNCOUNTED = 5
SAMPLES = 2000
SHARES = {"median": 0.5, "95 %": 0.95}
AIM = 1.05
"""Of the 95 % of a Langfuse in trouble, beside one that works."""


class Bench:
    """Two Threadlores ready for questions, and the Langfuse of the first."""

    def __init__(self, traced: Slack, untraced: Slack, langfuse: LangfuseProcess) -> None:
        self._traced = traced
        self._untraced = untraced
        self._langfuse = langfuse
        self._traces = 0

    async def measure(self, rounds: int) -> list[Round]:
        for kind in KINDS:
            await self._ask_a_block(kind)  # warms up
        measured: list[Round] = []
        for number in range(1, rounds + 1):
            say(f"round {number} of {rounds}")
            order = random.sample(KINDS, len(KINDS))
            measured.append({kind: await self._ask_a_block(kind) for kind in order})
        return measured

    async def _ask_a_block(self, kind: Kind) -> list[float]:
        """Begins and ends with a Langfuse that works and has every trace."""
        if kind == "off":
            taken = await ask_for_a_while(self._untraced)
        else:
            await self._langfuse.be(kind)
            taken = await ask_for_a_while(self._traced)
            self._traces += len(taken)
            await self._langfuse.be("works", with_traces=self._traces)
        return taken[UNCOUNTED:]


async def ask_for_a_while(platform: Slack) -> list[float]:
    """Milliseconds from each event to its final answer."""
    platform.forget()
    taken: list[float] = []
    ends = time.monotonic() + BLOCK_SECONDS
    while time.monotonic() < ends or len(taken) <= UNCOUNTED:
        began = time.monotonic()
        question = await platform.ask(random.choice(QUESTIONS))
        taken.append(1000 * (await platform.final([question]) - began))
        await asyncio.sleep(0.03)  # what follows an answer is not the next question's
    return taken


def pool(rounds: Sequence[Round], kind: Kind) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.concatenate([np.asarray(measured[kind], dtype=np.float64) for measured in rounds])


def compare(rounds: Sequence[Round], kind: Kind, base: Kind, share: float) -> tuple[float, Interval]:
    """The ratio of a quantile to that of the base, and its 95 % interval by a bootstrap over rounds."""

    def ratio(drawn: Sequence[Round]) -> float:
        return float(np.quantile(pool(drawn, kind), share) / np.quantile(pool(drawn, base), share))

    generator = np.random.default_rng(20_26)
    draws = generator.integers(len(rounds), size=(SAMPLES, len(rounds)))
    low, high = np.quantile([ratio([rounds[number] for number in draw]) for draw in draws], [0.025, 0.975])
    return ratio(rounds), Interval(low=float(low), high=float(high))


def show(rounds: Sequence[Round]) -> None:
    console = Console(width=100)
    times = Table("Langfuse", "questions", *SHARES)
    for kind in KINDS:
        taken = pool(rounds, kind)
        quantiles = (f"{np.quantile(taken, share):.1f} ms" for share in SHARES.values())
        times.add_row(kind, str(len(taken)), *quantiles)
    console.print(times)
    ratios = Table("Langfuse", "beside", *(f"{name}, ratio (95 % interval)" for name in SHARES), "aim")
    for base in ("works", "off"):
        for kind in KINDS[KINDS.index(base) + 1 :]:
            compared = [compare(rounds, kind, base, share) for share in SHARES.values()]
            shown = (f"{ratio:.2f}x ({ends.low:.2f} to {ends.high:.2f})" for ratio, ends in compared)
            ratios.add_row(kind, base, *shown, f"95 % ≤ {AIM:g}x" if base == "works" else "")
    console.print(ratios)


@asynccontextmanager
async def threadlore(home: Path, model: ModelServer, settings: Mapping[str, str]) -> AsyncIterator[Slack]:
    """A Threadlore that has taken its documents in, and the loopback Slack to ask it on."""
    # A disk that stalls for half a second now and then would be all that 95 % shows.
    postgres = await start_embedded_postgres(home, durable=False)
    try:
        await take_documents_in(home)  # into the same server
        async with SlackServer(echoes=False) as slack:
            own = {"DATABASE_URL": postgres.url, **slack.environment(), **settings}
            bot = BotProcess("bot", ["serve"], environment_of(model, home) | own, home)
            async with running(bot, "is ready"):
                await until_connected(slack)
                yield Slack(slack)
    finally:
        await postgres.stop()


async def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with ModelServer(piece_characters=200) as model, LangfuseProcess() as langfuse:
            keys = {"LANGFUSE_PUBLIC_KEY": "pk-lf-bench", "LANGFUSE_SECRET_KEY": "sk-lf-bench"}
            say("two Threadlores take their documents in")
            async with (
                threadlore(
                    Path(folder) / "traced", model, keys | {"LANGFUSE_BASE_URL": langfuse.url}
                ) as traced,
                threadlore(Path(folder) / "untraced", model, {}) as untraced,
            ):
                show(await Bench(traced, untraced, langfuse).measure(rounds))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What a Langfuse in trouble costs the people who ask.")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="each takes about 40 seconds")
    asyncio.run(main(parser.parse_args().rounds))
