"""`python -m migrations.check`: do the migrations make exactly the tables that the models describe, and are
those since the last release safe under traffic (migrations/lint.py)?

Migrates an empty, throw-away database (in an embedded Postgres, or beside the one of DATABASE_URL)
and compares. Exit code 1 and the missing operations when they differ.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from core.settings import CoreSettings, read_settings
from core.storage.database import Database
from core.storage.embedded import start_embedded_postgres
from core.storage.migrating import migrations_folder
from migrations.comparison import OPTIONS
from migrations.lint import lint_new_migrations


def find_differences(connection: Connection) -> str:
    """The operations that are missing from the migrations, as Python; "" if none are."""
    context = MigrationContext.configure(connection, opts=OPTIONS)
    script = produce_migrations(context, OPTIONS["target_metadata"])
    assert script.upgrade_ops is not None  # noqa: S101 (narrows the type; always set here)
    return "" if script.upgrade_ops.is_empty() else render_python_code(script.upgrade_ops)


async def check(url: str) -> str:
    """Migrate the empty database and compare it with the models."""
    database = Database(url)
    try:
        await database.migrate()
        async with database.maintenance() as connection:
            return await connection.run_sync(find_differences)
    finally:
        await database.aclose()


@asynccontextmanager
async def throw_away_database() -> AsyncIterator[str]:
    """The URL of an empty database that is gone afterwards."""
    given = read_settings(CoreSettings).database_url
    if given is None:
        with tempfile.TemporaryDirectory() as folder:
            server = await start_embedded_postgres(Path(folder), durable=False)
            try:
                yield server.url
            finally:
                await server.stop()
        return
    database = Database(given.get_secret_value())
    name = f"threadlore_check_{os.getpid()}"
    try:
        async with database.maintenance() as connection:
            await connection.execute(text(f"create database {name}"))
            try:
                yield database.url.set(database=name).render_as_string(hide_password=False)
            finally:
                await connection.execute(text(f"drop database {name}"))
    finally:
        await database.aclose()


async def main() -> int:
    risks = lint_new_migrations(migrations_folder())
    if risks:
        sys.stderr.write("\n".join(["Not safe under traffic:", *risks, ""]))
        return 1
    async with throw_away_database() as url:
        differences = await check(url)
    if differences:
        sys.stderr.write(
            f"The models and the migrations differ. Missing from the migrations:\n{differences}\n"
        )
        return 1
    sys.stdout.write("The migrations make exactly what the models describe.\n")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
