"""Whether documents are being read for the first time: until that is over, an answer may lack what stands in them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from core.errors import StorageError
from core.knowledge.documents import SourceStatus
from core.messages import Audience, Frozen
from core.ports import KnowledgeStore

SECONDS_BETWEEN_LOOKS = 60.0
"""How long it counts that everything has been read: a new source may take as long to be mentioned."""
PATIENCE_SECONDS = 1.0
"""How long a finished answer waits to learn of it."""

log = structlog.get_logger(__name__)


class ReadSoFar(Frozen):
    """Documents that have been looked at, of how many are known so far; both 0 before it has begun."""

    done: int
    total: int


class FirstReading:
    """Looks at the sources, which costs a query for each question while some are unread, and one a minute after."""

    def __init__(
        self,
        store: KnowledgeStore,
        clock: Callable[[], float] = time.monotonic,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._store = store
        self._clock = clock
        self._patience_seconds = patience_seconds
        self._look_again_at = 0.0

    async def so_far(self, audience: Audience) -> ReadSoFar | None:
        """How far the sources are that the audience may read; None once each has been read as a whole, and
        while the database cannot tell, or not soon enough."""
        if self._clock() < self._look_again_at:
            return None
        try:
            async with asyncio.timeout(self._patience_seconds):
                concerned = await self._unread_of(audience)
        except (StorageError, TimeoutError) as error:
            log.warning("first_reading_not_known", error=type(error).__name__)
            return None
        if not concerned:
            return None
        return ReadSoFar(
            done=sum(source.done for source in concerned), total=sum(source.total for source in concerned)
        )

    async def _unread_of(self, audience: Audience) -> list[SourceStatus]:
        unread = _unread(await self._store.sources())
        if not unread:
            self._look_again_at = self._clock() + SECONDS_BETWEEN_LOOKS
            return []
        readable = {source.id for source in await self._store.sources(readable_by=audience)}
        return [source for source in unread if source.id in readable]


def _unread(sources: Sequence[SourceStatus]) -> list[SourceStatus]:
    """Those that will be read by themselves, or are being read. Channels are never read as a whole: what is said
    there comes as it is said."""
    return [
        source
        for source in sources
        if source.synced_at is None
        and source.kind != "channel"
        and (source.every_seconds is not None or source.state == "syncing")
    ]
