"""One contract for every counter of questions."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from core.limits import QuestionCount, QuestionCounter
from core.storage.database import Database
from core.storage.question_counts import PostgresQuestionCounter
from core.storage.turns import PostgresTurnStore
from core.testing.question_counts import InMemoryQuestionCounter


@pytest.fixture(params=["memory", "postgres"])
def counter(request: pytest.FixtureRequest) -> QuestionCounter:
    if request.param == "memory":
        return InMemoryQuestionCounter(clock=lambda: 1_700_000_000.0)
    return PostgresQuestionCounter(request.getfixturevalue("database"))


async def ask(
    counter: QuestionCounter, times: int, person: str = "ada", *, at: datetime | None = None
) -> list[QuestionCount]:
    """The counts, question by question; asked now, which no clock of these tests has passed."""
    asked_at = at or datetime.now(UTC)
    return [await counter.count("slack", "W1", person, asked_at=asked_at, per_minute=3) for _ in range(times)]


async def test_what_waited_counts_in_the_minute_in_which_it_was_asked(counter: QuestionCounter) -> None:
    an_hour_ago = datetime(2023, 11, 14, 21, 0, tzinfo=UTC)
    for minute in range(4):
        counts = await ask(counter, 3, at=an_hour_ago + timedelta(minutes=minute))
        assert [count.in_minute for count in counts] == [1, 2, 3]
    assert (await ask(counter, 1, at=an_hour_ago + timedelta(minutes=3)))[0].in_minute == 4
    assert await ask(counter, 1, at=an_hour_ago) == [QuestionCount(in_minute=0, in_day=13)]
    assert (await ask(counter, 1, at=an_hour_ago + timedelta(minutes=4)))[0].in_minute == 1


async def test_questions_are_counted_by_minute_and_by_day(counter: QuestionCounter) -> None:
    counts = await ask(counter, 2)
    assert counts[0] == QuestionCount(in_minute=1, in_day=1)
    assert counts[1].in_day == 2


async def test_each_person_is_counted_alone(counter: QuestionCounter) -> None:
    await ask(counter, 2)
    assert await ask(counter, 1, person="bob") == [QuestionCount(in_minute=1, in_day=1)]
    elsewhere = await counter.count("slack", "W2", "ada", asked_at=datetime.now(UTC), per_minute=3)
    assert elsewhere == QuestionCount(in_minute=1, in_day=1)


async def test_what_is_refused_for_the_minute_does_not_count_for_the_day() -> None:
    now = 1_700_000_000.0 // 60 * 60
    counter = InMemoryQuestionCounter(clock=lambda: now)
    assert (await ask(counter, 7))[-1] == QuestionCount(in_minute=7, in_day=3)
    now += 60
    assert await ask(counter, 1) == [QuestionCount(in_minute=1, in_day=4)]
    now += 86_400
    assert await ask(counter, 1) == [QuestionCount(in_minute=1, in_day=1)]


async def test_the_same_in_postgres(database: Database) -> None:
    counter = PostgresQuestionCounter(database)
    await ask(counter, 3)
    this_minute = "update question_counts set minute = date_trunc('minute', clock_timestamp()), in_minute = 3"
    await database.run(text(this_minute))
    refused = (await ask(counter, 1))[0]
    if refused.in_minute > 1:  # no minute has begun between the two statements
        assert refused == QuestionCount(in_minute=4, in_day=3)
    await database.run(text("update question_counts set minute = minute - interval '1 minute'"))
    assert (await ask(counter, 1))[0].in_minute == 1
    await database.run(text("update question_counts set day = day - 1"))
    assert (await ask(counter, 1))[0].in_day == 1


async def test_questions_asked_at_once_are_all_counted(counter: QuestionCounter) -> None:
    now = datetime.now(UTC)
    counts = await asyncio.gather(
        *(counter.count("slack", "W1", "ada", asked_at=now, per_minute=None) for _ in range(12))
    )
    assert sorted(count.in_day for count in counts) == list(range(1, 13))


async def test_a_forgotten_author_is_not_counted_any_more(database: Database) -> None:
    counter = PostgresQuestionCounter(database)
    await ask(counter, 3)
    await PostgresTurnStore(database).forget_author("slack", "W1", "ada")
    assert await database.run(text("select * from question_counts")) == []
