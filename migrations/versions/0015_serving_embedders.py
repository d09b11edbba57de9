"""Which embedder's vectors are searched is noted, so that another's can be filled beside them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015_serving_embedders"
down_revision = "0014_channel_messages"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "serving_embedders",
        sa.Column("embedding_model_id", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["embedding_model_id"], ["embedding_models.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("embedding_model_id"),
    )


def downgrade() -> None:
    op.drop_table("serving_embedders")
