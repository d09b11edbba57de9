"""The tables of the road: what came in, what goes out, what was said, what people thought of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, SmallInteger, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from core.storage.base import Base

INSTANT = TIMESTAMP(timezone=True)
NOW = text("now()")


class InboxRow(Base):
    """One thing that happened. `event` is erased when the message behind it is deleted.

    Two triggers (migrations/versions/0011_fair_queue.py) set `fair_at`, its place among all that waits:
    later, the more its asker and its workspace have waiting already; and `behind`, which keeps it out of
    sight while another item of its thread comes first.
    """

    __tablename__ = "inbox"
    __table_args__ = (
        CheckConstraint("state in ('queued', 'running', 'parked', 'done')", name="state"),
        UniqueConstraint("platform", "delivery_id"),
        Index(
            "uq_inbox_posted_message",
            "platform",
            "workspace",
            "channel",
            "message_id",
            unique=True,
            postgresql_where=text("kind = 'message_posted'"),
        ),
        # The hard guarantee: one worker per thread, whatever the claim query thinks.
        Index(
            "uq_inbox_running_thread",
            "platform",
            "workspace",
            "channel",
            "order_key",
            unique=True,
            postgresql_where=text("state = 'running'"),
        ),
        Index(
            "ix_inbox_open_thread",
            "platform",
            "workspace",
            "channel",
            "order_key",
            "id",
            postgresql_where=text("state in ('queued', 'running')"),
        ),
        Index("ix_inbox_ready", "fair_at", "id", postgresql_where=text("state = 'queued' and not behind")),
        Index("ix_inbox_parked", "id", postgresql_where=text("state = 'parked'")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    platform: Mapped[str]
    workspace: Mapped[str]
    channel: Mapped[str]
    order_key: Mapped[str]
    delivery_id: Mapped[str]
    message_id: Mapped[str | None]
    kind: Mapped[str]
    event: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    state: Mapped[str] = mapped_column(server_default="queued")
    ended_as: Mapped[str | None]
    reason: Mapped[str] = mapped_column(server_default="")
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    crashes: Mapped[int] = mapped_column(server_default=text("0"))
    fence: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    received_at: Mapped[datetime] = mapped_column(INSTANT, server_default=NOW)
    run_after: Mapped[datetime] = mapped_column(INSTANT, server_default=NOW)
    lease_until: Mapped[datetime | None] = mapped_column(INSTANT)
    finished_at: Mapped[datetime | None] = mapped_column(INSTANT)
    asker: Mapped[str] = mapped_column(server_default="")
    behind: Mapped[bool] = mapped_column(server_default=text("false"))
    fair_at: Mapped[datetime] = mapped_column(INSTANT, server_default=NOW)


class OutboxRow(Base):
    """One visible message of ours. Outlives its body, so that it can be found and removed."""

    __tablename__ = "outbox"
    __table_args__ = (
        CheckConstraint("state in ('planned', 'sending', 'sent', 'ambiguous', 'removed')", name="state"),
        CheckConstraint("purpose in ('answer', 'notice')", name="purpose"),
        UniqueConstraint("turn_id", "purpose", "part"),
        Index("ix_outbox_thread", "platform", "workspace", "channel", "thread_id"),
        Index(
            "ix_outbox_message",
            "platform",
            "workspace",
            "channel",
            "message_id",
            postgresql_where=text("message_id is not null"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    turn_id: Mapped[UUID]
    platform: Mapped[str]
    workspace: Mapped[str]
    channel: Mapped[str]
    channel_private: Mapped[bool]
    channel_parent: Mapped[str | None]
    thread_id: Mapped[str]
    purpose: Mapped[str]
    part: Mapped[int]
    state: Mapped[str]
    body: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    message_id: Mapped[str | None]
    planned_at: Mapped[datetime] = mapped_column(INSTANT, server_default=NOW)
    changed_at: Mapped[datetime] = mapped_column(INSTANT, server_default=NOW)


class TurnRow(Base):
    """One question with its answer. `record` is the whole Turn; the columns are what queries ask for.

    `position` is the order of recording, which within a thread is the order of the questions.
    """

    __tablename__ = "turns"
    __table_args__ = (
        CheckConstraint("outcome in ('answered', 'abstained', 'failed', 'refused')", name="outcome"),
        UniqueConstraint("position"),
        Index("ix_turns_thread", "platform", "workspace", "channel", "thread_id", "position"),
        Index("ix_turns_question", "platform", "workspace", "channel", "question_message_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    platform: Mapped[str]
    workspace: Mapped[str]
    channel: Mapped[str]
    thread_id: Mapped[str]
    question_message_id: Mapped[str]
    author_id: Mapped[str]
    outcome: Mapped[str]
    question: Mapped[str]
    answer: Mapped[str]
    record: Mapped[dict[str, Any]] = mapped_column(JSONB)
    asked_at: Mapped[datetime] = mapped_column(INSTANT)
    answered_at: Mapped[datetime] = mapped_column(INSTANT)


class ThreadSummaryRow(Base):
    """The running summary of a thread; it covers its remembered turns up to `through_position`."""

    __tablename__ = "thread_summaries"

    platform: Mapped[str] = mapped_column(primary_key=True)
    workspace: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    thread_id: Mapped[str] = mapped_column(primary_key=True)
    summary: Mapped[str]
    turns: Mapped[int]
    through_position: Mapped[int] = mapped_column(BigInteger)
    made_at: Mapped[datetime] = mapped_column(INSTANT, server_default=NOW)


class MessageTombstoneRow(Base):
    """A message that was deleted: that it was, not what it said. `turn_id` is the turn it would have asked."""

    __tablename__ = "message_tombstones"
    __table_args__ = (UniqueConstraint("turn_id"),)

    platform: Mapped[str] = mapped_column(primary_key=True)
    workspace: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    message_id: Mapped[str] = mapped_column(primary_key=True)
    turn_id: Mapped[UUID]
    deleted_at: Mapped[datetime] = mapped_column(INSTANT, server_default=NOW)


class ForgottenTraceRow(Base):
    """A turn that was erased here and whose trace is still to be removed elsewhere: its id, nothing else.

    `due_at` is when to remove it (again); `forgotten_at` until it was removed once.
    """

    __tablename__ = "forgotten_traces"
    __table_args__ = (Index("ix_forgotten_traces_due", "due_at"),)

    turn_id: Mapped[UUID] = mapped_column(primary_key=True)
    forgotten_at: Mapped[datetime] = mapped_column(INSTANT, server_default=NOW)
    due_at: Mapped[datetime] = mapped_column(INSTANT, server_default=NOW)


class FeedbackRow(Base):
    """One author's marks on one turn, and the rating that they add up to (core.feedback).

    `rating` is null while only a removal has arrived. `traced` turns false with every change.
    """

    __tablename__ = "feedback"
    __table_args__ = (
        CheckConstraint("rating in (1, -1)", name="rating"),
        CheckConstraint("via in ('reaction', 'button')", name="via"),
        Index(
            "ix_feedback_untraced", "changed_at", postgresql_where=text("not traced and rating is not null")
        ),
        Index("ix_feedback_export", "at", "turn_id", "author"),
    )

    turn_id: Mapped[UUID] = mapped_column(primary_key=True)
    author: Mapped[str] = mapped_column(primary_key=True)
    platform: Mapped[str]
    workspace: Mapped[str]
    marks: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    rating: Mapped[int | None] = mapped_column(SmallInteger)
    via: Mapped[str | None]
    comment: Mapped[str | None]
    at: Mapped[datetime | None] = mapped_column(INSTANT)
    withdrawn_at: Mapped[datetime | None] = mapped_column(INSTANT)
    traced: Mapped[bool] = mapped_column(server_default=text("false"))
    changed_at: Mapped[datetime] = mapped_column(INSTANT, server_default=text("clock_timestamp()"))
