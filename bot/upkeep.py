"""Keeps the sources in sync, and their vectors those of the embedder that is set, while the server runs."""

from __future__ import annotations

import asyncio
import time

import structlog

from core.errors import ModelError, ModelTransientError, StorageError
from core.knowledge.keeping import SourceKeeper
from core.knowledge.reembedding import Reembedding
from core.leases import Exclusive

log = structlog.get_logger(__name__)

PAUSE_AFTER_FAILURE_SECONDS = 30.0
SECONDS_BETWEEN_LOOKS = 60.0
"""How often it is asked whether a chunk lacks its vector, and whether there are former vectors to drop."""


class KnowledgeUpkeep:
    """Takes the sources over at start, and then syncs each when it is due. What has not changed costs next to
    nothing. Looks every `poll_seconds`, because anybody may ask for a sync at any time."""

    def __init__(self, keeper: SourceKeeper, exclusive: Exclusive, *, poll_seconds: float = 5.0) -> None:
        self._keeper = keeper
        self._exclusive = exclusive
        self._poll_seconds = poll_seconds
        self._adopted = False
        self.first_round = asyncio.Event()
        """Set once the first round has ended, well or not."""

    async def run(self) -> None:
        """Goes on until cancelled; a failure is logged, and the next round comes."""
        while True:
            pause_seconds = self._poll_seconds
            try:
                await self._round()
            except Exception as error:
                if isinstance(error, StorageError | ModelTransientError):
                    log.warning("knowledge_not_synced", error=type(error).__name__)
                else:
                    log.exception("knowledge_not_synced")
                pause_seconds = max(pause_seconds, PAUSE_AFTER_FAILURE_SECONDS)
            self.first_round.set()
            await asyncio.sleep(pause_seconds)

    async def _round(self) -> None:
        """Unless another process is at it, which then does our share too."""
        if self._adopted and not await self._keeper.is_any_due():
            return
        async with self._exclusive.exclusively("knowledge-sync") as ours:
            if not ours:
                log.debug("knowledge_synced_elsewhere")
                return
            if not self._adopted:
                await self._keeper.adopt()
                await self._keeper.request_all()
                self._adopted = True
            await self._keeper.sync_due()


class EmbeddingUpkeep:
    """Follows the embedder that serves, and brings the one that is set to serve."""

    def __init__(self, reembedding: Reembedding, exclusive: Exclusive, *, poll_seconds: float = 10.0) -> None:
        self._reembedding = reembedding
        self._exclusive = exclusive
        self._poll_seconds = poll_seconds
        self._looked_at = float("-inf")

    async def run(self) -> None:
        """Goes on until cancelled; what fails is tried again, and what serves goes on serving."""
        while True:
            try:
                await self._reembedding.follow()
                if self._reembedding.is_due() or self._is_time_to_look():
                    await self._round()
            except Exception as error:
                if isinstance(error, StorageError | ModelError):
                    log.warning("reembedding_broke_off", error=type(error).__name__, detail=str(error)[:200])
                else:
                    log.exception("reembedding_broke_off")
            await asyncio.sleep(self._poll_seconds)

    def _is_time_to_look(self) -> bool:
        return time.monotonic() - self._looked_at >= SECONDS_BETWEEN_LOOKS

    async def _round(self) -> None:
        """Unless another process is at it; we follow it when it is done."""
        async with self._exclusive.exclusively("reembedding") as ours:
            if not ours:
                return
            if await self._reembedding.is_needed():
                await self._reembedding.fill()
            await self._reembedding.drop_former()
            self._looked_at = time.monotonic()
