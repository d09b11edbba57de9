"""How far the channels have been heard, in Postgres."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Boolean, Numeric, Text, bindparam, cast, column, func, select
from sqlalchemy.dialects.postgresql import JSONB, insert

from core.listening import newest_by_place
from core.messages import Channel
from core.storage.database import Database
from core.storage.position_tables import ChannelPositionRow, HeardWorkspaceRow

_incoming = (
    func.jsonb_to_recordset(bindparam("positions", type_=JSONB))
    .table_valued(
        column("platform", Text),
        column("workspace", Text),
        column("channel", Text),
        column("channel_private", Boolean),
        column("channel_parent", Text),
        column("message_id", Text),
    )
    .render_derived("incoming", with_types=True)
)
_insert = insert(ChannelPositionRow).from_select([c.name for c in _incoming.c], select(_incoming))
_ADVANCE = _insert.on_conflict_do_update(
    index_elements=[ChannelPositionRow.platform, ChannelPositionRow.workspace, ChannelPositionRow.channel],
    set_={
        "message_id": _insert.excluded.message_id,
        "channel_private": _insert.excluded.channel_private,
        "channel_parent": _insert.excluded.channel_parent,
        "changed_at": func.now(),
    },
    where=cast(ChannelPositionRow.message_id, Numeric) < cast(_insert.excluded.message_id, Numeric),
)
_OF_PLATFORM = select(ChannelPositionRow.__table__).where(
    ChannelPositionRow.platform == bindparam("of_platform")
)
_noted = insert(HeardWorkspaceRow).values(
    platform=bindparam("of_platform"), workspace=bindparam("of_workspace"), heard_until=bindparam("at")
)
_NOTE_HEARD = _noted.on_conflict_do_update(
    index_elements=[HeardWorkspaceRow.platform, HeardWorkspaceRow.workspace],
    set_={"heard_until": func.greatest(HeardWorkspaceRow.heard_until, _noted.excluded.heard_until)},
)
_HEARD_UNTIL = select(HeardWorkspaceRow.heard_until).where(
    HeardWorkspaceRow.platform == bindparam("of_platform"),
    HeardWorkspaceRow.workspace == bindparam("of_workspace"),
)


class PostgresChannelPositions:
    """Implements core.listening.ChannelPositions. Every call is one statement; all raise StorageUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def advance(self, newest: Mapping[Channel, str]) -> None:
        if not newest:
            return
        positions = [
            {
                "platform": channel.platform,
                "workspace": channel.workspace,
                "channel": channel.id,
                "channel_private": channel.private,
                "channel_parent": channel.parent,
                "message_id": message_id,
            }
            for channel, message_id in newest_by_place(newest)
        ]
        await self._database.run(_ADVANCE, {"positions": positions})

    async def of_platform(self, platform: str) -> dict[Channel, str]:
        rows = await self._database.run(_OF_PLATFORM, {"of_platform": platform})
        return {
            Channel(
                platform=row.platform,
                workspace=row.workspace,
                id=row.channel,
                private=row.channel_private,
                parent=row.channel_parent,
            ): row.message_id
            for row in rows
        }

    async def note_heard(self, platform: str, workspace: str, at: datetime) -> None:
        await self._database.run(_NOTE_HEARD, {"of_platform": platform, "of_workspace": workspace, "at": at})

    async def heard_until(self, platform: str, workspace: str) -> datetime | None:
        rows = await self._database.run(_HEARD_UNTIL, {"of_platform": platform, "of_workspace": workspace})
        return rows[0].heard_until if rows else None
