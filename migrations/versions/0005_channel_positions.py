"""How far every channel, and every workspace, has been heard."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005_channel_positions"
down_revision = "0004_lexical_weights"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "channel_positions",
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("channel_private", sa.Boolean(), nullable=False),
        sa.Column("channel_parent", sa.Text(), nullable=True),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("platform", "workspace", "channel", name=op.f("pk_channel_positions")),
    )
    op.create_table(
        "heard_workspaces",
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("heard_until", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("platform", "workspace", name=op.f("pk_heard_workspaces")),
    )


def downgrade() -> None:
    op.drop_table("heard_workspaces")
    op.drop_table("channel_positions")
