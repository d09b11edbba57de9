"""Databases to migrate."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from core.storage.database import Database
from tests.processes.starting import start_threadlore


async def migrate_at_once(url: str, folder: Path) -> list[int | None]:
    """How five `threadlore migrate` ended that began together."""
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": url, "THREADLORE_HOME": str(folder)}
    processes = await asyncio.gather(
        *(start_threadlore(("migrate",), environment=environment, folder=folder) for _ in range(5))
    )
    await asyncio.gather(*(process.communicate() for process in processes))
    return [process.returncode for process in processes]


@pytest.fixture
async def empty_database(postgres_url: str) -> AsyncIterator[str]:
    """The URL of a database with nothing in it, not even our tables."""
    server = Database(postgres_url)
    name = f"empty_{uuid4().hex}"
    async with server.maintenance() as connection:
        await connection.execute(text(f"create database {name}"))
        yield server.url.set(database=name).render_as_string(hide_password=False)
        await connection.execute(text(f"drop database {name} with (force)"))
    await server.aclose()


async def version_of(url: str) -> str:
    database = Database(url)
    try:
        (row,) = await database.run(text("select version_num from alembic_version"))
        return str(row.version_num)
    finally:
        await database.aclose()
