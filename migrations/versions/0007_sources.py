"""Sources know who keeps them, when they are synced next and how far a sync is; documents that cannot be read
are kept apart with the reason."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007_sources"
down_revision = "0006_chunking"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("sources", sa.Column("kept_by", sa.Text(), nullable=True))
    op.add_column("sources", sa.Column("every_seconds", sa.Double(), nullable=True))
    op.add_column("sources", sa.Column("next_sync_at", INSTANT, nullable=True))
    op.add_column("sources", sa.Column("sync_started_at", INSTANT, nullable=True))
    op.add_column("sources", sa.Column("sync_seen_at", INSTANT, nullable=True))
    for name in ("sync_done", "sync_total"):
        op.add_column("sources", sa.Column(name, sa.Integer(), server_default="0", nullable=False))
    op.add_column("sources", sa.Column("outcome", sa.Text(), nullable=True))
    op.create_table(
        "quarantine",
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failed_at", INSTANT, server_default=sa.text("now()"), nullable=False),
        sa.Column("retry_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["source_id"], ["sources.id"], name=op.f("fk_quarantine_source_id_sources"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("source_id", "uri", name=op.f("pk_quarantine")),
    )


def downgrade() -> None:
    op.drop_table("quarantine")
    for name in (
        "outcome",
        "sync_total",
        "sync_done",
        "sync_seen_at",
        "sync_started_at",
        "next_sync_at",
        "every_seconds",
        "kept_by",
    ):
        op.drop_column("sources", name)
