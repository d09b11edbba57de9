"""The outbox in Postgres: every visible message of ours, by stable id, written only while the claim holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Integer,
    Row,
    Text,
    Uuid,
    bindparam,
    case,
    column,
    func,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from core.errors import LeaseLostError, StorageError
from core.inbox import Claim
from core.messages import Channel, Thread
from core.ports import Effect, EffectState
from core.storage.base import StorableText
from core.storage.database import Database
from core.storage.fencing import HELD_CLAIM, fence_of, require_held
from core.storage.inbox_statements import FLUSHED_LATER
from core.storage.tables import OutboxRow

_incoming = (
    func.jsonb_to_recordset(bindparam("effects", type_=JSONB))
    .table_valued(
        column("id", Uuid),
        column("turn_id", Uuid),
        column("platform", Text),
        column("workspace", Text),
        column("channel", Text),
        column("channel_private", Boolean),
        column("channel_parent", Text),
        column("thread_id", Text),
        column("purpose", Text),
        column("part", Integer),
        column("state", Text),
        column("body", JSONB),
        column("message_id", Text),
    )
    .render_derived("incoming", with_types=True)
)
_insert = insert(OutboxRow).from_select(
    [name.name for name in _incoming.c], select(_incoming).select_from(_incoming.join(HELD_CLAIM, true()))
)
_is_over = or_(OutboxRow.state == "sent", OutboxRow.state == "removed")
_plan = _insert.on_conflict_do_update(
    index_elements=[OutboxRow.id],
    set_={
        "body": case((_is_over, OutboxRow.body), else_=_insert.excluded.body),
        "changed_at": func.now(),
    },
)
PLAN = _plan.returning(OutboxRow)
PLAN_FLUSHED_LATER = _plan.returning(OutboxRow, FLUSHED_LATER)

_set_state = (
    update(OutboxRow)
    .where(OutboxRow.id == bindparam("effect_id", type_=Uuid), select(HELD_CLAIM.c.id).exists())
    .values(
        state=bindparam("new_state"),
        message_id=func.coalesce(OutboxRow.message_id, bindparam("known_id", type_=StorableText)),
        body=func.coalesce(bindparam("new_body", type_=JSONB(none_as_null=True)), OutboxRow.body),
        changed_at=func.now(),
    )
)
SET_STATE = _set_state.returning(OutboxRow.id)
SET_STATE_FLUSHED_LATER = _set_state.returning(OutboxRow.id, FLUSHED_LATER)

_in_channel = (
    OutboxRow.platform == bindparam("in_platform"),
    OutboxRow.workspace == bindparam("in_workspace"),
    OutboxRow.channel == bindparam("in_channel"),
)
OF_TURN = (
    select(OutboxRow)
    .where(OutboxRow.turn_id == bindparam("of_turn", type_=Uuid))
    .order_by(OutboxRow.purpose, OutboxRow.part)
)
MESSAGE_IDS = select(OutboxRow.message_id).where(
    *_in_channel, OutboxRow.thread_id == bindparam("in_thread"), OutboxRow.message_id.is_not(None)
)
TURN_OF_MESSAGE = (
    select(OutboxRow.turn_id)
    .where(
        *_in_channel,
        OutboxRow.message_id == bindparam("of_message"),
        OutboxRow.purpose == "answer",
        OutboxRow.state != "removed",
    )
    .limit(1)
)


class PostgresOutbox:
    """Implements core.ports.Outbox."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def plan(self, claim: Claim, effects: Sequence[Effect]) -> list[Effect]:
        if not effects:
            return []
        columns = [_columns_of(effect) for effect in effects]
        is_sending = any(effect.state != "planned" for effect in effects)
        statement = PLAN if is_sending else PLAN_FLUSHED_LATER
        rows = await self._database.run(statement, {**fence_of(claim), "effects": columns})
        if not rows:
            raise LeaseLostError(f"inbox item {claim.id} is no longer ours (fence {claim.fence})")
        stored = {row.id: effect_of(row) for row in rows}
        return [stored[effect.id] for effect in effects]

    async def set_state(
        self,
        claim: Claim,
        effect_id: UUID,
        state: EffectState,
        message_id: str | None = None,
        *,
        body: dict[str, object] | None = None,
    ) -> None:
        parameters = {
            "effect_id": effect_id,
            "new_state": state,
            "known_id": message_id,
            "new_body": body,
        }
        # Before a post it must be on disk that there may be one; afterwards the platform knows too.
        statement = SET_STATE if state == "sending" else SET_STATE_FLUSHED_LATER
        if not await self._database.run(statement, {**fence_of(claim), **parameters}):
            await require_held(self._database, claim)
            raise StorageError(f"there is no effect {effect_id}")

    async def of_turn(self, turn_id: UUID) -> list[Effect]:
        return [effect_of(row) for row in await self._database.run(OF_TURN, {"of_turn": turn_id})]

    async def message_ids(self, thread: Thread) -> set[str]:
        rows = await self._database.run(MESSAGE_IDS, {**key_of(thread.channel), "in_thread": thread.id})
        return {row.message_id for row in rows}

    async def turn_of_message(self, channel: Channel, message_id: str) -> UUID | None:
        rows = await self._database.run(TURN_OF_MESSAGE, {**key_of(channel), "of_message": message_id})
        return rows[0].turn_id if rows else None


def columns_of(channel: Channel) -> dict[str, str]:
    """What names a channel in every table."""
    return {"platform": channel.platform, "workspace": channel.workspace, "channel": channel.id}


def key_of(channel: Channel) -> dict[str, str]:
    """The parameters that name a channel in every statement."""
    return {f"in_{name}": value for name, value in columns_of(channel).items()}


def _columns_of(effect: Effect) -> dict[str, Any]:
    return {
        **columns_of(effect.channel),
        "id": str(effect.id),
        "turn_id": str(effect.turn_id),
        "channel_private": effect.channel.private,
        "channel_parent": effect.channel.parent,
        "thread_id": effect.thread_id,
        "purpose": effect.purpose,
        "part": effect.part,
        "state": effect.state,
        "body": effect.body,
        "message_id": effect.message_id,
    }


def effect_of(row: Row[Any]) -> Effect:
    """The effect that a row of the outbox holds."""
    channel = Channel(
        platform=row.platform,
        workspace=row.workspace,
        id=row.channel,
        private=row.channel_private,
        parent=row.channel_parent,
    )
    return Effect(
        id=row.id,
        turn_id=row.turn_id,
        channel=channel,
        thread_id=row.thread_id,
        purpose=row.purpose,
        part=row.part,
        state=row.state,
        body=row.body,
        message_id=row.message_id,
    )
