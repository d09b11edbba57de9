"""What a sync has done so far, and how it shows while it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import structlog

from core.errors import SourceError, StorageError
from core.knowledge.documents import FailedDocument, Progress, SyncReport
from core.knowledge.quarantine import HeldError
from core.ports import KnowledgeStore

PROGRESS_SECONDS = 2.0

OnProgress = Callable[[Progress], None]

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Tally:
    """What the sync has done so far."""

    on_progress: OnProgress | None
    documents: int = 0
    chunks: int = 0
    added: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    done: int = 0
    total: int = 0
    failed: list[FailedDocument] = field(default_factory=list)

    def advance(self, uri: str) -> None:
        self.done += 1
        if self.on_progress:
            self.on_progress(Progress(done=self.done, total=self.total, uri=uri))

    def fail(self, error: SourceError) -> None:
        self.failed.append(FailedDocument(uri=error.uri, reason=error.reason))
        if not isinstance(error, HeldError):
            log.warning("document_failed", uri=error.uri, reason=error.reason)

    def report(self, seconds: float) -> SyncReport:
        return SyncReport(
            documents=self.documents,
            chunks=self.chunks,
            added=self.added,
            updated=self.updated,
            deleted=self.deleted,
            unchanged=self.unchanged,
            failed=tuple(self.failed),
            seconds=round(seconds, 3),
        )


@asynccontextmanager
async def showing_progress(store: KnowledgeStore, source_id: int, tally: Tally) -> AsyncIterator[None]:
    """Signs of life while a source is synced, however long a single step takes."""
    done_before, total_before = tally.done, tally.total

    async def note() -> None:
        with suppress(StorageError):
            await store.note_progress(source_id, tally.done - done_before, tally.total - total_before)

    async def keep_noting() -> None:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            await note()

    noting = asyncio.create_task(keep_noting())
    try:
        yield
    finally:
        noting.cancel()
        with suppress(asyncio.CancelledError):
            await noting
    await note()
