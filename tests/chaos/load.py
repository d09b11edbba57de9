"""More work than there is time for: slow models, bursts, limits of a platform, a busy processor."""

from __future__ import annotations

import asyncio
import time

from tests.chaos.crowd import Crowd, Place
from tests.chaos.kills import finish
from tests.chaos.outcome import Outcome, percentile
from tests.chaos.world import World


async def flood(
    world: World,
    seed: int,
    *,
    seconds: float = 60.0,
    per_second: int = 25,
    thinking_seconds: float = 60.0,
    aims_ms: tuple[float, float] | None = None,
) -> Outcome:
    """L1: signed events over HTTP, one after the other at a steady rate, while the model takes its time.

    `aims_ms`: what 99 of 100 acknowledgements, and all, must not exceed; None where others use the machine.
    """
    world.deliver_over("http")
    world.model.delay_seconds = thinking_seconds
    crowd = Crowd(world)
    began = time.monotonic()
    asked = []
    for number in range(round(seconds * per_second)):
        # A direct message is told once; a mention in a channel would be told twice.
        asked.append(await crowd.ask(crowd.new_place("slack", direct=True)))
        await asyncio.sleep(max(0.0, began + (number + 1) / per_second - time.monotonic()))
    outcome = await finish(world, crowd, Outcome(scenario="L1", seed=seed), time.monotonic())
    acks = [
        round(1000 * delivery.seconds[0], 1) for q in asked for delivery in q.deliveries if delivery.seconds
    ]
    repeated = sum(delivery.attempts > 1 for q in asked for delivery in q.deliveries)
    problems = list(outcome.problems)
    if aims_ms is not None and (percentile(acks, 0.99) > aims_ms[0] or max(acks) > aims_ms[1]):
        problems.append(
            f"acknowledged after {percentile(acks, 0.99):g} ms (99 %), {max(acks):g} ms (longest)"
        )
    return outcome.model_copy(
        update={"ack_ms": acks, "faults": {"events told again": repeated}, "problems": problems}
    )


async def crowd_one_channel(world: World, seed: int, *, questions: int = 50) -> Outcome:
    """L4: many answers are due in one Slack channel that takes one message a second."""
    world.slack.api.seconds_between_messages = 1.0
    try:
        crowd = Crowd(world)
        first = crowd.new_place("slack")
        called = len(world.slack.calls)
        for _ in range(questions):
            await crowd.ask(Place("slack", first.channel))
        outcome = await finish(world, crowd, Outcome(scenario="L4", seed=seed), time.monotonic())
    finally:
        world.slack.api.seconds_between_messages = 0.0
    posting = ("chat.postMessage", "chat.startStream")
    posts = sum(call.method in posting for call in list(world.slack.calls)[called:])
    shown = len(world.slack.channel(first.channel).messages) - questions
    return outcome.model_copy(update={"figures": {"posts refused with 429": float(posts - shown)}})
