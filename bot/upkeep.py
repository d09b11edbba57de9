"""Keeps the documents named by KNOWLEDGE in sync while the server runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import structlog

from core.errors import StorageError
from core.knowledge.ingest import Ingestor

log = structlog.get_logger(__name__)


class Exclusive(Protocol):
    """Lets one process at a time do something."""

    def exclusively(self, name: str) -> AbstractAsyncContextManager[bool]:
        """True inside if nobody else is at it; the others get False at once."""
        ...


class KnowledgeUpkeep:
    """Syncs at start and then every so often. What has not changed costs next to nothing."""

    def __init__(
        self, ingestor: Ingestor, exclusive: Exclusive, locations: Sequence[str], *, every_seconds: float
    ) -> None:
        self._ingestor = ingestor
        self._exclusive = exclusive
        self._locations = locations
        self._every_seconds = every_seconds
        self.first_round = asyncio.Event()
        """Set once the first round has ended, well or not."""

    async def run(self) -> None:
        """Goes on until cancelled; a failure is logged, and the next round comes."""
        while True:
            try:
                await self.sync_once()
            except StorageError as error:
                log.warning("knowledge_not_synced", error=type(error).__name__)
            except Exception:
                log.exception("knowledge_not_synced")
            self.first_round.set()
            await asyncio.sleep(self._every_seconds)

    async def sync_once(self) -> None:
        """One round, unless another process is at it."""
        async with self._exclusive.exclusively("knowledge-sync") as ours:
            if not ours:
                log.info("knowledge_synced_elsewhere")
                return
            await self._ingestor.sync(self._locations)
