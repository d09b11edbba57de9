"""The way to Postgres under bad circumstances: wrong URLs, cut connections, busy pools, other processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from asyncpg.exceptions import InternalClientError  # type: ignore[import-untyped]
from sqlalchemy import event, text

from core.errors import SettingsError, StorageUnavailableError
from core.inbox import Claim
from core.storage.cluster import open_cluster
from core.storage.database import Database
from core.storage.embedded import start_embedded_postgres
from core.storage.inbox import PostgresInbox
from core.testing.making import make_message, make_posted, make_thread


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
async def test_every_usual_scheme_is_understood(database_url: str, scheme: str) -> None:
    database = Database(database_url.replace("postgresql+asyncpg", scheme))
    await database.ping()
    await database.aclose()


@pytest.mark.parametrize(
    "url",
    [
        "not a url",
        "mysql://user:secret@localhost/name",
        "postgresql://user:secret@localhost:port/name",
        "postgresql://user:secret@localhost/name?colour=blue",
    ],
)
def test_a_url_that_cannot_be_meant_names_the_setting_and_keeps_the_password(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Database(url)
    assert caught.value.setting == "DATABASE_URL"
    assert "secret" not in str(caught.value)


def test_what_hosters_append_is_understood() -> None:
    url = Database("postgres://user@host/name?sslmode=require&channel_binding=require").url
    assert dict(url.query) == {"ssl": "require"}


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    database = Database("postgresql://user:secret@127.0.0.1:1/name")
    for call in (database.ping(), database.migrate(), database.run(text("select 1"))):
        with pytest.raises(StorageUnavailableError) as caught:
            await call
        assert "secret" not in str(caught.value)


async def test_a_database_that_does_not_exist_is_a_wrong_setting(database: Database) -> None:
    other = Database(database.url.set(database="missing").render_as_string(hide_password=False))
    with pytest.raises(SettingsError, match="no such database"):
        await other.ping()
    with pytest.raises(SettingsError, match="no such database"):
        await other.migrate()


async def test_a_user_that_does_not_exist_is_a_wrong_setting(database: Database) -> None:
    other = Database(database.url.set(username="nobody").render_as_string(hide_password=False))
    with pytest.raises(SettingsError, match="user"):
        await other.ping()


async def test_pgvector_is_there_and_fit(database: Database) -> None:
    assert await database.require_pgvector() >= "0.8"


async def test_statements_go_on_after_all_connections_were_cut(database: Database, database_url: str) -> None:
    ours = Database(database_url)
    await asyncio.gather(*(ours.run(text("select pg_sleep(0.05)")) for _ in range(4)))
    cut = text(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
    async with database.maintenance() as connection:
        await connection.execute(cut)
    results = await asyncio.gather(*(ours.run(text("select 1 as one")) for _ in range(8)))
    assert [rows[0].one for rows in results] == [1] * 8
    await ours.aclose()


async def test_a_driver_that_lost_its_way_counts_as_a_lost_connection(database: Database) -> None:
    """What asyncpg says, now and then, of a connection that is ended while a statement is being prepared."""
    engine, failures = database.workers.sync_engine, [1]

    def lose_the_way(cursor: Any, statement: str, parameters: Any, context: Any) -> None:
        if failures and "select 41" in statement:
            failures.pop()
            cause = InternalClientError("cannot switch to state 12; another operation (2) is in progress")
            raise engine.dialect.dbapi.InternalClientError(str(cause)) from cause  # type: ignore[union-attr]

    event.listen(engine, "do_execute", lose_the_way)
    try:
        (row,) = await database.run(text("select 41 + 1 as sum"))
    finally:
        event.remove(engine, "do_execute", lose_the_way)
    assert (row.sum, failures) == (42, [])


async def test_a_busy_worker_pool_does_not_delay_the_acknowledgement(database_url: str) -> None:
    database = Database(database_url, worker_connections=1)
    inbox = PostgresInbox(database)
    busy = asyncio.create_task(database.run(text("select pg_sleep(60)")))
    await asyncio.sleep(0)
    assert await inbox.put(make_posted())
    assert not busy.done()
    busy.cancel()
    await asyncio.gather(busy, return_exceptions=True)
    assert (await database.run(text("select 1 as one")))[0].one == 1
    await inbox.aclose()
    await database.aclose()


async def test_a_cancelled_statement_leaves_a_pool_that_works(database_url: str) -> None:
    database = Database(database_url, worker_connections=1)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await database.run(text("select pg_sleep(30)"))
    assert (await database.run(text("select 1 as one")))[0].one == 1
    await database.aclose()


async def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    async def fail_halfway() -> None:
        async with database.transaction() as connection:
            await connection.execute(text("insert into message_tombstones values ('a','b','c','d',uuidv7())"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_halfway()
    assert not await database.run(text("select 1 from message_tombstones"))


PUT = """
import asyncio, sys
from core.storage.database import Database
from core.storage.inbox import PostgresInbox
from core.testing.making import make_message, make_posted, make_thread

