"""The SQL of turns, thread summaries and tombstones."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    String,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    delete,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, INTERVAL, JSONB, insert
from sqlalchemy.sql.elements import ColumnElement

from core.storage.base import StorableText
from core.storage.fencing import HELD_CLAIM
from core.storage.inbox_statements import DONE, EMPTY, FLUSHED_LATER, PARKED, QUEUED, RUNNING
from core.storage.tables import (
    INSTANT,
    FeedbackRow,
    ForgottenTraceRow,
    InboxRow,
    MessageTombstoneRow,
    OutboxRow,
    ThreadSummaryRow,
    TurnRow,
)

PAGE = 200
KEY = ("in_platform", "in_workspace", "in_channel", "in_thread")
REMEMBERED = [literal_column(name, String) for name in ("'answered'", "'abstained'")]
"""Outcomes that are part of what was said; a notice about a failure is not."""


def _in_channel(table: Any) -> tuple[ColumnElement[bool], ...]:
    return (
        table.platform == bindparam("in_platform"),
        table.workspace == bindparam("in_workspace"),
        table.channel == bindparam("in_channel"),
    )


def _in_thread(table: Any) -> tuple[ColumnElement[bool], ...]:
    return (*_in_channel(table), table.thread_id == bindparam("in_thread"))


# --- turns ---------------------------------------------------------------------------------------

_TURN_COLUMNS: dict[str, Any] = {
    "id": Uuid(),
    "platform": StorableText(),
    "workspace": StorableText(),
    "channel": StorableText(),
    "thread_id": StorableText(),
    "question_message_id": StorableText(),
    "author_id": StorableText(),
    "outcome": Text(),
    "question": StorableText(),
    "answer": StorableText(),
    "record": JSONB(),
    "asked_at": INSTANT,
    "answered_at": INSTANT,
}
_insert_turn = insert(TurnRow).from_select(
    list(_TURN_COLUMNS),
    select(*(bindparam(name, type_=kind).label(name) for name, kind in _TURN_COLUMNS.items())).select_from(
        HELD_CLAIM
    ),
)
RECORD = _insert_turn.on_conflict_do_update(
    index_elements=[TurnRow.id],
    set_={name: _insert_turn.excluded[name] for name in _TURN_COLUMNS if name != "id"},
).returning(TurnRow.id, FLUSHED_LATER)

GET = select(TurnRow.record).where(TurnRow.id == bindparam("of_turn", type_=Uuid))
EXPORT = (
    select(TurnRow.position, TurnRow.record)
    .where(TurnRow.position > bindparam("after", type_=BigInteger))
    .order_by(TurnRow.position)
    .limit(PAGE)
)

_remembered = TurnRow.outcome.in_(REMEMBERED)
TAKES_PART = select(literal(1)).where(*_in_thread(TurnRow), _remembered).limit(1)

_newest_turns = (
    select(TurnRow.position, TurnRow.record["thread"].label("thread"))
    .where(TurnRow.platform == bindparam("of_platform"))
    .order_by(TurnRow.position.desc())
    .limit(bindparam("most"))
    .subquery()
)
RECENT_THREADS = (
    select(_newest_turns.c.thread)
    .group_by(_newest_turns.c.thread)
    .order_by(func.max(_newest_turns.c.position).desc())
)

# --- what a thread remembers ---------------------------------------------------------------------

_summary = select(ThreadSummaryRow.summary, ThreadSummaryRow.turns, ThreadSummaryRow.through_position).where(
    *_in_thread(ThreadSummaryRow)
)
_stored_summary = _summary.cte("stored_summary")
_newest = (
    select(TurnRow.id, TurnRow.question, TurnRow.answer, TurnRow.position)
    .where(
        *_in_thread(TurnRow),
        _remembered,
        TurnRow.position
        > func.coalesce(select(_stored_summary.c.through_position).scalar_subquery(), literal_column("-1")),
    )
    .order_by(TurnRow.position.desc())
    .limit(bindparam("most", type_=BigInteger))
    .subquery("newest")
)
_one = select(literal_column("1").label("one")).subquery("one")
RECALL = (
    select(
        _stored_summary.c.summary, _stored_summary.c.turns, _newest.c.id, _newest.c.question, _newest.c.answer
    )
    .select_from(_one.outerjoin(_stored_summary, true()).outerjoin(_newest, true()))
    .order_by(_newest.c.position)
)

_locked_turns = (
    select(TurnRow.position)
    .where(*_in_thread(TurnRow), TurnRow.id == any_(bindparam("turn_ids", type_=ARRAY(Uuid))))
    .with_for_update(read=True, key_share=True)
    .cte("locked_turns")
)
_locked_summary = _summary.with_for_update().cte("locked_summary")
_base_turns = bindparam("base_turns", type_=BigInteger)
_span = (
    select(func.max(_locked_turns.c.position).label("through"))
    .having(
        func.count() == bindparam("turn_count", type_=BigInteger),
        or_(
            _base_turns.is_(None),
            func.coalesce(select(_locked_summary.c.turns).scalar_subquery(), literal_column("0"))
            == _base_turns,
        ),
    )
    .cte("span")
)
_covered = (
    select(func.count())
    .where(*_in_thread(TurnRow), _remembered, TurnRow.position <= _span.c.through)
    .correlate(_span)
    .scalar_subquery()
)
_insert_summary = insert(ThreadSummaryRow).from_select(
    ["platform", "workspace", "channel", "thread_id", "summary", "turns", "through_position"],
    select(
        *(bindparam(name, type_=StorableText()) for name in (*KEY, "new_summary")),
        _covered,
        _span.c.through,
    ).select_from(_span),
)
REMEMBER_SUMMARY = _insert_summary.on_conflict_do_update(
    index_elements=[
        ThreadSummaryRow.platform,
        ThreadSummaryRow.workspace,
        ThreadSummaryRow.channel,
        ThreadSummaryRow.thread_id,
    ],
    set_={
        "summary": _insert_summary.excluded.summary,
        "turns": _insert_summary.excluded.turns,
        "through_position": _insert_summary.excluded.through_position,
        "made_at": func.now(),
    },
).returning(ThreadSummaryRow.turns)

# --- forgetting ----------------------------------------------------------------------------------

_the_message = (*_in_channel(InboxRow), InboxRow.message_id == bindparam("of_message"))
_the_turn = bindparam("of_turn", type_=Uuid)


def lock_turn(turn_id: UUID) -> Any:
    """One at a time for what is written about a turn without a claim: forgetting and feedback."""
    return select(func.pg_advisory_xact_lock(int.from_bytes(turn_id.bytes[:8], "big", signed=True)))


BURY = insert(MessageTombstoneRow).on_conflict_do_nothing()
IS_DELETED = select(literal(1)).where(
    *_in_channel(MessageTombstoneRow), MessageTombstoneRow.message_id == bindparam("of_message")
)
IS_TURN_DELETED = select(literal(1)).where(MessageTombstoneRow.turn_id == _the_turn)
CANCEL = (
    update(InboxRow)
    .where(
        InboxRow.kind != "message_deleted",
        # Finished items hold no event any more. The two arms let the partial indexes answer.
        or_(
            InboxRow.state.in_((QUEUED, RUNNING)) & and_(*_the_message),
            (InboxRow.state == PARKED) & and_(*_the_message),
        ),
    )
    .values(
        state=DONE,
        ended_as="cancelled",
        reason="message deleted",
        fence=InboxRow.fence + 1,
        lease_until=None,
        finished_at=func.now(),
        **EMPTY,
    )
)
FORGET_TURN = (
    delete(TurnRow)
    .where(TurnRow.id == _the_turn)
    .returning(
        TurnRow.platform.label("in_platform"),
        TurnRow.workspace.label("in_workspace"),
        TurnRow.channel.label("in_channel"),
        TurnRow.thread_id.label("in_thread"),
        TurnRow.position.label("forgotten_position"),
    )
)
FORGET_SUMMARY = delete(ThreadSummaryRow).where(
    *_in_thread(ThreadSummaryRow),
    ThreadSummaryRow.through_position >= bindparam("forgotten_position", type_=BigInteger),
)
UNSAY = (
    update(TurnRow)
    .where(
        *_in_thread(TurnRow),
        TurnRow.position > bindparam("forgotten_position", type_=BigInteger),
        func.lower(TurnRow.record["query"].astext) != func.lower(TurnRow.question),
    )
    .values(
        record=TurnRow.record.op("||")(
            func.jsonb_build_object("query", TurnRow.question, "spans", func.jsonb_build_array())
        )
    )
    .returning(TurnRow.id)
)
"""A later question was searched for in words that may be the forgotten one's: its own are left."""
FORGET_FEEDBACK = delete(FeedbackRow).where(FeedbackRow.turn_id == _the_turn)
EMPTY_OUTBOX = update(OutboxRow).where(OutboxRow.turn_id == _the_turn).values(body=None)

# --- traces elsewhere ----------------------------------------------------------------------------

_insert_trace = insert(ForgottenTraceRow).from_select(["turn_id"], select(_the_turn))
REMEMBER_TRACE = _insert_trace.on_conflict_do_update(
    index_elements=[ForgottenTraceRow.turn_id], set_={"forgotten_at": func.now(), "due_at": func.now()}
)
TRACES_DUE = (
    select(ForgottenTraceRow.turn_id)
    .where(ForgottenTraceRow.due_at <= func.now())
    .order_by(ForgottenTraceRow.due_at)
    .limit(bindparam("most", type_=BigInteger))
)
_these_traces = ForgottenTraceRow.turn_id == any_(bindparam("turn_ids", type_=ARRAY(Uuid)))
DROP_TRACES = delete(ForgottenTraceRow).where(
    _these_traces, ForgottenTraceRow.due_at > ForgottenTraceRow.forgotten_at
)
"""Those that have been removed twice."""
LOOK_AGAIN = (
    update(ForgottenTraceRow)
    .where(_these_traces)
    .values(due_at=func.clock_timestamp() + bindparam("again", type_=INTERVAL))
)
