"""What is measured of one bot on one platform. All times in seconds, from time.monotonic."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from dataclasses import dataclass

from benchmarks.platforms import Platform
from benchmarks.processes import BotProcess
from core.testing.model_server import ModelServer

WARM_UP = 10
TURNS = 60
BURST = 200
BURST_MODEL_SECONDS = 2.0
LONG_THREAD = 100
QUESTIONS = [
    f"{ask} {what}?"
    for ask in ("How do I", "How can we", "Where do I read how to", "What is needed to")
    for what in (
        "connect Threadlore to Slack",
        "connect Threadlore to Discord",
        "add our own documents",
        "use our own model",
        "export the feedback",
        "delete a thread",
    )
]
"""As people ask, and different ones, so that nothing can be answered from a cache."""


@dataclass
class Figures:
    """Medians of one bot on one platform. Latencies and CPU in milliseconds."""

    to_model_ms: float
    to_answer_ms: float
    cpu_ms: float
    server_cpu_ms: float
    burst_seconds: float


async def measure(platform: Platform, bot: BotProcess, model: ModelServer) -> Figures:
    """One question after the other, then two hundred at once."""
    model.delay_seconds = 0.0
    for _ in range(WARM_UP):
        await _one(platform, model)
    cpu, server_cpu = bot.cpu_seconds(), bot.server_cpu_seconds()
    rounds = [await _one(platform, model) for _ in range(TURNS)]
    cpu, server_cpu = bot.cpu_seconds() - cpu, bot.server_cpu_seconds() - server_cpu
    return Figures(
        to_model_ms=1000 * statistics.median(to_model for to_model, _ in rounds),
        to_answer_ms=1000 * statistics.median(to_answer for _, to_answer in rounds),
        cpu_ms=1000 * cpu / TURNS,
        server_cpu_ms=1000 * server_cpu / TURNS,
        burst_seconds=await _burst(platform, model),
    )


async def _one(platform: Platform, model: ModelServer) -> tuple[float, float]:
    asked_at = time.monotonic()
    question = await platform.ask(random.choice(QUESTIONS))
    answered_at = await platform.final([question])
    to_model = model.requests[-1].at - asked_at
    # Let what follows an answer end, so that it does not count for the next question.
    await asyncio.sleep(0.03)
    return to_model, answered_at - asked_at


async def _burst(platform: Platform, model: ModelServer) -> float:
    model.delay_seconds = BURST_MODEL_SECONDS
    try:
        began = time.monotonic()
        questions = [await platform.ask(random.choice(QUESTIONS)) for _ in range(BURST)]
        return await platform.final(questions) - began
    finally:
        model.delay_seconds = 0.0


async def measure_long_thread(platform: Platform) -> tuple[float, float]:
    """Milliseconds to the answer early (turns 2 to 6) and late (the last five) in one thread."""
    times: list[float] = []
    thread: str | None = None
    for _ in range(LONG_THREAD):
        asked_at = time.monotonic()
        question = await platform.ask(random.choice(QUESTIONS), thread)
        thread = thread or question
        times.append(1000 * (await platform.final([question], thread) - asked_at))
        await asyncio.sleep(0.03)
    return statistics.median(times[1:6]), statistics.median(times[-5:])
