"""What is ready, in the order of its turn. What is queued and not ready needs no index of its own."""

from __future__ import annotations

from migrations.concurrently import create_index, drop_index

revision = "0012_fair_queue_indexes"
down_revision = "0011_fair_queue"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_index("ix_inbox_ready", "inbox", ["fair_at", "id"], where="state = 'queued' and not behind")
    drop_index("ix_inbox_queued")


def downgrade() -> None:
    create_index("ix_inbox_queued", "inbox", ["id"], where="state = 'queued'")
    drop_index("ix_inbox_ready")
