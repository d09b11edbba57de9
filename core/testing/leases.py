"""Leases and allowances without a database, for adapters that share one process."""

from __future__ import annotations

import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta

from core.leases import Lease


class InMemoryLeases:
    """Implements core.leases.Leases."""

    def __init__(self) -> None:
        self._leases: dict[str, Lease] = {}

    async def acquire(self, name: str, owner: str, *, lease_seconds: float) -> Lease | None:
        known = self._leases.get(name)
        if known is not None and known.owner != owner and known.until > datetime.now(UTC):
            return None
        fence = known.fence + 1 if known is not None else 1
        self._leases[name] = Lease(name=name, owner=owner, fence=fence, until=_after(lease_seconds))
        return self._leases[name]

    async def renew(self, lease: Lease, *, lease_seconds: float) -> Lease | None:
        if not self._is_newest(lease):
            return None
        self._leases[lease.name] = lease.model_copy(update={"until": _after(lease_seconds)})
        return self._leases[lease.name]

    async def release(self, lease: Lease) -> None:
        if self._is_newest(lease):
            self._leases[lease.name] = lease.model_copy(update={"until": datetime.now(UTC)})

    async def holder(self, name: str) -> Lease | None:
        known = self._leases.get(name)
        return known if known is not None and known.until > datetime.now(UTC) else None

    def _is_newest(self, lease: Lease) -> bool:
        known = self._leases.get(lease.name)
        return known is not None and (known.owner, known.fence) == (lease.owner, lease.fence)


def _after(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


class InMemoryAllowances:
    """Implements core.leases.Allowances."""

    def __init__(self) -> None:
        self._uses: dict[str, list[float]] = defaultdict(list)

    async def take(self, name: str, *, at_most: int, within_seconds: float) -> float:
        now = time.monotonic()
        uses = self._uses[name] = [at for at in self._uses[name] if at > now - within_seconds]
        if len(uses) >= at_most:
            return max(0.001, uses[-at_most] + within_seconds - now)
        uses.append(now)
        return 0.0
