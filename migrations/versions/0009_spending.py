"""What people may use: money spent by day and scope, money set aside for calls, questions counted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009_spending"
down_revision = "0008_forgotten_traces"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "spending",
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("usd", sa.Numeric(20, 10), nullable=False),
        sa.CheckConstraint("scope in ('workspace', 'channel', 'person')", name=op.f("ck_spending_scope")),
        sa.PrimaryKeyConstraint("platform", "workspace", "day", "scope", "id", name=op.f("pk_spending")),
    )
    op.create_table(
        "spending_reservations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("usd", sa.Numeric(20, 10), nullable=False),
        sa.Column("expires_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_spending_reservations")),
    )
    op.create_index(
        "ix_spending_reservations_workspace", "spending_reservations", ["platform", "workspace", "day"]
    )
    op.create_table(
        "question_counts",
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("minute", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("in_minute", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("in_day", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.PrimaryKeyConstraint("platform", "workspace", "person", name=op.f("pk_question_counts")),
    )


def downgrade() -> None:
    op.drop_table("question_counts")
    op.drop_table("spending_reservations")
    op.drop_table("spending")
