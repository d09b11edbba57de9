"""The road: inbox, outbox, turns, summaries, tombstones, feedback."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001_road"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    op.create_table(
        "feedback",
        sa.Column("turn_id", sa.Uuid(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("marks", postgresql.JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("rating", sa.SmallInteger(), nullable=True),
        sa.Column("via", sa.Text(), nullable=True),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("withdrawn_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("traced", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "changed_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("via in ('reaction', 'button')", name=op.f("ck_feedback_via")),
        sa.CheckConstraint("rating in (1, -1)", name=op.f("ck_feedback_rating")),
        sa.PrimaryKeyConstraint("turn_id", "author", name=op.f("pk_feedback")),
    )
    op.create_index("ix_feedback_export", "feedback", ["at", "turn_id", "author"], unique=False)
    op.create_index(
        "ix_feedback_untraced",
        "feedback",
        ["changed_at"],
        unique=False,
        postgresql_where=sa.text("not traced and rating is not null"),
    )
    op.create_table(
        "inbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("order_key", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("event", postgresql.JSONB(), nullable=True),
        sa.Column("state", sa.Text(), server_default="queued", nullable=False),
        sa.Column("ended_as", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("crashes", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "received_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "run_after", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("lease_until", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("finished_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("state in ('queued', 'running', 'parked', 'done')", name=op.f("ck_inbox_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbox")),
        sa.UniqueConstraint("platform", "delivery_id", name=op.f("uq_inbox_platform_delivery_id")),
    )
    op.create_index(
        "ix_inbox_open_thread",
        "inbox",
        ["platform", "workspace", "channel", "order_key", "id"],
        unique=False,
        postgresql_where=sa.text("state in ('queued', 'running')"),
    )
    op.create_index(
        "ix_inbox_parked", "inbox", ["id"], unique=False, postgresql_where=sa.text("state = 'parked'")
    )
    op.create_index(
        "ix_inbox_queued", "inbox", ["id"], unique=False, postgresql_where=sa.text("state = 'queued'")
    )
    op.create_index(
        "uq_inbox_posted_message",
        "inbox",
        ["platform", "workspace", "channel", "message_id"],
        unique=True,
        postgresql_where=sa.text("kind = 'message_posted'"),
    )
    op.create_index(
        "uq_inbox_running_thread",
        "inbox",
        ["platform", "workspace", "channel", "order_key"],
        unique=True,
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_table(
        "message_tombstones",
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("turn_id", sa.Uuid(), nullable=False),
        sa.Column(
            "deleted_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint(
            "platform", "workspace", "channel", "message_id", name=op.f("pk_message_tombstones")
        ),
        sa.UniqueConstraint("turn_id", name=op.f("uq_message_tombstones_turn_id")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("turn_id", sa.Uuid(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("channel_private", sa.Boolean(), nullable=False),
        sa.Column("channel_parent", sa.Text(), nullable=True),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=True),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column(
            "planned_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column(
            "changed_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.CheckConstraint("purpose in ('answer', 'notice')", name=op.f("ck_outbox_purpose")),
        sa.CheckConstraint(
            "state in ('planned', 'sending', 'sent', 'ambiguous', 'removed')", name=op.f("ck_outbox_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("turn_id", "purpose", "part", name=op.f("uq_outbox_turn_id_purpose_part")),
    )
    op.create_index(
        "ix_outbox_message",
        "outbox",
        ["platform", "workspace", "channel", "message_id"],
        unique=False,
        postgresql_where=sa.text("message_id is not null"),
    )
    op.create_index(
        "ix_outbox_thread", "outbox", ["platform", "workspace", "channel", "thread_id"], unique=False
    )
    op.create_table(
        "thread_summaries",
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("turns", sa.Integer(), nullable=False),
        sa.Column("through_position", sa.BigInteger(), nullable=False),
        sa.Column(
            "made_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint(
            "platform", "workspace", "channel", "thread_id", name=op.f("pk_thread_summaries")
        ),
    )
    op.create_table(
        "turns",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("question_message_id", sa.Text(), nullable=False),
        sa.Column("author_id", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("record", postgresql.JSONB(), nullable=False),
        sa.Column("asked_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("answered_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint(
            "outcome in ('answered', 'abstained', 'failed', 'refused')", name=op.f("ck_turns_outcome")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_turns")),
        sa.UniqueConstraint("position", name=op.f("uq_turns_position")),
    )
    op.create_index(
        "ix_turns_question",
        "turns",
        ["platform", "workspace", "channel", "question_message_id"],
        unique=False,
    )
    op.create_index(
        "ix_turns_thread",
        "turns",
        ["platform", "workspace", "channel", "thread_id", "position"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_table("turns")
    op.drop_table("thread_summaries")
    op.drop_table("outbox")
    op.drop_table("message_tombstones")
    op.drop_table("inbox")
    op.drop_table("feedback")