async def main():
    inbox = PostgresInbox(Database(sys.argv[1]))
    for number in range(int(sys.argv[2])):
        await inbox.put(make_posted(make_message(thread=make_thread(f"P{number}"))))
    await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""


async def test_another_process_wakes_a_waiting_worker(database: Database, database_url: str) -> None:
    inbox = PostgresInbox(database)
    await inbox.claim(platforms=["console"], limit=1, lease_seconds=60)
    waiting = asyncio.create_task(inbox.wait(60))
    listening = text("select 1 from pg_stat_activity where application_name = 'threadlore-wakeups'")
    deadline = time.monotonic() + 10
    while not await database.run(listening):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    # Connecting counts as a wake-up of its own, since something may have come before.
    await asyncio.wait_for(waiting, 10)
    await inbox.claim(platforms=["console"], limit=1, lease_seconds=60)
    waiting = asyncio.create_task(inbox.wait(60))
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PUT, database_url, "1", stdin=asyncio.subprocess.PIPE
    )
    await asyncio.wait_for(waiting, 30)
    assert len(await inbox.claim(platforms=["console"], limit=1, lease_seconds=60)) == 1
    await other.communicate(b"\n")
    await inbox.aclose()


async def test_old_finished_items_are_pruned_and_open_ones_stay(database: Database) -> None:
    inbox = PostgresInbox(database)
    for number in range(3):
        await inbox.put(make_posted(make_message(thread=make_thread(f"T{number}"))))
    claims = await inbox.claim(platforms=["console"], limit=2, lease_seconds=3600)
    for claim in claims:
        await inbox.finish(claim, "answered")
    await database.run(
        text("update inbox set finished_at = now() - interval '8 days' where id = :id"), {"id": claims[0].id}
    )
    await inbox.sweep()
    rows = await database.run(text("select state from inbox order by id"))
    assert [row.state for row in rows] == ["done", "queued"]
    await inbox.aclose()


async def test_a_stored_event_that_nobody_understands_is_parked_and_others_go_on(database: Database) -> None:
    inbox = PostgresInbox(database)
    for number in range(2):
        await inbox.put(make_posted(make_message(thread=make_thread(f"T{number}"))))
    await database.run(
        text("update inbox set event = '{\"kind\": \"of the future\"}' where order_key = 'T0'")
    )
    claims = await inbox.claim(platforms=["console"], limit=2, lease_seconds=60)
    assert len(claims) == 1
    assert (await inbox.depth()).parked == 1
    await inbox.aclose()


async def test_the_road_goes_on_after_the_server_was_killed(tmp_path: Path) -> None:
    server = await start_embedded_postgres(tmp_path)
    database = Database(server.url)
    await database.migrate()
    inbox = PostgresInbox(database)
    event = make_posted()
    assert await inbox.put(event)
    pid = open_cluster(tmp_path).server_pid()
    assert pid is not None

    os.kill(pid, signal.SIGKILL)

    deadline = time.monotonic() + 30
    claims: list[Claim] = []
    while not claims:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
        with suppress(StorageUnavailableError):
            claims = await inbox.claim(platforms=["console"], limit=1, lease_seconds=60)
    assert claims[0].event == event
    assert not await inbox.put(event)
    await inbox.aclose()
    await database.aclose()
    await server.stop()
