"""Work that one process at a time does, whichever it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text

from core.storage.database import Database

TRY_LOCK = text("select pg_try_advisory_lock(hashtextextended(:name, 7411))")


class PostgresExclusive:
    """Advisory locks of Postgres: held by a connection, so that a process that dies lets go."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def exclusively(self, name: str) -> AsyncIterator[bool]:
        """True inside if nobody else is at it; the others get False at once. Holds no transaction."""
        async with self._database.maintenance() as connection:
            held = (await connection.execute(TRY_LOCK, {"name": name})).scalar_one()
            yield bool(held)
