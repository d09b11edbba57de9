"""Feedback in Postgres: one row per author and turn, folded from the marks that it keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import (
    BigInteger,
    Row,
    SmallInteger,
    Text,
    Uuid,
    bindparam,
    column,
    func,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from core.answers import Feedback
from core.feedback import Mark, Marks, fold_mark, standing_feedback
from core.messages import FeedbackGiven, FeedbackWithdrawn
from core.storage.database import Database
from core.storage.tables import INSTANT, FeedbackRow
from core.storage.turn_statements import IS_TURN_DELETED, lock_turn

PAGE = 200
MARKS: TypeAdapter[Marks] = TypeAdapter(tuple[Mark, ...])
COLUMNS = (
    FeedbackRow.turn_id,
    FeedbackRow.platform,
    FeedbackRow.workspace,
    FeedbackRow.author,
    FeedbackRow.rating,
    FeedbackRow.via,
    FeedbackRow.comment,
    FeedbackRow.at,
    FeedbackRow.withdrawn_at,
)

_this = (
    FeedbackRow.turn_id == bindparam("turn_id", type_=Uuid),
    FeedbackRow.author == bindparam("author"),
)
READ_MARKS = select(FeedbackRow.marks).where(*_this)
_upsert = insert(FeedbackRow)
WRITE = _upsert.on_conflict_do_update(
    index_elements=[FeedbackRow.turn_id, FeedbackRow.author],
    set_={
        name: _upsert.excluded[name] for name in ("marks", "rating", "via", "comment", "at", "withdrawn_at")
    }
    | {"traced": text("false"), "changed_at": func.clock_timestamp()},
)
OF_TURN = (
    select(*COLUMNS)
    .where(FeedbackRow.turn_id == bindparam("turn_id", type_=Uuid), FeedbackRow.rating.is_not(None))
    .order_by(FeedbackRow.at, FeedbackRow.author)
)
UNTRACED = (
    select(*COLUMNS)
    .where(text("not traced and rating is not null"))
    .order_by(FeedbackRow.changed_at)
    .limit(bindparam("most", type_=BigInteger))
)
_sent = (
    func.jsonb_to_recordset(bindparam("feedback", type_=JSONB))
    .table_valued(
        column("turn_id", Uuid),
        column("author", Text),
        column("rating", SmallInteger),
        column("via", Text),
        column("comment", Text),
        column("at", INSTANT),
        column("withdrawn_at", INSTANT),
    )
    .render_derived("sent", with_types=True)
)
MARK_TRACED = (
    update(FeedbackRow)
    .where(
        FeedbackRow.turn_id == _sent.c.turn_id,
        FeedbackRow.author == _sent.c.author,
        FeedbackRow.rating == _sent.c.rating,
        FeedbackRow.via == _sent.c.via,
        FeedbackRow.at == _sent.c.at,
        FeedbackRow.comment.is_not_distinct_from(_sent.c.comment),
        FeedbackRow.withdrawn_at.is_not_distinct_from(_sent.c.withdrawn_at),
    )
    .values(traced=True)
)
_place = (FeedbackRow.at, FeedbackRow.turn_id, FeedbackRow.author)
EXPORT_FIRST = select(*COLUMNS).where(FeedbackRow.rating.is_not(None)).order_by(*_place).limit(PAGE)
EXPORT_NEXT = EXPORT_FIRST.where(
    tuple_(*_place)
    > tuple_(
        bindparam("after_at", type_=INSTANT),
        bindparam("after_turn", type_=Uuid),
        bindparam("after_author", type_=Text),
    )
)


class PostgresFeedbackStore:
    """Implements core.ports.FeedbackStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def apply(self, turn_id: UUID, event: FeedbackGiven | FeedbackWithdrawn) -> Feedback | None:
        key: dict[str, Any] = {"turn_id": turn_id, "author": event.author.id}
        place = {"platform": event.channel.platform, "workspace": event.channel.workspace}
        async with self._database.transaction() as connection:
            await connection.execute(lock_turn(turn_id))
            if (await connection.execute(IS_TURN_DELETED, {"of_turn": turn_id})).first() is not None:
                return None
            stored = (await connection.execute(READ_MARKS, key)).scalar_one_or_none()
            before = MARKS.validate_python(stored or ())
            after = fold_mark(before, event)
            standing = standing_feedback(after, turn_id=turn_id, author=event.author.id, **place)
            if after != before:
                await connection.execute(WRITE, {**key, **place, **_columns_of(after, standing)})
        return standing

    async def of_turn(self, turn_id: UUID) -> list[Feedback]:
        return [_feedback_of(row) for row in await self._database.run(OF_TURN, {"turn_id": turn_id})]

    async def untraced(self, limit: int) -> list[Feedback]:
        return [_feedback_of(row) for row in await self._database.run(UNTRACED, {"most": limit})]

    async def mark_traced(self, feedback: Sequence[Feedback]) -> None:
        if feedback:
            sent = [one.model_dump(mode="json") for one in feedback]
            await self._database.run(MARK_TRACED, {"feedback": sent})

    async def export(self) -> AsyncIterator[Feedback]:
        rows = await self._database.run(EXPORT_FIRST)
        while rows:
            for row in rows:
                yield _feedback_of(row)
            last = rows[-1]
            after = {"after_at": last.at, "after_turn": last.turn_id, "after_author": last.author}
            rows = await self._database.run(EXPORT_NEXT, after)


def _columns_of(marks: Marks, standing: Feedback | None) -> dict[str, Any]:
    return {
        "marks": MARKS.dump_python(marks, mode="json"),
        "rating": standing and standing.rating,
        "via": standing and standing.via,
        "comment": standing and standing.comment,
        "at": standing and standing.at,
        "withdrawn_at": standing and standing.withdrawn_at,
    }


def _feedback_of(row: Row[Any]) -> Feedback:
    return Feedback.model_validate(row._asdict())
