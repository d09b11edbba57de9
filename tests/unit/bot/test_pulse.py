"""Whether a worker goes on: a loop that hangs is told apart from one that waits."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from bot.pulse import LOOK_SECONDS, watch_event_loop
from core.inbox import Claim
from core.testing.inbox import InMemoryInbox
from tests.unit.bot.ground import Ground


class HangingInbox(InMemoryInbox):
    """A claim that never comes back, as no database behaves."""

    async def claim(self, **wanted: object) -> list[Claim]:
        await asyncio.Event().wait()
        return []


async def test_a_worker_whose_loop_hangs_says_so_and_one_that_waits_does_not() -> None:
    healthy, hanging = (Ground(longest_round_seconds=1.0, lease_seconds=0.6) for _ in range(2))
    hanging.use_inbox(HangingInbox())
    async with healthy.running() as waits, hanging.running() as hangs:
        await hanging.until(hangs.stuck_loops)
        assert hangs.stuck_loops() == ["claims"]
        assert waits.stuck_loops() == []


async def test_what_holds_the_event_loop_up_shows_as_lag() -> None:
    lags: list[float] = []
    watching = asyncio.create_task(watch_event_loop(lags.append))
    await asyncio.sleep(LOOK_SECONDS / 2)
    time.sleep(0.4)  # noqa: ASYNC251 - what a task must never do
    await asyncio.sleep(2 * LOOK_SECONDS)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    assert max(lags) >= 0.25
