"""Databases of every release, with rows in them: they reach the newest schema, under traffic and after a failure."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest
from sqlalchemy import text

from core.storage.database import Database
from core.storage.inbox import PostgresInbox
from core.storage.migrating import find_head, migrations_folder, upgrade_schema
from core.testing.making import make_posted
from migrations.check import find_differences
from migrations.lint import find_risks, lint_new_migrations
from tests.migrations.conftest import migrate_at_once, version_of

RELEASED = Path(__file__).parent / "released"
BEFORE_INDEXES, BUILDS_INDEXES = "0011_fair_queue", "0012_fair_queue_indexes"
VERSIONS = sorted(file.stem for file in RELEASED.glob("*.sql") if not file.name.endswith(".rows.sql"))

INSERT = text(
    "insert into inbox (platform, workspace, channel, order_key, delivery_id, kind)"
    " values ('console', 'W1', 'C1', 'T', :delivery, 'message_deleted')"
)


async def restore(database: Database, version: str) -> None:
    """The schema of a release with its rows."""
    url = database.url
    connection = await asyncpg.connect(
        host=url.host or url.query.get("host"), port=url.port, user=url.username, database=url.database
    )
    for file in (f"{version}.sql", f"{version}.rows.sql"):
        await connection.execute((RELEASED / file).read_text())
    await connection.close()


async def counts(database: Database) -> dict[str, int]:
    rows = await database.run(
        text("select relname from pg_stat_user_tables where relname <> 'alembic_version' order by 1")
    )
    return {
        row.relname: (await database.run(text(f"select count(*) as rows from {row.relname}")))[0].rows  # noqa: S608
        for row in rows
    }


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_release_upgrades_with_its_rows(empty_database: str, version: str) -> None:
    database = Database(empty_database)
    await restore(database, version)
    before = await counts(database)
    assert min(before.values()) > 0, "every table has a row"
    await database.migrate()
    after = await counts(database)
    assert {table: after[table] for table in before} == before
    async with database.maintenance() as connection:
        assert await connection.run_sync(find_differences) == ""
    inbox = PostgresInbox(database)
    assert await inbox.put(make_posted())
    assert (await inbox.depth()).queued == 3
    await inbox.aclose()
    await database.aclose()


@pytest.mark.long
@pytest.mark.parametrize("begun", ["0002_knowledge", "0004_lexical_weights"])
async def test_five_processes_meet_a_database_that_is_halfway(
    empty_database: str, begun: str, tmp_path: Path
) -> None:
    database = Database(empty_database)
    await database.require_pgvector()
    async with database.workers.connect() as connection:
        await connection.run_sync(upgrade_schema, begun)
    await database.aclose()
    assert await migrate_at_once(empty_database, tmp_path) == [0] * 5
    assert await version_of(empty_database) == find_head()


async def test_nobody_queues_behind_a_migration_that_waits_for_a_reader(empty_database: str) -> None:
    database = Database(empty_database)
    await restore(database, "0.1.0")
    async with database.maintenance() as reader:
        await reader.execute(text("begin"))
        await reader.execute(text("select * from inbox, sources, chunks"))
        migrating = asyncio.create_task(database.migrate())
        written = 0
        async with asyncio.timeout(30):
            while written < 20:
                await database.run(INSERT, {"delivery": f"during-{written}"})
                written += 1
                await asyncio.sleep(0.1)
        assert not migrating.done()
        await reader.execute(text("rollback"))
    async with asyncio.timeout(60):
        await migrating
    assert await version_of(empty_database) == find_head()
    await database.aclose()


async def test_an_index_that_a_failure_left_half_built_is_built_again(empty_database: str) -> None:
    database = Database(empty_database)
    await database.require_pgvector()
    async with database.workers.connect() as connection:
        await connection.run_sync(upgrade_schema, BUILDS_INDEXES)
    async with database.maintenance() as connection:
        await connection.execute(
            text("update pg_index set indisvalid = false where indexrelid = 'ix_inbox_ready'::regclass")
        )
        await connection.execute(text("create index ix_inbox_queued on inbox (id) where state = 'queued'"))
        await connection.execute(
            text("update alembic_version set version_num = :before"), {"before": BEFORE_INDEXES}
        )
    await database.migrate()
    rows = await database.run(text("select 1 from pg_index where not indisvalid"))
    assert not rows
    async with database.maintenance() as connection:
        assert await connection.run_sync(find_differences) == ""
    await database.aclose()


@pytest.mark.parametrize(
    "risky",
    [
        "CREATE INDEX ix ON inbox (id)",
        "CREATE UNIQUE INDEX ix ON inbox (id)",
        "ALTER TABLE inbox ADD COLUMN extra TEXT NOT NULL",
        "ALTER TABLE inbox ADD COLUMN extra INT GENERATED ALWAYS AS (id * 2) STORED",
        "ALTER TABLE inbox ALTER COLUMN id TYPE INTEGER",
        "ALTER TABLE inbox ALTER COLUMN reason SET NOT NULL",
        "ALTER TABLE inbox ADD CONSTRAINT c CHECK (id > 0)",
        "ALTER TABLE inbox RENAME COLUMN reason TO why",
        "CREATE INDEX CONCURRENTLY ix ON inbox (id);\n\nALTER TABLE inbox ADD COLUMN extra TEXT",
    ],
)
def test_what_is_not_safe_under_traffic_is_found(risky: str) -> None:
    assert len(find_risks(f"{risky};\n\n")) == 1
    own = risky.replace("CONCURRENTLY ", "").split(";")[0]
    assert find_risks(f"CREATE TABLE inbox (id BIGINT);\n\n{own};\n\n") == []


def test_new_migrations_are_safe_under_traffic() -> None:
    assert lint_new_migrations(migrations_folder()) == []
