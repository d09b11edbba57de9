"""SIGKILL between any two steps of the road: the answer comes all the same, and it comes once.

Real processes, real platforms' libraries, a real database; the platforms and the model are loopback
servers, which say when a step is reached and keep it from going on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from core.storage.database import Database
from core.testing.model_server import Fault, ModelServer
from tests.acceptance.installation import (
    Installation,
    eventually,
    inbox_states,
    turns_about,
    until,
    until_all_is_done,
)
from tests.crash.platforms import Discord, Name, Platform, Slack, open_platform

QUESTION = "How are hotels paid?"
ANSWER = "Hotels are paid with the company card, up to 140 euros a night."

WAITS_TO_FINISH = text(
    "select 1 from pg_stat_activity where datname = current_database() "
    "and wait_event_type = 'Lock' and query like 'UPDATE inbox%ended_as%'"
)


@pytest.fixture(params=["slack", "discord"])
async def platform(
    request: pytest.FixtureRequest, installation: Installation
) -> AsyncIterator[Slack | Discord]:
    name: Name = request.param
    async with open_platform(name) as platform:
        installation.settings |= platform.environment()
        yield platform


async def assert_answered_once(
    installation: Installation, platform: Platform, database: Database, question: str
) -> None:
    """A new process brings the road to its end; then one whole answer stands there and all is recorded."""
    async with installation.serving():
        await until(lambda: any(answer.is_whole for answer in platform.answers(question)))
        await until_all_is_done(database)
    (visible,) = platform.visible()
    assert visible in platform.answers(question)
    assert visible.is_whole
    assert visible.text.startswith(ANSWER)
    assert await inbox_states(database) == [("done", "answered")]
    (turn,) = await turns_about(database, question)
    assert (turn.outcome, turn.question) == ("answered", QUESTION)
    rows = await database.run(text("select state, message_id from outbox"))
    assert [(row.state, row.message_id) for row in rows] == [("sent", visible.id)]


async def test_after_the_event_is_stored_and_before_anybody_works_on_it(
    installation: Installation, platform: Platform, database: Database
) -> None:
    first = await installation.start(role="ingress")
    question = await platform.ask(QUESTION)
    await eventually(lambda: inbox_states(database))
    await platform.taken_in()
    await first.kill()
    assert await inbox_states(database) == [("queued", None)]

    await assert_answered_once(installation, platform, database, question)


async def test_while_the_model_thinks(
    installation: Installation, platform: Platform, database: Database, model: ModelServer
) -> None:
    model.break_next(Fault(kind="black_hole"))
    first = await installation.start()
    question = await platform.ask(QUESTION)
    await until(lambda: model.count == 1)
    await first.kill()
    assert platform.visible() == []

    await assert_answered_once(installation, platform, database, question)


async def test_while_the_answer_is_half_written(
    installation: Installation, platform: Platform, database: Database, model: ModelServer
) -> None:
    model.break_next(Fault(kind="stall", after_characters=48))
    first = await installation.start()
    question = await platform.ask(QUESTION)
    await until(platform.visible)
    await first.kill()
    (half,) = platform.answers(question)
    assert not half.is_whole

    await assert_answered_once(installation, platform, database, question)
    assert platform.visible()[0].id == half.id


async def test_after_the_platform_took_the_beginning_of_the_answer_and_before_we_know(
    installation: Installation, platform: Platform, database: Database, model: ModelServer
) -> None:
    model.break_next(Fault(kind="stall", after_characters=48))
    told = platform.keep_back_posts()
    first = await installation.start()
    question = await platform.ask(QUESTION)
    await until(platform.visible)
    await first.kill()
    told.set()

    await assert_answered_once(installation, platform, database, question)


async def test_after_the_platform_took_the_whole_answer_and_before_we_know(
    installation: Installation, platform: Platform, database: Database, model: ModelServer
) -> None:
    platform.refuse_streams()
    told = platform.keep_back_posts()
    first = await installation.start()
    question = await platform.ask(QUESTION)
    await until(lambda: any(answer.is_whole for answer in platform.answers(question)))
    await first.kill()
    told.set()
    asked = model.count

    await assert_answered_once(installation, platform, database, question)
    assert model.count == asked, "what is recorded is not thought up again"


async def test_after_the_last_change_is_visible_and_before_we_know(
    installation: Installation, platform: Platform, database: Database, model: ModelServer
) -> None:
    model.pace_seconds = 0.3
    told = platform.keep_back_changes()
    first = await installation.start()
    question = await platform.ask(QUESTION)
    await until(lambda: any(answer.is_whole for answer in platform.answers(question)))
    await first.kill()
    told.set()
    asked = model.count

    await assert_answered_once(installation, platform, database, question)
    assert model.count == asked, "what is recorded is not thought up again"


async def test_after_the_answer_is_noted_as_sent_and_before_the_work_is_noted_as_done(
    installation: Installation, platform: Platform, database: Database
) -> None:
    told = platform.keep_back_posts()
    first = await installation.start(LEASE_SECONDS="20")
    question = await platform.ask(QUESTION)
    await until(platform.visible)
    async with database.maintenance() as connection, connection.begin():
        # Keeps the row as it is, and lets others read it.
        await connection.execute(text("select id from inbox for share"))
        told.set()
        await eventually(lambda: database.run(WAITS_TO_FINISH))
        await first.kill()
    rows = await database.run(text("select state from outbox"))
    assert [row.state for row in rows] == ["sent"]
    await database.run(text("update inbox set lease_until = now()"))

    await assert_answered_once(installation, platform, database, question)
