"""What processes agree on: who does something alone, and how often all of them may do it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010_leases"
down_revision = "0009_spending"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("held_until", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "allowance_uses",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("used_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_allowance_uses")),
    )
    op.create_index("ix_allowance_uses_name", "allowance_uses", ["name", "used_at"])


def downgrade() -> None:
    op.drop_table("allowance_uses")
    op.drop_table("leases")
