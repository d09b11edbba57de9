"""Runs migrations on the connection it is given, or, for Alembic's command line, on DATABASE_URL."""

from __future__ import annotations

import asyncio

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from core.errors import SettingsError
from core.settings import CoreSettings, read_settings
from core.storage.database_url import parse_database_url
from migrations.comparison import OPTIONS


def run(connection: Connection) -> None:
    context.configure(connection=connection, transaction_per_migration=True, **OPTIONS)
    with context.begin_transaction():
        context.run_migrations()


async def run_on_database_url() -> None:
    url = read_settings(CoreSettings).database_url
    if url is None:
        raise SettingsError("DATABASE_URL", "It is not set.", "Alembic's command line needs it.")
    engine = create_async_engine(
        parse_database_url(url.get_secret_value()),
        poolclass=NullPool,
        connect_args={"server_settings": {"lock_timeout": "1s", "statement_timeout": "60s"}},
    )
    async with engine.connect() as connection:
        await connection.run_sync(run)


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    asyncio.run(run_on_database_url())
