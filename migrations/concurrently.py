"""Indexes on tables that are in use: built without holding up anybody, and built again after a failure.

A migration that uses these does nothing else: it cannot be taken back as a whole, so it must bear being
run again from its start.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

BUILD_SECONDS = 3600


def create_index(
    name: str, table: str, columns: Sequence[str], *, where: str | None = None, unique: bool = False
) -> None:
    """Build the index beside the traffic. What an attempt that failed has left behind is removed first."""
    with op.get_context().autocommit_block():
        # Waits for transactions that began before it, and nobody waits behind it meanwhile.
        op.execute("SET lock_timeout = 0")
        op.execute(f"SET statement_timeout = '{BUILD_SECONDS}s'")
        op.execute(
            f"DO $$ BEGIN IF EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('{name}')"
            f" AND NOT indisvalid) THEN SET LOCAL lock_timeout = '1s'; DROP INDEX {name}; END IF; END $$"
        )
        op.create_index(
            name,
            table,
            list(columns),
            unique=unique,
            if_not_exists=True,
            postgresql_concurrently=True,
            postgresql_where=sa.text(where) if where is not None else None,
        )
        op.execute("RESET lock_timeout")
        op.execute("RESET statement_timeout")


def drop_index(name: str) -> None:
    """Remove the index beside the traffic."""
    with op.get_context().autocommit_block():
        op.drop_index(name, if_exists=True, postgresql_concurrently=True)
