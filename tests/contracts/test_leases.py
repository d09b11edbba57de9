"""What leases and allowances promise to processes that share them."""

from __future__ import annotations

import asyncio

import pytest

from core.leases import Allowances, Leases
from core.storage.database import Database
from core.storage.leases import PostgresAllowances, PostgresLeases
from core.testing.leases import InMemoryAllowances, InMemoryLeases

LONG = 60.0
SHORT = 0.3


@pytest.fixture(params=["memory", "postgres"])
def leases(request: pytest.FixtureRequest) -> Leases:
    if request.param == "memory":
        return InMemoryLeases()
    database: Database = request.getfixturevalue("database")
    return PostgresLeases(database)


@pytest.fixture(params=["memory", "postgres"])
def allowances(request: pytest.FixtureRequest) -> Allowances:
    if request.param == "memory":
        return InMemoryAllowances()
    database: Database = request.getfixturevalue("database")
    return PostgresAllowances(database)


async def test_one_owner_at_a_time(leases: Leases) -> None:
    ours = await leases.acquire("shard", "a", lease_seconds=LONG)
    assert ours is not None
    assert await leases.acquire("shard", "b", lease_seconds=LONG) is None
    assert await leases.holder("shard") == ours
    assert await leases.acquire("another shard", "b", lease_seconds=LONG) is not None


async def test_of_many_at_once_one_becomes_the_owner(leases: Leases) -> None:
    names = [str(number) for number in range(8)]
    won = await asyncio.gather(*(leases.acquire("shard", name, lease_seconds=LONG) for name in names))
    assert sum(lease is not None for lease in won) == 1


async def test_a_lease_that_ends_goes_to_another_with_a_higher_fence(leases: Leases) -> None:
    first = await leases.acquire("shard", "a", lease_seconds=SHORT)
    assert first is not None
    await asyncio.sleep(SHORT + 0.1)
    assert await leases.holder("shard") is None
    second = await leases.acquire("shard", "b", lease_seconds=LONG)
    assert second is not None
    assert second.fence > first.fence
    assert await leases.renew(first, lease_seconds=LONG) is None
    await leases.release(first)
    assert await leases.holder("shard") == second


async def test_a_renewed_lease_lasts(leases: Leases) -> None:
    lease = await leases.acquire("shard", "a", lease_seconds=SHORT)
    assert lease is not None
    renewed = await leases.renew(lease, lease_seconds=LONG)
    assert renewed is not None
    assert renewed.until > lease.until
    await asyncio.sleep(SHORT + 0.1)
    assert await leases.acquire("shard", "b", lease_seconds=LONG) is None


async def test_a_lease_that_ended_and_that_nobody_took_is_still_ours(leases: Leases) -> None:
    lease = await leases.acquire("shard", "a", lease_seconds=SHORT)
    assert lease is not None
    await asyncio.sleep(SHORT + 0.1)
    renewed = await leases.renew(lease, lease_seconds=LONG)
    assert renewed is not None
    assert renewed.fence == lease.fence


async def test_a_released_lease_is_free_at_once(leases: Leases) -> None:
    lease = await leases.acquire("shard", "a", lease_seconds=LONG)
    assert lease is not None
    await leases.release(lease)
    assert await leases.holder("shard") is None
    assert await leases.acquire("shard", "b", lease_seconds=LONG) is not None


async def test_acquiring_again_replaces_our_own_lease(leases: Leases) -> None:
    first = await leases.acquire("shard", "a", lease_seconds=LONG)
    second = await leases.acquire("shard", "a", lease_seconds=LONG)
    assert first is not None
    assert second is not None
    assert await leases.renew(first, lease_seconds=LONG) is None
    assert await leases.renew(second, lease_seconds=LONG) is not None


async def test_an_allowance_is_shared_and_each_name_has_its_own(allowances: Allowances) -> None:
    waits = await asyncio.gather(
        *(allowances.take("starts", at_most=3, within_seconds=LONG) for _ in range(8))
    )
    assert sum(wait == 0 for wait in waits) == 3
    assert all(0 < wait <= LONG for wait in waits if wait)
    assert await allowances.take("other starts", at_most=3, within_seconds=LONG) == 0


async def test_there_is_room_again_after_the_time_that_was_told(allowances: Allowances) -> None:
    assert await allowances.take("starts", at_most=1, within_seconds=SHORT) == 0
    wait = await allowances.take("starts", at_most=1, within_seconds=SHORT)
    assert 0 < wait <= SHORT
    await asyncio.sleep(wait + 0.02)
    assert await allowances.take("starts", at_most=1, within_seconds=SHORT) == 0
