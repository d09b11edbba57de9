"""The inbox in Postgres: one row per thing that happened, claimed with SKIP LOCKED, leased and fenced."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from pydantic import ValidationError
from sqlalchemy import Executable, Row
from sqlalchemy.exc import IntegrityError

from core.errors import LeaseLostError
from core.inbox import CRASHES_BEFORE_PARKING, TRIES_TO_TELL, Claim, InboxDepth, InboxEnd, ParkedItem
from core.messages import EVENTS, Event, Thread
from core.storage import inbox_statements as sql
from core.storage.database import Database
from core.storage.inbox_intake import InboxIntake
from core.storage.wakeups import InboxWakeups

SECONDS_BETWEEN_FULL_LOOKS = 2.0
SLOW_COMMITS = timedelta(seconds=10)
EVERYTHING = datetime(2000, 1, 1, tzinfo=UTC)

log = structlog.get_logger(__name__)


class PostgresInbox:
    """Implements core.ports.Inbox. `put` uses the ingress pool, everything else that of the workers.

    Between two looks at all that is ready, a claim begins where the last one found something: while some
    transaction keeps the server from clearing away what is done, the way there is long.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._intake = InboxIntake(database)
        self._wakeups = InboxWakeups(database.url)
        self._from_place = EVERYTHING
        self._looked_at_all = 0.0

    async def put(self, event: Event) -> bool:
        new = await self._intake.put(event)
        if new:
            self._wakeups.wake_everywhere()
        return new

    async def claim(
        self,
        *,
        platforms: Collection[str],
        limit: int,
        lease_seconds: float,
        thread: Thread | None = None,
        not_of: Collection[str] = (),
    ) -> list[Claim]:
        self._wakeups.clear()
        parameters: dict[str, Any] = {
            "platforms": list(platforms),
            "most": limit,
            "lease": timedelta(seconds=lease_seconds),
        }
        if thread is None:
            parameters |= {"from_place": self._next_place(), "not_of": list(not_of)}
        else:
            names = ("in_platform", "in_workspace", "in_channel", "in_order_key")
            parameters |= zip(names, thread.key, strict=True)
        try:
            rows = await self._database.run(sql.CLAIM if thread is None else sql.CLAIM_IN_THREAD, parameters)
        except IntegrityError:
            # Two items of one thread became visible in the wrong order; the next look sees both.
            self._wakeups.wake_here()
            return []
        if rows and thread is None:
            # Nothing takes a place before the moment of its arrival.
            self._from_place = min(row.received_at for row in rows) - SLOW_COMMITS
        claims = [await self._read(row) for row in sorted(rows, key=lambda row: (row.fair_at, row.id))]
        return [claim for claim in claims if claim is not None]

    def _next_place(self) -> datetime:
        """Where the next look begins: now and then, and whenever something older may be ready, at the first."""
        now = time.monotonic()
        if now - self._looked_at_all >= SECONDS_BETWEEN_FULL_LOOKS:
            self._looked_at_all = now
            return EVERYTHING
        return self._from_place

    def _look_at_all_next(self) -> None:
        self._looked_at_all = 0.0

    async def _read(self, row: Row[Any]) -> Claim | None:
        try:
            event = EVENTS.validate_python(row.event)
        except ValidationError:
            log.error("inbox_item_unreadable", item=row.id)
            parameters = {"claim_id": row.id, "claim_fence": row.fence, "why": "unreadable"}
            await self._database.run(sql.PARK, parameters)
            return None
        return Claim(
            id=row.id,
            event=event,
            attempts=row.attempts,
            fence=row.fence,
            received_at=row.received_at,
            deleted=row.deleted,
            crashes=row.crashes,
        )

    async def renew(self, claims: Sequence[Claim], *, lease_seconds: float) -> set[int]:
        rows = await self._database.run(
            sql.RENEW,
            {**_keys_of(claims), "lease": timedelta(seconds=lease_seconds)},
            pool=self._database.ingress,  # never behind the statements of the very work that it is for
        )
        return {row.id for row in rows}

    async def finish(self, claim: Claim, end: InboxEnd, reason: str = "") -> bool:
        row = await self._write(sql.FINISH, claim, how=end, why=reason)
        if row.more_waits:
            self._look_at_all_next()
            self._wakeups.wake_here()
        return bool(row.more_waits)

    async def retry(self, claim: Claim, *, after_seconds: float, reason: str) -> None:
        await self._write(sql.RETRY, claim, after=timedelta(seconds=after_seconds), why=reason)
        self._wakeups.wake_later(after_seconds)

    async def release(self, claims: Sequence[Claim]) -> None:
        if claims:
            await self._database.run(sql.RELEASE, _keys_of(claims))
            self._look_at_all_next()
            self._wakeups.wake_everywhere()

    async def excuse(self, claims: Sequence[Claim]) -> None:
        if claims:
            await self._database.run(sql.EXCUSE, _keys_of(claims), pool=self._database.ingress)

    async def park(self, claim: Claim, reason: str) -> None:
        await self._write(sql.PARK, claim, why=reason)
        self._look_at_all_next()
        self._wakeups.wake_here()

    async def parked(self) -> list[ParkedItem]:
        return [_parked_item(row) for row in await self._database.run(sql.PARKED_ITEMS)]

    async def requeue(self, ids: Sequence[int]) -> set[int]:
        rows = await self._database.run(sql.REQUEUE, {"ids": list(ids)})
        self._look_at_all_next()
        self._wakeups.wake_everywhere()
        return {row.id for row in rows}

    async def drop(self, ids: Sequence[int]) -> set[int]:
        return {row.id for row in await self._database.run(sql.DROP, {"ids": list(ids)})}

    async def sweep(self, *, crashes_before_parking: int = CRASHES_BEFORE_PARKING + TRIES_TO_TELL) -> int:
        rows = await self._database.run(sql.SWEEP, {"crashes_before_parking": crashes_before_parking})
        if rows:
            parked = [row.id for row in rows if row.state == "parked"]
            (log.error if parked else log.warning)(
                "leases_expired", items=len(rows), parked_in_silence=parked
            )
            self._look_at_all_next()
            self._wakeups.wake_everywhere()
        await self._database.run(sql.PRUNE)
        return len(rows)

    async def depth(self) -> InboxDepth:
        (row,) = await self._database.run(sql.DEPTH)
        return InboxDepth(
            queued=row.queued,
            running=row.running,
            parked=row.parked,
            oldest_seconds=float(row.oldest or 0.0),
            oldest_transaction_seconds=float(row.oldest_transaction),
        )

    async def wait(self, timeout_seconds: float) -> None:
        await self._wakeups.wait(timeout_seconds)

    async def aclose(self) -> None:
        """Stop telling and listening to other processes."""
        await self._wakeups.aclose()

    async def _write(self, statement: Executable, claim: Claim, **parameters: Any) -> Row[Any]:
        rows = await self._database.run(
            statement, {"claim_id": claim.id, "claim_fence": claim.fence, **parameters}
        )
        if not rows:
            raise LeaseLostError(f"inbox item {claim.id} is no longer ours (fence {claim.fence})")
        return rows[0]


def _keys_of(claims: Sequence[Claim]) -> dict[str, list[int]]:
    return {"ids": [claim.id for claim in claims], "fences": [claim.fence for claim in claims]}


def _parked_item(row: Row[Any]) -> ParkedItem:
    event = row.event or {}
    said = event.get("message") or {}
    return ParkedItem(
        id=row.id,
        platform=row.platform,
        workspace=row.workspace,
        channel=row.channel,
        thread=row.order_key,
        kind=row.kind,
        author=str((said.get("author") or event.get("author") or {}).get("id", "")),
        text=str(said.get("text", "")),
        reason=row.reason,
        attempts=row.attempts,
        crashes=row.crashes,
        received_at=row.received_at,
    )
