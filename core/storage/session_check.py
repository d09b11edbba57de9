"""Whether a connection is the session that we take it for: poolers and replicas look like a Postgres and are not."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.errors import SettingsError

PID = text("select pg_backend_pid()")
POOLER_REMEDY = (
    "Put the address of PostgreSQL itself into DATABASE_URL, or that of a pool in session mode"
    " (pool_mode=session) that lets all settings through."
)


async def require_whole_session(engine: AsyncEngine, settings: dict[str, str]) -> None:
    """Raises SettingsError where connections are read-only, lose `settings` or change servers between
    statements. `engine` opens connections with `settings`, each for itself, and commits every statement."""
    async with engine.connect() as ours, engine.connect() as other:
        if (await ours.execute(text("show transaction_read_only"))).scalar_one() == "on":
            raise SettingsError(
                "DATABASE_URL",
                "This server is read-only: a replica, or a primary that was set so.",
                "Put the address of the primary into DATABASE_URL.",
            )
        for name, value in settings.items():
            found = (await ours.execute(text(f"select current_setting('{name}', true)"))).scalar_one()
            if found != value:
                raise SettingsError(
                    "DATABASE_URL", f"A pooler drops the setting {name} of our sessions.", POOLER_REMEDY
                )
        before = (await ours.execute(PID)).scalar_one()
        await other.execute(text("begin"))
        try:
            after = (await ours.execute(PID)).scalar_one()
        finally:
            await other.execute(text("rollback"))
        if before != after:
            raise SettingsError(
                "DATABASE_URL",
                "A pooler gives our session away after each statement (transaction mode): locks and"
                " notifications get lost.",
                POOLER_REMEDY,
            )
