"""What processes agree on without talking to each other: who of them does something, and how often all of
them together may do it. Ports; each has a real implementation in core/storage and a double in core/testing."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from core.messages import Frozen


class Lease(Frozen):
    """What `owner` may do alone until `until`, by the store's clock. `fence` grows with every acquisition:
    who holds an older one has been replaced."""

    name: str
    owner: str
    fence: int
    until: datetime


class Leases(Protocol):
    """One owner at a time for each name. A process that died or was stopped loses its lease by itself.

    All raise StorageUnavailableError.
    """

    async def acquire(self, name: str, owner: str, *, lease_seconds: float) -> Lease | None:
        """The lease, if nobody else holds one that still runs. `owner` names one run of one process."""
        ...

    async def renew(self, lease: Lease, *, lease_seconds: float) -> Lease | None:
        """The lease with a new end, also after its end if nobody has taken it since; None: it is lost."""
        ...

    async def release(self, lease: Lease) -> None:
        """Let others have it at once. A lease that is lost already is left alone."""
        ...

    async def holder(self, name: str) -> Lease | None:
        """The lease that runs, whoever's."""
        ...


class Allowances(Protocol):
    """How often all processes together may do something, counted over a sliding time."""

    async def take(self, name: str, *, at_most: int, within_seconds: float) -> float:
        """Count one use and return 0, or count nothing and return the seconds until there is room again.
        Raises StorageUnavailableError."""
        ...


class Exclusive(Protocol):
    """Work that one process at a time does, whichever it is."""

    def exclusively(self, name: str) -> AbstractAsyncContextManager[bool]:
        """True inside if nobody else is at it; the others get False at once. Raises StorageError."""
        ...
