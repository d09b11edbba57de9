"""Migrations: from nothing, by many at once, equal to the models, patient with those who read."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text

from core.storage.database import Database
from core.storage.migrating import find_head
from core.storage.schema import metadata
from migrations.check import check, find_differences
from tests.migrations.conftest import migrate_at_once, version_of


async def test_migrations_make_exactly_what_the_models_describe(empty_database: str) -> None:
    assert await check(empty_database) == ""
    assert await version_of(empty_database) == find_head()


async def test_a_model_without_a_migration_is_reported(empty_database: str) -> None:
    await check(empty_database)
    database = Database(empty_database)
    async with database.maintenance() as connection:
        await connection.execute(text("alter table inbox drop column reason"))
        await connection.execute(text("drop index ix_outbox_thread"))
        differences = await connection.run_sync(find_differences)
    await database.aclose()
    assert "reason" in differences
    assert "ix_outbox_thread" in differences


async def test_tables_of_others_are_left_alone(empty_database: str) -> None:
    database = Database(empty_database)
    await database.run(text("create table of_somebody_else (id int)"))
    await database.aclose()
    assert await check(empty_database) == ""


async def test_five_processes_migrate_at_once(empty_database: str, tmp_path: Path) -> None:
    assert await migrate_at_once(empty_database, tmp_path) == [0] * 5
    assert await version_of(empty_database) == find_head()


async def test_migrating_again_changes_nothing(empty_database: str) -> None:
    database = Database(empty_database)
    await database.migrate()
    await database.migrate()
    await database.aclose()
    assert await version_of(empty_database) == find_head()


async def test_every_table_has_a_primary_key_and_text_that_can_be_stored() -> None:
    for table in metadata.tables.values():
        assert table.primary_key.columns, table.name
        for column in table.columns:
            assert str(column.type) != "VARCHAR", f"{table.name}.{column.name} takes text unchecked"
