"""The SQL of erasing all of an author, a thread or a workspace: what belongs to it, and what is left of it
once each of its messages has been forgotten one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Text, and_, bindparam, delete, func, or_, select, union, update
from sqlalchemy.sql.elements import ColumnElement

from core.storage.inbox_statements import DONE, EMPTY, PARKED, QUEUED, RUNNING
from core.storage.knowledge_tables import CollectionGrantRow, CollectionRow
from core.storage.position_tables import ChannelPositionRow, HeardWorkspaceRow
from core.storage.spending_tables import QuestionCountRow, SpendingReservationRow, SpendingRow
from core.storage.tables import FeedbackRow, InboxRow, ThreadSummaryRow, TurnRow

Condition = ColumnElement[bool]

_OPEN = InboxRow.state.in_((QUEUED, RUNNING, PARKED))


@dataclass(frozen=True)
class Scope:
    """The statements of one kind of erasure. All take the same parameters.

    `targets`: (channel, message id) of every question, answered or waiting. `counts`: turns, feedback,
    waiting events. `remains`: what to run after the targets are forgotten.
    """

    targets: Any
    counts: Any
    remains: tuple[Any, ...]


def _in_workspace(table: Any) -> Condition:
    return and_(table.platform == bindparam("in_platform"), table.workspace == bindparam("in_workspace"))


def _in_thread(table: Any) -> Condition:
    return and_(
        _in_workspace(table),
        table.channel == bindparam("in_channel"),
        table.thread_id == bindparam("in_thread"),
    )


def _build_scope(turns: Condition, events: Condition, feedback: Condition, *remains: Any) -> Scope:
    waiting = _OPEN & events
    questions = waiting & InboxRow.kind.in_(("message_posted", "message_edited"))
    cancel = (
        update(InboxRow)
        .where(waiting)
        .values(
            state=DONE,
            ended_as="cancelled",
            reason="erased",
            fence=InboxRow.fence + 1,
            lease_until=None,
            finished_at=func.now(),
            **EMPTY,
        )
    )
    return Scope(
        targets=union(
            select(TurnRow.channel, TurnRow.question_message_id.label("message_id")).where(turns),
            select(InboxRow.channel, InboxRow.message_id).where(questions),
        ),
        counts=select(
            select(func.count()).select_from(TurnRow).where(turns).scalar_subquery().label("turns"),
            select(func.count()).select_from(FeedbackRow).where(feedback).scalar_subquery().label("feedback"),
            select(func.count()).select_from(InboxRow).where(waiting).scalar_subquery().label("events"),
        ),
        remains=(cancel, delete(FeedbackRow).where(feedback), *remains),
    )


_author = bindparam("of_author", type_=Text)
_by_author = _in_workspace(TurnRow) & (TurnRow.author_id == _author)
_said_by_author = (
    func.coalesce(
        InboxRow.event["message"]["author"]["id"].astext,
        InboxRow.event["author"]["id"].astext,
    )
    == _author
)
AUTHOR = _build_scope(
    _by_author,
    _in_workspace(InboxRow) & _said_by_author,
    _in_workspace(FeedbackRow)
    & or_(FeedbackRow.author == _author, FeedbackRow.turn_id.in_(select(TurnRow.id).where(_by_author))),
    delete(QuestionCountRow).where(_in_workspace(QuestionCountRow), QuestionCountRow.person == _author),
    delete(SpendingRow).where(
        _in_workspace(SpendingRow), SpendingRow.scope == "person", SpendingRow.id == _author
    ),
    # What is set aside for the workspace and the channel stays so; only the name goes.
    update(SpendingReservationRow)
    .where(_in_workspace(SpendingReservationRow), SpendingReservationRow.person == _author)
    .values(person=""),
)

THREAD = _build_scope(
    _in_thread(TurnRow),
    _in_workspace(InboxRow)
    & (InboxRow.channel == bindparam("in_channel"))
    & (InboxRow.order_key == bindparam("in_thread")),
    FeedbackRow.turn_id.in_(select(TurnRow.id).where(_in_thread(TurnRow))),
    delete(ThreadSummaryRow).where(_in_thread(ThreadSummaryRow)),
    # Where the thread is a channel of its own, how far that was heard.
    delete(ChannelPositionRow).where(
        _in_workspace(ChannelPositionRow),
        ChannelPositionRow.channel == bindparam("in_channel"),
        ChannelPositionRow.channel == bindparam("in_thread"),
    ),
)

_grants = select(CollectionGrantRow.collection_id)
_for_others = _grants.where(
    or_(
        CollectionGrantRow.platform.is_distinct_from(bindparam("in_platform")),
        CollectionGrantRow.workspace.is_distinct_from(bindparam("in_workspace")),
    )
)
WORKSPACE = _build_scope(
    _in_workspace(TurnRow),
    _in_workspace(InboxRow),
    _in_workspace(FeedbackRow),
    delete(ThreadSummaryRow).where(_in_workspace(ThreadSummaryRow)),
    delete(ChannelPositionRow).where(_in_workspace(ChannelPositionRow)),
    delete(HeardWorkspaceRow).where(_in_workspace(HeardWorkspaceRow)),
    *(
        delete(table).where(_in_workspace(table))
        for table in (QuestionCountRow, SpendingRow, SpendingReservationRow)
    ),
    delete(CollectionRow).where(
        CollectionRow.id.in_(_grants.where(_in_workspace(CollectionGrantRow))),
        CollectionRow.id.not_in(_for_others),
    ),
    delete(CollectionGrantRow).where(_in_workspace(CollectionGrantRow)),
)
