"""Holding a lease: become its owner, stay it, and notice at once when it is lost."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from uuid import uuid4

import structlog

from core.errors import StorageError
from core.leases import Lease, Leases

log = structlog.get_logger(__name__)


class LeaseKeeper:
    """One lease, for this run of this process. The heartbeat is a quarter of the lease.

    While the store is away nobody can take the lease over, so the owner goes on: it is lost when the store
    says so, and only then. A process that was stopped asks as soon as it runs again.
    """

    def __init__(self, leases: Leases, name: str, *, lease_seconds: float) -> None:
        self.name = name
        self.owner = f"{socket.gethostname()}/{os.getpid()}/{uuid4().hex[:8]}"
        self._leases = leases
        self._lease_seconds = lease_seconds
        self._heartbeat_seconds = lease_seconds / 4
        self._lease: Lease | None = None
        self._held_elsewhere_at = float("-inf")

    @property
    def is_owner(self) -> bool:
        """As far as this process knows; `renew` asks."""
        return self._lease is not None

    @property
    def is_held_elsewhere(self) -> bool:
        """Whether another process was the owner when we last asked, not long ago."""
        return time.monotonic() - self._held_elsewhere_at < self._lease_seconds

    async def acquire(self, on_waiting: Callable[[], None]) -> None:
        """Returns once the lease is ours, however long that takes. Tells each time that another holds it."""
        was_away = False
        while self._lease is None:
            try:
                if was_away:
                    # The owner could not renew either: it has the first word, and we spare a new session.
                    await asyncio.sleep(2 * self._heartbeat_seconds)
                    was_away = False
                self._lease = await self._leases.acquire(
                    self.name, self.owner, lease_seconds=self._lease_seconds
                )
            except StorageError as error:
                log.warning("lease_not_asked_for", lease=self.name, error=type(error).__name__)
                was_away = True
            else:
                if self._lease is None:
                    self._held_elsewhere_at = time.monotonic()
                    on_waiting()
            if self._lease is None:
                await asyncio.sleep(self._heartbeat_seconds)
        log.info("lease_acquired", lease=self.name, owner=self.owner, fence=self._lease.fence)

    async def renew(self) -> bool:
        """Whether it is still ours, asked for and prolonged. Raises StorageError."""
        if self._lease is None:
            return False
        self._lease = await self._leases.renew(self._lease, lease_seconds=self._lease_seconds)
        return self._lease is not None

    async def keep(self) -> None:
        """Renew it until it is lost; returns then."""
        while self._lease is not None:
            await asyncio.sleep(self._heartbeat_seconds)
            try:
                if self._lease is not None and not await self.renew():
                    log.warning("lease_lost", lease=self.name, owner=self.owner)
            except StorageError as error:
                log.warning("lease_not_renewed", lease=self.name, error=type(error).__name__)

    async def release(self) -> None:
        """Let another process have it at once."""
        lease, self._lease = self._lease, None
        if lease is None:
            return
        try:
            await self._leases.release(lease)
        except StorageError as error:
            # It ends by itself.
            log.warning("lease_not_released", lease=self.name, error=type(error).__name__)
