"""Turns that were erased here and whose traces are still to be removed from the tracing system."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008_forgotten_traces"
down_revision = "0007_sources"
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant, now = postgresql.TIMESTAMP(timezone=True), sa.text("now()")
    op.create_table(
        "forgotten_traces",
        sa.Column("turn_id", sa.Uuid(), nullable=False),
        sa.Column("forgotten_at", instant, server_default=now, nullable=False),
        sa.Column("due_at", instant, server_default=now, nullable=False),
        sa.PrimaryKeyConstraint("turn_id", name=op.f("pk_forgotten_traces")),
    )
    op.create_index("ix_forgotten_traces_due", "forgotten_traces", ["due_at"])


def downgrade() -> None:
    op.drop_table("forgotten_traces")
