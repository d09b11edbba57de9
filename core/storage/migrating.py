"""Brings a database to the newest schema: one process at a time, never waiting long for a lock."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import structlog
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.errors import SettingsError, StorageUnavailableError
from core.storage.connection_errors import NO_LOCK_STATE, sql_state

ADVISORY_LOCK = 0x7468726561646C6F  # any number, the same in every process
WAIT_SECONDS = 300.0
LOOK_AGAIN_SECONDS = 0.05
LOCK_ATTEMPTS = 30
OLDEST_PGVECTOR = (0, 8, 0)
ADVISED_PGVECTOR = (0, 8, 4)

log = structlog.get_logger(__name__)


async def migrate_to_head(engine: AsyncEngine) -> None:
    """Run every migration that is missing, under an advisory lock. The engine commits each statement."""
    head = find_head()
    async with engine.connect() as guard:
        if await _version(guard) == head:
            return
        async with _one_at_a_time(guard):
            await require_pgvector(guard)
            before = await _version(guard)
            for attempt in range(1, LOCK_ATTEMPTS + 1):
                try:
                    async with engine.execution_options(isolation_level="READ COMMITTED").connect() as work:
                        await work.run_sync(upgrade_schema)
                    break
                except DBAPIError as error:
                    # Somebody reads the table for long: let those behind us pass, then try again.
                    if sql_state(error) != NO_LOCK_STATE or attempt == LOCK_ATTEMPTS:
                        raise
                    await asyncio.sleep(1.0)
            log.info("schema_migrated", before=before or "", now=head)


async def require_pgvector(connection: AsyncConnection) -> str:
    """The version of pgvector in this database; installed here if it may be. Raises SettingsError."""
    query = text(
        "select default_version, installed_version from pg_available_extensions where name = 'vector'"
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise SettingsError(
            "DATABASE_URL",
            "This PostgreSQL has no pgvector.",
            "Install pgvector 0.8.4 or newer on the server, use an image that has it (pgvector/pgvector),"
            " or leave DATABASE_URL out for the embedded Postgres.",
        )
    version = row.installed_version or await _install_pgvector(connection, row.default_version)
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    if numbers < OLDEST_PGVECTOR:
        raise SettingsError(
            "DATABASE_URL",
            f"pgvector {version} is too old.",
            "Install pgvector 0.8.4 or newer on the server, then run: ALTER EXTENSION vector UPDATE",
        )
    if numbers < ADVISED_PGVECTOR:
        log.warning("pgvector_should_be_updated", version=version, advised="0.8.4")
    return str(version)


async def _install_pgvector(connection: AsyncConnection, version: str) -> str:
    try:
        await connection.execute(text("create extension if not exists vector"))
    except DBAPIError as error:
        if sql_state(error) != "42501":
            raise
        raise SettingsError(
            "DATABASE_URL",
            "This user may not install pgvector.",
            "As a superuser run in this database: CREATE EXTENSION vector",
        ) from error
    return version


@asynccontextmanager
async def _one_at_a_time(connection: AsyncConnection) -> AsyncIterator[None]:
    """Asks again and again instead of waiting: a waiting statement would block concurrent index builds."""
    deadline = time.monotonic() + WAIT_SECONDS
    key = {"key": ADVISORY_LOCK}
    while not (await connection.execute(text("select pg_try_advisory_lock(:key)"), key)).scalar_one():
        if time.monotonic() > deadline:
            raise StorageUnavailableError("another process has been migrating the schema for too long")
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
    try:
        yield
    finally:
        await connection.execute(text("select pg_advisory_unlock(:key)"), key)


async def _version(connection: AsyncConnection) -> str | None:
    known = await connection.execute(text("select to_regclass('alembic_version') is not null"))
    if not known.scalar_one():
        return None
    return (await connection.execute(text("select version_num from alembic_version"))).scalar_one_or_none()


def migrations_folder() -> Path:
    """Where the migrations lie, without importing them."""
    spec = find_spec("migrations")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the package migrations is not installed")
    return Path(next(iter(spec.submodule_search_locations)))


def find_head() -> str:
    """The newest revision, read from the files: Alembic itself is slow to import on every start."""
    revisions: set[str] = set()
    followed: set[str] = set()
    for file in (migrations_folder() / "versions").glob("*.py"):
        content = file.read_text()
        revisions.update(re.findall(r'^revision(?:: str)? = "(\w+)"', content, re.MULTILINE))
        followed.update(re.findall(r'^down_revision(?:: [\w| ]+)? = "(\w+)"', content, re.MULTILINE))
    (head,) = revisions - followed
    return head


def upgrade_schema(connection: Connection, revision: str = "head") -> None:
    """Run the migrations up to the revision on this connection, each in a transaction of its own."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
