"""Installations in Postgres: one per workspace, and the one-time states of those under way."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from core.storage.database import Database
from core.storage.installation_tables import InstallationRow, InstallationStateRow


class PostgresInstallationStore:
    """Generic in the platform. Every call is one statement; all raise StorageUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, platform: str, workspace: str, data: Mapping[str, Any]) -> None:
        """Keep the installation; it replaces what was there. `data` is JSON."""
        row = insert(InstallationRow).values(platform=platform, workspace=workspace, data=dict(data))
        await self._database.run(
            row.on_conflict_do_update(
                index_elements=[InstallationRow.platform, InstallationRow.workspace],
                set_={"data": row.excluded.data, "changed_at": func.now()},
            )
        )

    async def find(self, platform: str, workspace: str) -> Mapping[str, Any] | None:
        """What was saved. Read on the way to an acknowledgement, so it takes an ingress connection."""
        rows = await self._database.run(
            select(InstallationRow.data).where(
                InstallationRow.platform == platform, InstallationRow.workspace == workspace
            ),
            pool=self._database.ingress,
        )
        return rows[0].data if rows else None

    async def workspaces(self, platform: str) -> list[str]:
        """Every workspace that something was saved for."""
        rows = await self._database.run(
            select(InstallationRow.workspace)
            .where(InstallationRow.platform == platform)
            .order_by(InstallationRow.workspace)
        )
        return [row.workspace for row in rows]

    async def remove(self, platform: str, workspace: str) -> bool:
        """True: there was one."""
        removed = await self._database.run(
            delete(InstallationRow)
            .where(InstallationRow.platform == platform, InstallationRow.workspace == workspace)
            .returning(InstallationRow.workspace)
        )
        return bool(removed)

    async def issue_state(self, platform: str, state: str, lifetime_seconds: float) -> None:
        """Keep a state, and clear away those that nobody came back with."""
        await self._database.run(
            delete(InstallationStateRow).where(InstallationStateRow.expires_at < func.now())
        )
        expires_at = func.now() + timedelta(seconds=lifetime_seconds)
        await self._database.run(
            insert(InstallationStateRow)
            .values(platform=platform, state=state, expires_at=expires_at)
            .on_conflict_do_nothing()
        )

    async def consume_state(self, platform: str, state: str) -> bool:
        """True once for a state that was issued and has not expired."""
        consumed = await self._database.run(
            delete(InstallationStateRow)
            .where(InstallationStateRow.platform == platform, InstallationStateRow.state == state)
            .returning((InstallationStateRow.expires_at > func.now()).label("in_time"))
        )
        return bool(consumed and consumed[0].in_time)
