"""Whose turn it is: every event knows who asks, its place among all that wait, and whether its thread is busy.

Both are found by the server while the event is stored: what happens at the same moment elsewhere is
seen there only.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011_fair_queue"
down_revision = "0010_leases"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("inbox", sa.Column("asker", sa.Text(), server_default="", nullable=False))
    op.add_column("inbox", sa.Column("behind", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column(
        "inbox",
        sa.Column(
            "fair_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
    )
    # What somebody is changing right now may be about to end: then we do not count on its end to call us.
    # The lock that we get keeps it from ending before this event is there to be called.
    op.execute("""
        CREATE FUNCTION inbox_take_place() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            theirs bigint;
            all_of_them bigint;
        BEGIN
            PERFORM FROM inbox
                WHERE platform = NEW.platform AND workspace = NEW.workspace
                    AND channel = NEW.channel AND order_key = NEW.order_key
                    AND state IN ('queued', 'running')
                ORDER BY id DESC LIMIT 1 FOR SHARE SKIP LOCKED;
            NEW.behind := FOUND;
            IF NEW.asker <> '' THEN
                SELECT count(*) FILTER (WHERE asker = NEW.asker), count(*) INTO theirs, all_of_them
                    FROM inbox
                    WHERE id BETWEEN NEW.id - 100 AND NEW.id AND asker <> '' AND state NOT IN ('parked', 'done')
                        AND platform = NEW.platform AND workspace = NEW.workspace;
                NEW.fair_at := now() + least(theirs, 12) * interval '5 min' + all_of_them * interval '1 s';
            END IF;
            RETURN NEW;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER inbox_take_place BEFORE INSERT ON inbox
        FOR EACH ROW EXECUTE FUNCTION inbox_take_place()
    """)
    op.execute("""
        CREATE FUNCTION inbox_call_next() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            UPDATE inbox SET behind = false
                WHERE behind AND state = 'queued' AND id = (
                    SELECT id FROM inbox
                    WHERE platform = NEW.platform AND workspace = NEW.workspace
                        AND channel = NEW.channel AND order_key = NEW.order_key
                        AND state IN ('queued', 'running')
                    ORDER BY id LIMIT 1);
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER inbox_call_next AFTER UPDATE OF state ON inbox
        FOR EACH ROW WHEN (OLD.state IN ('queued', 'running') AND NEW.state IN ('parked', 'done'))
        EXECUTE FUNCTION inbox_call_next()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER inbox_call_next ON inbox")
    op.execute("DROP TRIGGER inbox_take_place ON inbox")
    op.execute("DROP FUNCTION inbox_call_next(), inbox_take_place()")
    for column in ("fair_at", "behind", "asker"):
        op.drop_column("inbox", column)
