"""Documents know who wrote them, and what to show their server so that it need not send them again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013_document_facts"
down_revision = "0012_fair_queue_indexes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("documents", sa.Column("author", sa.Text(), nullable=True))
    op.add_column("documents", sa.Column("validator", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("documents", "validator")
    op.drop_column("documents", "author")
