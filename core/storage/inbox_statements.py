"""The SQL of the inbox, each statement one round trip.

States are written as constants, because the planner uses a partial index only for what it can prove. That
is also how it is kept from the wrong one: an index of a state that few rows are in looks free, and is long
all the same while an old transaction keeps the server from clearing away what was in it. So a state is
asked for in the very words of the index that is meant, or in words that prove none.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import (
    Select,
    Text,
    Update,
    all_,
    and_,
    any_,
    bindparam,
    case,
    cast,
    delete,
    extract,
    false,
    func,
    literal,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, INTERVAL
from sqlalchemy.orm import aliased
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import BigInteger, String

from core.inbox import MOST_EXCUSED_ATTEMPTS
from core.storage.tables import INSTANT, InboxRow, MessageTombstoneRow

DELIVERIES_KEPT = timedelta(days=7)
ROWS_LOOKED_AT_FOR_PRUNING = 500

QUEUED: ColumnElement[str] = literal_column("'queued'", String)
RUNNING: ColumnElement[str] = literal_column("'running'", String)
PARKED: ColumnElement[str] = literal_column("'parked'", String)
DONE: ColumnElement[str] = literal_column("'done'", String)

LEASE_END = func.now() + bindparam("lease", type_=INTERVAL)
FREE = {"lease_until": None}
EMPTY: dict[str, Any] = {"event": None, "asker": ""}
"""What is left of an item once it has ended: nothing of what was said, and not who said it."""
NEXT_FENCE = func.greatest(
    InboxRow.fence + 1, cast(extract("epoch", func.clock_timestamp()) * 1_000_000, BigInteger)
)
"""Grows, and by the clock: never given out twice, even if the server dies and forgets the last claims."""
FLUSHED_LATER: ColumnElement[str] = func.set_config("synchronous_commit", "off", true()).label("flushed")
"""To return from a statement whose loss, should the server die within the second, only repeats work: its
commit does not wait for the disk. What must hold before somebody sees it (the event that we acknowledge,
the effect that we are about to post) waits, and takes everything before it along."""


def _same_thread(other: Any) -> tuple[ColumnElement[bool], ...]:
    names = ("platform", "workspace", "channel", "order_key")
    return tuple(getattr(other, name) == getattr(InboxRow, name) for name in names)


def _claimable() -> Select[Any]:
    """The first open item of each thread that nobody works on.

    What is marked as behind another is not looked at. The mark is only a hint, and may be missing.
    Scalar subqueries, not a join: each looks at one index entry, whatever the statistics make the
    planner believe and however many items wait behind the first of their thread. They are compared by order
    where "equal" is meant: of an equality the planner expects next to no rows, and would rather sort all that
    waits than take the first of the index.
    """
    open_item, running = aliased(InboxRow), aliased(InboxRow)
    first = (
        select(open_item.id)
        .where(*_same_thread(open_item), open_item.state.in_((QUEUED, RUNNING)))
        .order_by(open_item.id)
        .limit(literal_column("1"))
        .scalar_subquery()
    )
    # An item can become visible after a younger one of its thread has been claimed.
    at_work = select(running.id).where(*_same_thread(running), running.state == RUNNING).scalar_subquery()
    return select(InboxRow.id).where(
        InboxRow.state == QUEUED,
        InboxRow.behind == false(),
        InboxRow.run_after <= func.now(),
        InboxRow.id <= first,
        func.coalesce(at_work, literal_column("0")) <= literal_column("0"),
    )


IS_DELETED = (
    select(literal(1))
    .where(
        InboxRow.message_id.is_not(None),
        InboxRow.kind != "message_deleted",
        MessageTombstoneRow.platform == InboxRow.platform,
        MessageTombstoneRow.workspace == InboxRow.workspace,
        MessageTombstoneRow.channel == InboxRow.channel,
        MessageTombstoneRow.message_id == InboxRow.message_id,
    )
    .correlate(InboxRow)
    .exists()
    .label("deleted")
)


def _more_waits() -> ColumnElement[bool]:
    other = aliased(InboxRow)
    return (
        select(literal(1))
        .where(*_same_thread(other), other.state.in_((QUEUED, RUNNING)), other.id != InboxRow.id)
        .correlate(InboxRow)
        .exists()
        .label("more_waits")
    )


MORE_WAITS = _more_waits()


def _claim(*conditions: ColumnElement[bool]) -> Update:
    head = (
        _claimable()
        .where(
            func.array_position(bindparam("platforms", type_=ARRAY(Text)), InboxRow.platform).is_not(None),
            *conditions,
        )
        .order_by(InboxRow.fair_at, InboxRow.id)
        .limit(bindparam("most", type_=BigInteger))
        .with_for_update(skip_locked=True)
        .correlate(None)
        .scalar_subquery()
    )
    return (
        update(InboxRow)
        # An array, not a join: the planner takes a limit that it cannot see for a tenth of all rows.
        .where(InboxRow.id == any_(func.array(head)))
        .values(state=RUNNING, attempts=InboxRow.attempts + 1, fence=NEXT_FENCE, lease_until=LEASE_END)
        .returning(
            InboxRow.id,
            InboxRow.event,
            InboxRow.attempts,
            InboxRow.crashes,
            InboxRow.fence,
            InboxRow.received_at,
            InboxRow.fair_at,
            IS_DELETED,
            FLUSHED_LATER,
        )
    )


CLAIM = _claim(
    InboxRow.fair_at >= bindparam("from_place", type_=INSTANT),
    InboxRow.asker != all_(bindparam("not_of", type_=ARRAY(Text))),
)
CLAIM_IN_THREAD = _claim(
    InboxRow.platform == bindparam("in_platform"),
    InboxRow.workspace == bindparam("in_workspace"),
    InboxRow.channel == bindparam("in_channel"),
    InboxRow.order_key == bindparam("in_order_key"),
)

IS_RUNNING = InboxRow.state.not_in((QUEUED, PARKED, DONE))
"""For items that are named by their id."""
HELD = and_(
    InboxRow.id == bindparam("claim_id", type_=BigInteger),
    InboxRow.fence == bindparam("claim_fence", type_=BigInteger),
    IS_RUNNING,
)
"""The item is still ours: the fence names our claim."""

FINISH = (
    update(InboxRow)
    .where(HELD)
    # What the event said is in the turn, or was not worth keeping.
    .values(
        state=DONE,
        ended_as=bindparam("how"),
        reason=bindparam("why"),
        finished_at=func.now(),
        **EMPTY,
        **FREE,
    )
    .returning(InboxRow.id, MORE_WAITS, FLUSHED_LATER)
)

RETRY = (
    update(InboxRow)
    .where(HELD)
    .values(
        state=QUEUED,
        run_after=func.now() + bindparam("after", type_=INTERVAL),
        reason=bindparam("why"),
        **FREE,
    )
    .returning(InboxRow.id, FLUSHED_LATER)
)

PARK = (
    update(InboxRow)
    .where(HELD)
    .values(state=PARKED, reason=bindparam("why"), **FREE)
    .returning(InboxRow.id, FLUSHED_LATER)
)
PARKED_ITEMS = select(InboxRow).where(InboxRow.state == PARKED).order_by(InboxRow.id)
_named = (InboxRow.id == any_(bindparam("ids", type_=ARRAY(BigInteger))), InboxRow.state == PARKED)
REQUEUE = (
    update(InboxRow)
    .where(*_named)
    .values(state=QUEUED, crashes=0, behind=false(), fair_at=func.now(), run_after=func.now())
    .returning(InboxRow.id)
)
DROP = (
    update(InboxRow)
    .where(*_named)
    .values(state=DONE, ended_as="failed", reason="dropped", finished_at=func.now(), **EMPTY)
    .returning(InboxRow.id)
)

_CLAIMS = (
    func.unnest(bindparam("ids", type_=ARRAY(BigInteger)), bindparam("fences", type_=ARRAY(BigInteger)))
    .table_valued("id", "fence")
    .render_derived()
)
_ALL_HELD = and_(InboxRow.id == _CLAIMS.c.id, InboxRow.fence == _CLAIMS.c.fence, IS_RUNNING)

RENEW = update(InboxRow).where(_ALL_HELD).values(lease_until=LEASE_END).returning(InboxRow.id, FLUSHED_LATER)
RELEASE = update(InboxRow).where(_ALL_HELD).values(state=QUEUED, **FREE)
EXCUSE = (
    update(InboxRow)
    .where(
        InboxRow.id == _CLAIMS.c.id,
        InboxRow.fence >= _CLAIMS.c.fence,
        InboxRow.crashes > 0,
        InboxRow.attempts <= MOST_EXCUSED_ATTEMPTS,
    )
    .values(crashes=InboxRow.crashes - 1)
)

_expired = (
    select(InboxRow.id)
    .where(InboxRow.state == RUNNING, InboxRow.lease_until < func.now())
    .with_for_update(skip_locked=True)
    .cte("expired")
)
_crashes_too_often = InboxRow.crashes >= bindparam("crashes_before_parking")
SWEEP = (
    update(InboxRow)
    .where(InboxRow.id == _expired.c.id)
    .values(
        state=case((_crashes_too_often, PARKED), else_=QUEUED),
        reason=case((_crashes_too_often, "crashed too often"), else_=InboxRow.reason),
        crashes=InboxRow.crashes + 1,
        **FREE,
    )
    .returning(InboxRow.id, InboxRow.state)
)

_eldest = select(InboxRow.id).order_by(InboxRow.id).limit(ROWS_LOOKED_AT_FOR_PRUNING).scalar_subquery()
PRUNE = delete(InboxRow).where(
    InboxRow.id.in_(_eldest), InboxRow.state == DONE, InboxRow.finished_at < func.now() - DELIVERIES_KEPT
)
"""Looks at the eldest rows only, so that it costs the same however many there are."""

_next = (
    _claimable()
    .add_columns(InboxRow.received_at)
    .order_by(InboxRow.fair_at, InboxRow.id)
    .limit(literal_column("100"))
    .subquery()
)
_oldest = select(extract("epoch", func.now() - func.min(_next.c.received_at))).scalar_subquery()


_open = select(InboxRow.state).where(InboxRow.state.in_((QUEUED, RUNNING))).subquery()


def _count(state: ColumnElement[str], name: str) -> ColumnElement[int]:
    return func.count().filter(_open.c.state == state).label(name)


_oldest_transaction: ColumnElement[float] = literal_column(
    """coalesce(extract(epoch from clock_timestamp() - least(
        (select min(xact_start) from pg_stat_activity
            where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
            and (backend_xmin is not null or backend_xid is not null)),
        (select min(prepared) from pg_prepared_xacts where database = current_database())
    )), 0)"""
)
_parked = select(func.count()).where(InboxRow.state == PARKED).scalar_subquery()
DEPTH = select(
    _count(QUEUED, "queued"),
    _count(RUNNING, "running"),
    _parked.label("parked"),
    _oldest.label("oldest"),
    _oldest_transaction.label("oldest_transaction"),
).select_from(_open)
