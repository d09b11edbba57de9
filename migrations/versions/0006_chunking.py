"""How a source is sliced; what a chunk says again from further up; which chunks are read together."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006_chunking"
down_revision = "0005_channel_positions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Constant defaults: no table is rewritten.
    op.add_column("sources", sa.Column("chunking", sa.Text(), nullable=True))
    op.add_column("chunks", sa.Column("repeated", sa.Integer(), server_default="0", nullable=False))
    op.add_column("chunks", sa.Column("parent", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("chunks", "parent")
    op.drop_column("chunks", "repeated")
    op.drop_column("sources", "chunking")
