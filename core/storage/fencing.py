"""Makes a write depend on the claim that it follows from, within the same statement."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from core.errors import LeaseLostError
from core.inbox import Claim
from core.storage.database import Database
from core.storage.inbox_statements import HELD
from core.storage.tables import InboxRow

HELD_CLAIM = select(InboxRow.id).where(HELD).with_for_update(read=True).cte("held")
"""One row while the claim is ours, none afterwards. The lock keeps a takeover out until the statement ends."""

STILL_HELD = select(InboxRow.id).where(HELD)


def fence_of(claim: Claim) -> dict[str, Any]:
    """The parameters of HELD_CLAIM."""
    return {"claim_id": claim.id, "claim_fence": claim.fence}


async def require_held(database: Database, claim: Claim) -> None:
    """Raises LeaseLostError unless the claim is still ours: to find out why a write changed nothing."""
    if not await database.run(STILL_HELD, fence_of(claim)):
        raise LeaseLostError(f"inbox item {claim.id} is no longer ours (fence {claim.fence})")
