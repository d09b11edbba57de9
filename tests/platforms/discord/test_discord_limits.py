"""L4 on Discord: its library keeps the budget of a channel, so that there is none of ours."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest

from bot.testing.discord.faults import Fault
from tests.contracts.test_adapter import answered, asked
from tests.platforms.discord.harness import POST, DiscordHarness, make_adapter, open_harness

PATIENCE_SECONDS = 0.6


@pytest.fixture
async def harness() -> AsyncIterator[DiscordHarness]:
    async with open_harness() as opened:
        yield opened


async def test_nothing_is_posted_to_a_channel_before_discords_patience_is_over(
    harness: DiscordHarness,
) -> None:
    questions = [await asked(harness, f"Question {n}?") for n in range(5)]
    harness.server.fail(Fault(POST, status=429, retry_after_seconds=PATIENCE_SECONDS))
    await asyncio.gather(*(answered(harness, question, "An answer.") for question in questions))
    refused, *later = [c.at for c in harness.server.calls if re.match(POST, f"{c.method} {c.path}")]
    assert len(later) == len(questions)
    assert min(later) >= refused + PATIENCE_SECONDS
    assert len(harness.shown()) == len(questions)


async def test_two_processes_post_every_answer_of_a_crowded_channel_once(harness: DiscordHarness) -> None:
    questions = [await asked(harness, f"Question {n}?") for n in range(20)]
    other = make_adapter(harness.server)
    await other.open()
    second = DiscordHarness(harness.server, harness.adapter, other)
    limits = harness.server.rest.limits
    limits.calls, limits.seconds = 4, 0.4
    try:
        await asyncio.gather(
            *(
                answered((harness, second)[n % 2], question, f"Answer {n}.")
                for n, question in enumerate(questions)
            )
        )
    finally:
        await other.aclose()
    assert sorted(s.text for s in harness.shown()) == sorted(f"Answer {n}." for n in range(20))
