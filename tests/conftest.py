"""The test ground: one embedded Postgres for all workers of a test run, one database for each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import text

from core.storage.database import Database
from core.storage.embedded import start_embedded_postgres
from core.storage.schema import metadata

TESTS = Path(__file__).parent

# `make test` tries the same examples every time; `make test-all` looks for new ones. How long one takes says
# more about the machine than about the code.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("searching", print_blob=True, deadline=None)

SLOWEST_FIRST = ("chaos", "crash", "acceptance", "integration", "migrations", "platforms", "contracts")
"""Folders of tests/. A file is the work of one worker: a long one that began last would leave the others idle."""

EMPTY_ALL_TABLES = "do $$ begin {} end $$".format(
    "".join(
        f"if exists (select from {name}) then truncate {name} cascade; end if; " for name in metadata.tables
    )
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the folders begin first that take longest; the others keep their places."""
    place = {name: number for number, name in enumerate(SLOWEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.relative_to(TESTS).parts[0], len(place)))


@pytest.fixture(scope="session")
async def postgres_url(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> AsyncIterator[str]:
    """The server of this test run. Whoever comes first starts it, whoever leaves last stops it."""
    base = tmp_path_factory.getbasetemp()
    shared: Path = base if worker_id == "master" else base.parent
    server = await start_embedded_postgres(shared / "home", durable=False)
    yield server.url
    await server.stop()


@pytest.fixture(scope="session")
async def migrated_database(postgres_url: str, worker_id: str) -> AsyncIterator[Database]:
    """This worker's own database with the newest schema; whatever tests left in it is still there."""
    server = Database(postgres_url)
    name = f"tests_{worker_id}"
    async with server.maintenance() as connection:
        await connection.execute(text(f"create database {name}"))
    await server.aclose()
    database = Database(server.url.set(database=name).render_as_string(hide_password=False))
    await database.migrate()
    yield database
    await database.aclose()


@pytest.fixture
async def database(migrated_database: Database) -> Database:
    """A migrated database with nothing in it."""
    await migrated_database.run(text(EMPTY_ALL_TABLES))
    return migrated_database


@pytest.fixture
def database_url(database: Database) -> str:
    """The URL of `database`, for processes that a test starts."""
    return database.url.render_as_string(hide_password=False)
