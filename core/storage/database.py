"""The way to Postgres: pools, single statements, transactions, migration, and honest errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog
from sqlalchemy import Executable, Row, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.util import greenlet_spawn

from core.storage.base import to_storable_json
from core.storage.connection_errors import (
    CONFLICT_STATES,
    mark_lost,
    outages_named,
    sql_state,
    wrong_settings_named,
)
from core.storage.database_url import name_server, parse_database_url
from core.storage.migrating import migrate_to_head, require_pgvector
from core.storage.session_check import require_whole_session

CONNECT_SECONDS = 5.0
# An acknowledgement is awaited; work may wait its turn for as long as one statement may take. A burst on a
# slow machine is no outage.
INGRESS_WAITS_SECONDS = 5.0
WORKERS_WAIT_SECONDS = 30.0
STATEMENT_SECONDS = 30
# Set with the connection, so that a search needs no statement before its own: walk on until enough rows
# pass the filter, instead of filtering what the first walk found.
VECTOR_SEARCH = {"hnsw.iterative_scan": "relaxed_order", "hnsw.ef_search": "200"}
PLANNED_ONCE = {"plan_cache_mode": "force_generic_plan"}
ATTEMPTS = 2

log = structlog.get_logger(__name__)


def _watched(engine: AsyncEngine) -> AsyncEngine:
    event.listen(engine.sync_engine, "handle_error", mark_lost)
    return engine


class Database:
    """One PostgreSQL with pgvector, reached through three small pools.

    `ingress` belongs to the acknowledgement of platforms and the renewal of leases, so that busy workers
    never delay them; `searches` plans each statement once instead of every time, which for a search costs more
    than the search itself; everything else uses `workers`. Nothing connects before the first use.
    Raises SettingsError for a URL that cannot be meant.
    """

    def __init__(
        self,
        url: str,
        *,
        ingress_connections: int = 4,
        worker_connections: int = 10,
        search_connections: int = 6,
    ) -> None:
        self.url = parse_database_url(url)
        single = (
            self._pool(ingress_connections, INGRESS_WAITS_SECONDS),
            self._pool(worker_connections, WORKERS_WAIT_SECONDS),
            self._pool(search_connections, WORKERS_WAIT_SECONDS, **PLANNED_ONCE),
        )
        # Views of the same pools. Single statements skip BEGIN and COMMIT, and the cost of switching.
        views = [pool.execution_options(isolation_level="READ COMMITTED") for pool in single]
        self.ingress, self.workers, self.searches = views
        self._single = dict(zip(views, single, strict=True))

    def _pool(self, size: int, wait_seconds: float, **server_settings: str) -> AsyncEngine:
        return _watched(
            create_async_engine(
                self.url,
                isolation_level="AUTOCOMMIT",
                pool_size=size,
                max_overflow=0,
                pool_timeout=wait_seconds,
                pool_recycle=1800,
                # The same few connections again and again: they know the statements already.
                pool_use_lifo=True,
                json_serializer=to_storable_json,
                connect_args={
                    "timeout": CONNECT_SECONDS,
                    "command_timeout": STATEMENT_SECONDS + CONNECT_SECONDS,
                    "server_settings": {
                        "application_name": "threadlore",
                        "statement_timeout": f"{STATEMENT_SECONDS}s",
                        **VECTOR_SEARCH,
                        **server_settings,
                    },
                },
            )
        )

    async def run(
        self,
        statement: Executable,
        parameters: Mapping[str, Any] | None = None,
        *,
        pool: AsyncEngine | None = None,
    ) -> Sequence[Row[Any]]:
        """One statement in one round trip, committed on return; its rows, if it returns any.

        Repeated once after a lost connection or a conflict, so it must bear being done twice.
        Raises StorageUnavailableError.
        """
        engine = self._single[pool or self.workers].sync_engine

        def execute() -> Sequence[Row[Any]]:
            with engine.connect() as connection:
                result = connection.execute(statement, parameters)
                return result.all() if result.returns_rows else ()

        with outages_named():
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    # As AsyncConnection does it, but with one greenlet instead of three: a third less CPU.
                    return await greenlet_spawn(execute)
                except DBAPIError as error:
                    lost = error.connection_invalidated
                    if attempt == ATTEMPTS or not (lost or sql_state(error) in CONFLICT_STATES):
                        raise
                    log.info("statement_repeated", connection_lost=lost)
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Several statements that hold together. Keep it short: never across a model call.

        Raises StorageUnavailableError.
        """
        with outages_named():
            async with self.workers.begin() as connection:
                yield connection

    @asynccontextmanager
    async def maintenance(self) -> AsyncIterator[AsyncConnection]:
        """A connection of its own, every statement committed, no time limit: for building an index, say."""
        engine = self._unpooled()
        with outages_named():
            async with engine.connect() as connection:
                yield connection

    def _unpooled(self, **server_settings: str) -> AsyncEngine:
        return _watched(
            create_async_engine(
                self.url,
                poolclass=NullPool,
                json_serializer=to_storable_json,
                isolation_level="AUTOCOMMIT",
                connect_args={
                    "timeout": CONNECT_SECONDS,
                    "server_settings": {"application_name": "threadlore", **server_settings},
                },
            )
        )

    async def ping(self) -> None:
        """Raises SettingsError if DATABASE_URL is wrong, StorageUnavailableError if nobody answers."""
        with outages_named(), wrong_settings_named(name_server(self.url)):
            async with self._single[self.workers].connect() as connection:
                await connection.execute(text("select 1"))

    async def require_pgvector(self) -> str:
        """The version of pgvector; installs the extension if it may. Raises SettingsError if unfit."""
        with outages_named(), wrong_settings_named(name_server(self.url)):
            async with self._unpooled().connect() as connection:
                return await require_pgvector(connection)

    async def require_whole_session(self) -> None:
        """Raises SettingsError when the server is read-only, or a pooler in front of it takes our sessions
        apart; StorageUnavailableError."""
        with outages_named(), wrong_settings_named(name_server(self.url)):
            await require_whole_session(self._unpooled(**VECTOR_SEARCH), VECTOR_SEARCH)

    async def migrate(self) -> None:
        """Bring the schema to the newest version; many processes may do so at once.

        Raises SettingsError (wrong URL, no pgvector), StorageUnavailableError.
        """
        settings = {"lock_timeout": "1s", "statement_timeout": "60s"}
        with outages_named(), wrong_settings_named(name_server(self.url)):
            await migrate_to_head(self._unpooled(**settings))

    async def aclose(self) -> None:
        """Close all connections."""
        for pool in (self.ingress, self.workers, self.searches):
            await pool.dispose()
