"""Channels can be sources: what was said in them, and how far back they have been read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014_channel_messages"
down_revision = "0013_document_facts"
branch_labels = None
depends_on = None

INSTANT = sa.TIMESTAMP(timezone=True)


def _words(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), server_default="", nullable=False) for name in names]


def upgrade() -> None:
    op.create_table(
        "channel_messages",
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("platform", "workspace", "place", "message_id")
        ),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=False),
        *_words("author_id", "author", "text"),
        sa.Column("said_at", INSTANT, server_default=sa.text("now()"), nullable=False),
        sa.Column("version", INSTANT, server_default=sa.text("now()"), nullable=False),
        sa.Column("changes", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("document_uri", sa.Text(), nullable=True),
        sa.Column("removed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.ForeignKeyConstraint(
            ["source_id"],
            ["sources.id"],
            name=op.f("fk_channel_messages_source_id_sources"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "platform", "workspace", "place", "message_id", name=op.f("pk_channel_messages")
        ),
    )
    op.create_index("ix_channel_messages_thread", "channel_messages", ["source_id", "thread_id"])
    op.create_index("ix_channel_messages_said_at", "channel_messages", ["source_id", "said_at"])
    op.create_table(
        "channel_histories",
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        *_words("name", "address"),
        sa.Column("private", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=True) for name in ("cursor", "newest", "until")),
        sa.Column("is_whole", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("next_read_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["source_id"],
            ["sources.id"],
            name=op.f("fk_channel_histories_source_id_sources"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("source_id", name=op.f("pk_channel_histories")),
    )


def downgrade() -> None:
    op.drop_table("channel_histories")
    op.drop_table("channel_messages")
