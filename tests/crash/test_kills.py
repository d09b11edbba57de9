"""SIGKILL between any two steps of the road: the answer comes all the same, and it comes once.

Real processes, the platforms' own libraries, a real database; Slack, Discord and the model are loopback
servers, which show when a step is reached and keep it from going on. One process serves both platforms, so
that one kill hits a question on each.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping

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
from tests.crash.platforms import Platform, Slack, open_platforms

QUESTION = "How are hotels paid?"
ANSWER = "Hotels are paid with the company card, up to 140 euros a night."

WAITS_TO_FINISH = text(
    "select 1 from pg_stat_activity where datname = current_database() "
    "and wait_event_type = 'Lock' and query like 'UPDATE inbox%ended_as%'"
)

WAITS_TO_STORE = text(
    "select pid from pg_stat_activity where datname = current_database() "
    "and wait_event_type = 'Lock' and query ilike '%insert into inbox%'"
)
END = text("select pg_terminate_backend(:pid)")


@pytest.fixture
async def platforms(installation: Installation) -> AsyncIterator[list[Platform]]:
    async with open_platforms() as platforms:
        for platform in platforms:
            installation.settings |= platform.environment()
        yield platforms


async def ask(platforms: list[Platform]) -> dict[Platform, str]:
    """The same question everywhere; the ids of the messages."""
    return {platform: await platform.ask(QUESTION) for platform in platforms}


def is_visible(asked: Mapping[Platform, str]) -> bool:
    """Something stands under each question."""
    return all(platform.answers(question) for platform, question in asked.items())


def is_whole(asked: Mapping[Platform, str]) -> bool:
    """A whole answer stands under each question."""
    return all(
        any(answer.is_whole for answer in platform.answers(question)) for platform, question in asked.items()
    )


async def assert_answered_once(
    installation: Installation, database: Database, asked: Mapping[Platform, str]
) -> None:
    """A new process brings the road to its end; then one whole answer stands there and all is recorded."""
    async with installation.serving():
        await until(lambda: is_whole(asked))
        await until_all_is_done(database)
    assert await inbox_states(database) == [("done", "answered")] * len(asked)
    for platform, question in asked.items():
        (visible,) = platform.visible()
        assert platform.answers(question) == [visible]
        assert visible.is_whole
        assert visible.text.startswith(ANSWER)
        (turn,) = await turns_about(database, question)
        assert (turn.outcome, turn.question) == ("answered", QUESTION)
        rows = await database.run(
            text("select state, message_id from outbox where turn_id = :turn"), {"turn": turn.id}
        )
        assert [(row.state, row.message_id) for row in rows] == [("sent", visible.id)]


async def test_after_the_event_is_stored_and_before_anybody_works_on_it(
    installation: Installation, platforms: list[Platform], database: Database
) -> None:
    first = await installation.start(role="ingress")
    asked = await ask(platforms)
    for platform in platforms:
        await platform.taken_in()
    await until_stored(database, len(asked))
    await first.kill()
    assert await inbox_states(database) == [("queued", None)] * len(asked)

    await assert_answered_once(installation, database, asked)


async def until_stored(database: Database, count: int) -> None:
    """Wait until the inbox has that many items."""

    async def look() -> bool:
        return len(await inbox_states(database)) == count

    await eventually(look)


async def test_while_the_model_thinks(
    installation: Installation, platforms: list[Platform], database: Database, model: ModelServer
) -> None:
    model.break_all(Fault(kind="black_hole"))
    first = await installation.start()
    asked = await ask(platforms)
    await until(lambda: model.count == len(asked))
    await first.kill()
    model.heal()
    assert not is_visible(asked)

    await assert_answered_once(installation, database, asked)


async def test_while_the_answer_is_half_written(
    installation: Installation, platforms: list[Platform], database: Database, model: ModelServer
) -> None:
    model.break_all(Fault(kind="stall", after_characters=48))
    first = await installation.start()
    asked = await ask(platforms)
    await until(lambda: is_visible(asked))
    await first.kill()
    model.heal()
    halves = {platform: platform.visible() for platform in platforms}
    assert not any(half.is_whole for (half,) in halves.values())

    await assert_answered_once(installation, database, asked)
    for platform, (half,) in halves.items():
        assert platform.visible()[0].id == half.id


async def test_after_the_platform_took_the_beginning_of_the_answer_and_before_we_know(
    installation: Installation, platforms: list[Platform], database: Database, model: ModelServer
) -> None:
    model.break_all(Fault(kind="stall", after_characters=48))
    told = [platform.keep_back_posts() for platform in platforms]
    first = await installation.start()
    asked = await ask(platforms)
    await until(lambda: is_visible(asked))
    await first.kill()
    model.heal()
    for held in told:
        held.set()
    assert await noted_message_ids(database) == [None] * len(asked)

    await assert_answered_once(installation, database, asked)


async def noted_message_ids(database: Database) -> list[str | None]:
    """What the outbox knows of what became visible."""
    return [row.message_id for row in await database.run(text("select message_id from outbox"))]


async def test_after_the_platform_took_the_whole_answer_and_before_we_know(
    installation: Installation, platforms: list[Platform], database: Database, model: ModelServer
) -> None:
    for platform in platforms:
        platform.refuse_streams()
    told = [platform.keep_back_posts() for platform in platforms]
    first = await installation.start()
    asked = await ask(platforms)
    await until(lambda: is_whole(asked))
    await first.kill()
    for held in told:
        held.set()
    assert await noted_message_ids(database) == [None] * len(asked)
    calls = model.count

    await assert_answered_once(installation, database, asked)
    assert model.count == calls, "what is recorded is not thought up again"


async def test_after_the_last_change_is_visible_and_before_we_know(
    installation: Installation, platforms: list[Platform], database: Database, model: ModelServer
) -> None:
    model.pace_seconds = 0.3
    told = [platform.keep_back_last_changes() for platform in platforms]
    first = await installation.start()
    asked = await ask(platforms)
    await until(lambda: is_whole(asked))
    await first.kill()
    for held in told:
        held.set()
    calls = model.count

    await assert_answered_once(installation, database, asked)
    assert model.count == calls, "what is recorded is not thought up again"


async def test_after_the_answer_is_noted_as_sent_and_before_the_work_is_noted_as_done(
    installation: Installation, platforms: list[Platform], database: Database
) -> None:
    told = [platform.keep_back_posts() for platform in platforms]
    first = await installation.start(LEASE_SECONDS="20")
    asked = await ask(platforms)
    await until(lambda: is_visible(asked))
    async with database.transaction() as connection:
        # Keeps the rows as they are, and lets others read them.
        await connection.execute(text("select id from inbox for share"))
        for held in told:
            held.set()
        await eventually(lambda: wait_to_finish(database, len(asked)))
        await first.kill()
    rows = await database.run(text("select state from outbox"))
    assert [row.state for row in rows] == ["sent"] * len(asked)
    await database.run(text("update inbox set lease_until = now()"))

    await assert_answered_once(installation, database, asked)


async def wait_to_finish(database: Database, count: int) -> bool:
    return len(await database.run(WAITS_TO_FINISH)) == count


async def test_before_the_event_is_stored_slack_is_not_told_that_we_have_it_and_tells_us_again(
    installation: Installation, platforms: list[Platform], database: Database
) -> None:
    (slack,) = [platform for platform in platforms if isinstance(platform, Slack)]
    for setting in ("DISCORD_TOKEN", "DISCORD_API_URL", "DISCORD_GATEWAY_URL"):
        del installation.settings[setting]
    first = await installation.start()
    async with database.transaction() as connection:
        await connection.execute(text("lock table inbox in exclusive mode"))
        question = await slack.ask(QUESTION)
        waiting = await eventually(lambda: database.run(WAITS_TO_STORE))
        await first.kill()
        # Postgres would carry the statements out all the same: nobody has told it that they are in vain.
        for row in {*waiting, *await database.run(WAITS_TO_STORE)}:
            await database.run(END, {"pid": row.pid})
    assert await inbox_states(database) == []
    assert not any(delivery.acked for delivery in slack.server.deliverer.deliveries)

    await assert_answered_once(installation, database, {slack: question})


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(6))
async def test_at_any_moment_with_many_questions_and_two_processes(
    installation: Installation,
    platforms: list[Platform],
    database: Database,
    model: ModelServer,
    seed: int,
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a moment, not a secret
    model.pace_seconds = 0.15
    asked: list[tuple[Platform, str]] = []
    server, worker = await installation.start(), await installation.start(role="worker")
    for victim in ("server", "worker"):  # an event that is hit a third time would be parked
        for _ in range(4):
            asked += (await ask(platforms)).items()
        await until_stored(database, len(asked))
        # The moment is what the seed decides.
        await asyncio.sleep(chance.uniform(0.0, 1.2))
        if victim == "server":
            await server.kill()
            server = await installation.start()
        else:
            await worker.kill()
            worker = await installation.start(role="worker")
    await until(lambda: all(is_whole({platform: question}) for platform, question in asked))
    await until_all_is_done(database)
    await server.stop()
    await worker.stop()

    assert await inbox_states(database) == [("done", "answered")] * len(asked)
    assert sum(len(platform.visible()) for platform in platforms) == len(asked)
    for platform, question in asked:
        (answer,) = platform.answers(question)
        assert answer.is_whole
        assert answer.text.startswith(ANSWER)
        assert len(await turns_about(database, question)) == 1
