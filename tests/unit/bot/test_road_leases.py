"""A worker whose lease is in danger: the database away, or others that take it for dead."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from core.errors import StorageUnavailableError
from core.inbox import Claim, InboxEnd
from core.testing.inbox import InMemoryInbox
from core.testing.models import Act, FakeChatModel
from tests.unit.bot.ground import ANSWER, Ground


class AwayInbox(InMemoryInbox):
    """Its database can be away."""

    away = False

    async def renew(self, claims: Sequence[Claim], *, lease_seconds: float) -> set[int]:
        self._require_here()
        return await super().renew(claims, lease_seconds=lease_seconds)

    async def sweep(self, *, crashes_before_parking: int = 3) -> int:
        self._require_here()
        return await super().sweep(crashes_before_parking=crashes_before_parking)

    async def finish(self, claim: Claim, end: InboxEnd, reason: str = "") -> bool:
        self._require_here()
        return await super().finish(claim, end, reason)

    async def retry(self, claim: Claim, *, after_seconds: float, reason: str) -> None:
        self._require_here()
        await super().retry(claim, after_seconds=after_seconds, reason=reason)

    def _require_here(self) -> None:
        if self.away:
            raise StorageUnavailableError("the database is away")


def make_away_ground(thinking_seconds: float) -> tuple[Ground, AwayInbox]:
    """Short leases, a model that takes its time, and an inbox whose database can be away."""
    model = FakeChatModel(Act(text=ANSWER, delay_seconds=thinking_seconds), reply=lambda _: ANSWER)
    ground, inbox = Ground(model=model, lease_seconds=0.6, concurrency=1), AwayInbox()
    ground.use_inbox(inbox)
    return ground, inbox


async def test_a_database_that_was_away_for_longer_than_a_lease_is_no_crash_of_the_workers() -> None:
    ground, inbox = make_away_ground(thinking_seconds=2.5)
    async with ground.running():
        asked = asyncio.create_task(ground.ask())
        await ground.until(lambda: ground.model.requests)
        for _ in range(3):
            inbox.away = True
            await asyncio.sleep(0.65)
            inbox.away = False
            await asyncio.sleep(0.25)
        await asked
    assert ground.adapter.texts() == [ANSWER]
    assert [item.crashes for item in inbox.items] == [0]


@pytest.mark.parametrize("thinking_seconds", [1.5, 0.05])
async def test_a_worker_that_was_taken_for_dead_has_no_crash_counted(thinking_seconds: float) -> None:
    ground, inbox = make_away_ground(thinking_seconds)
    async with ground.running():
        asked = asyncio.create_task(ground.ask())
        await ground.until(lambda: ground.model.requests)
        inbox.items[0].lease_until = 0.0
        await inbox.sweep()  # as another process does
        assert inbox.items[0].crashes == 1
        await asked
    assert ground.adapter.texts() == [ANSWER]
    assert [item.crashes for item in inbox.items] == [0]


async def test_an_answer_that_is_whole_before_its_lease_was_renewed_waits_for_the_next_attempt() -> None:
    ground, inbox = make_away_ground(thinking_seconds=1.0)
    async with ground.running():
        asked = asyncio.create_task(ground.ask())
        await ground.until(lambda: ground.model.requests)
        inbox.away = True  # for the leases, and what is planned and recorded is stored all the same
        await asyncio.sleep(1.2)
        assert ground.adapter.visible == {}
        inbox.away = False
        await asked
    assert ground.adapter.texts() == [ANSWER]
    assert [(item.crashes, item.attempts) for item in inbox.items] == [(0, 2)]


async def test_an_item_that_cannot_be_put_back_for_now_is_not_left_to_its_lease() -> None:
    ground, inbox = make_away_ground(thinking_seconds=0.3)
    async with ground.running():
        asked = asyncio.create_task(ground.ask())
        await ground.until(lambda: ground.model.requests)
        inbox.away = True
        await asyncio.sleep(1.0)
        inbox.away = False
        await asked
    assert ground.adapter.texts() == [ANSWER]
    assert [item.crashes for item in inbox.items] == [0]
