"""Every fault once, at a small scale: `make chaos` does the same for long. One cluster serves all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.chaos.suite import SCENARIOS, Scenario, run_once, world_for
from tests.chaos.world import World

pytestmark = pytest.mark.timeout(900)  # replicas start slowly where others are at work
BRIEF = [scenario for scenario in SCENARIOS if scenario.brief_seeds]


@pytest.fixture(scope="module")
async def world() -> AsyncIterator[World]:
    async with world_for(BRIEF[0], brief=True) as world:
        yield world


@pytest.mark.parametrize("scenario", BRIEF, ids=lambda scenario: scenario.name)
async def test_people_see_one_answer_whatever_breaks(scenario: Scenario, world: World) -> None:
    for seed in range(scenario.brief_seeds):
        outcome = await run_once(scenario, world, seed, brief=True)
        assert outcome.holds, outcome.in_words()
        assert outcome.answered == outcome.asked, outcome.in_words()
