"""One contract for every budget: what is set aside and what is spent stay under the caps together."""

from __future__ import annotations

import asyncio
from typing import Protocol

import pytest
from sqlalchemy import text

from core.errors import BudgetSpentError
from core.limits import Budget, Caps
from core.messages import Payer
from core.storage.budget import PostgresBudget
from core.storage.database import Database
from core.testing.budget import InMemoryBudget

ADA = Payer(platform="slack", workspace="W1", channel="C1", person="ada")
BOB = ADA.model_copy(update={"person": "bob"})
ELSEWHERE = ADA.model_copy(update={"channel": "C2"})
NOBODY = ADA.model_copy(update={"person": ""})
OTHERS = ADA.model_copy(update={"workspace": "W2"})


class MakeBudget(Protocol):
    def __call__(self, caps: Caps, reserved_seconds: float = 300.0) -> Budget: ...


@pytest.fixture(params=["memory", "postgres"])
def make_budget(request: pytest.FixtureRequest) -> MakeBudget:
    """Makes budgets over one memory; the ones in Postgres know of each other."""
    if request.param == "memory":
        return lambda caps, reserved_seconds=300.0: InMemoryBudget(caps, reserved_seconds=reserved_seconds)
    database: Database = request.getfixturevalue("database")
    return lambda caps, reserved_seconds=300.0: PostgresBudget(
        database, caps, reserved_seconds=reserved_seconds
    )


async def is_refused(budget: Budget, payer: Payer, usd: float) -> str | None:
    """The scope whose cap refuses it; an admitted reservation is returned whole."""
    try:
        await budget.settle(await budget.reserve(payer, usd), 0.0)
    except BudgetSpentError as error:
        return error.scope
    return None


async def test_what_is_set_aside_counts_as_spent_until_it_is_settled(make_budget: MakeBudget) -> None:
    budget = make_budget(Caps(workspace_usd=1.0))
    first = await budget.reserve(ADA, 0.8)
    assert await is_refused(budget, BOB, 0.3) == "workspace"
    await budget.settle(first, 0.1)
    assert await is_refused(budget, BOB, 0.3) is None


async def test_the_last_cent_can_be_spent_and_not_one_more(make_budget: MakeBudget) -> None:
    budget = make_budget(Caps(workspace_usd=0.3))
    for _ in range(3):
        await budget.settle(await budget.reserve(ADA, 0.1), 0.1)
    assert await is_refused(budget, ADA, 0.000001) == "workspace"


async def test_each_scope_has_its_cap(make_budget: MakeBudget) -> None:
    budget = make_budget(Caps(workspace_usd=1.0, channel_usd=0.6, person_usd=0.3))
    await budget.settle(await budget.reserve(ADA, 0.3), 0.3)
    assert await is_refused(budget, ADA, 0.01) == "person"
    assert await is_refused(budget, ELSEWHERE, 0.01) == "person"
    assert await is_refused(budget, BOB, 0.31) == "person"
    await budget.settle(await budget.reserve(BOB, 0.3), 0.3)
    assert await is_refused(budget, NOBODY, 0.01) == "channel"
    other_place = NOBODY.model_copy(update={"channel": "C2"})
    await budget.settle(await budget.reserve(other_place, 0.4), 0.4)
    third_place = NOBODY.model_copy(update={"channel": "C3"})
    assert await is_refused(budget, third_place, 0.01) == "workspace"
    assert await is_refused(budget, OTHERS, 0.3) is None


async def test_without_a_cap_nothing_is_refused(make_budget: MakeBudget) -> None:
    assert await is_refused(make_budget(Caps()), ADA, 1_000_000.0) is None


async def test_to_settle_twice_spends_once(make_budget: MakeBudget) -> None:
    budget = make_budget(Caps(workspace_usd=1.0))
    reservation = await budget.reserve(ADA, 0.5)
    await budget.settle(reservation, 0.5)
    await budget.settle(reservation, 0.5)
    assert await is_refused(budget, ADA, 0.5) is None


async def test_what_a_dead_process_set_aside_is_freed(make_budget: MakeBudget) -> None:
    budget = make_budget(Caps(workspace_usd=1.0), reserved_seconds=0.2)
    lost = await budget.reserve(ADA, 1.0)
    assert await is_refused(budget, ADA, 0.5) == "workspace"
    await asyncio.sleep(0.3)
    assert await is_refused(budget, ADA, 0.5) is None
    await budget.settle(lost, 1.0)  # it was not dead after all: what it spent still counts
    assert await is_refused(budget, ADA, 0.5) == "workspace"


async def test_fifty_at_once_on_three_processes_pass_exactly_five_times(database: Database) -> None:
    url = database.url.render_as_string(hide_password=False)
    databases = [Database(url, worker_connections=4) for _ in range(3)]
    budgets = [PostgresBudget(one, Caps(workspace_usd=0.5)) for one in databases]
    try:
        results = await asyncio.gather(
            *(budgets[n % 3].reserve(ADA, 0.1) for n in range(50)), return_exceptions=True
        )
        refused = [result for result in results if isinstance(result, BudgetSpentError)]
        held = [result for result in results if not isinstance(result, BaseException)]
        assert (len(held), len(refused)) == (5, 45)
        await asyncio.gather(*(budgets[0].settle(reservation, 0.02) for reservation in held))
        assert [await is_refused(budgets[2], ADA, usd) for usd in (0.4, 0.41)] == [None, "workspace"]
    finally:
        for one in databases:
            await one.aclose()


async def test_a_new_day_has_a_new_budget(database: Database) -> None:
    budget = PostgresBudget(database, Caps(workspace_usd=1.0))
    await budget.settle(await budget.reserve(ADA, 1.0), 1.0)
    assert await is_refused(budget, ADA, 0.1) == "workspace"
    await database.run(text("update spending set day = day - 1"))
    assert await is_refused(budget, ADA, 0.1) is None


async def test_what_a_forgotten_author_spent_is_not_kept_under_their_name(database: Database) -> None:
    from core.storage.turns import PostgresTurnStore

    budget = PostgresBudget(database, Caps(workspace_usd=1.0))
    await budget.settle(await budget.reserve(ADA, 0.4), 0.4)
    await budget.reserve(ADA, 0.4)
    await PostgresTurnStore(database).forget_author("slack", "W1", "ada")
    rows = await database.run(text("select scope from spending where id = 'ada'"))
    rows = [*rows, *await database.run(text("select id from spending_reservations where person = 'ada'"))]
    assert not rows
    assert await is_refused(budget, BOB, 0.3) == "workspace", "the money is spent all the same"
