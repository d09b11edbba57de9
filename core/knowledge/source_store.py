"""The part of the KnowledgeStore port that keeps sources: who keeps them, when they are synced and how that went,
and which of their documents cannot be read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from core.knowledge.documents import Keeper, QuarantinedDocument, SourceStatus, SyncOutcome
from core.messages import Audience


class SourceStore(Protocol):
    """Sources of collections, and their quarantine."""

    async def open_source(
        self,
        collection_id: int,
        uri: str,
        kind: str,
        *,
        kept_by: Keeper | None = None,
        every_seconds: float | None = None,
    ) -> int:
        """The id of the source, made if new. What `command` keeps stays the command's; otherwise the first
        keeper stays. With `every_seconds` it is scheduled: a new one is due at once."""
        ...

    async def drop_source(self, collection_id: int, uri: str) -> None:
        """Remove the source with its documents."""
        ...

    async def record_chunking(self, source_id: int, chunking: str | None) -> None:
        """Note how the source's documents are sliced; None: as the settings say."""
        ...

    async def chunking_of(self, source_id: int) -> str | None:
        """How the source's documents are sliced, as it was noted."""
        ...

    async def retire_sources(self, collection_id: int, named: Collection[str]) -> list[str]:
        """Remove what the settings keep and is not among the uris `named` any more, with its documents;
        what others keep is only no longer scheduled. The uris removed."""
        ...

    async def sources(self, *, readable_by: Audience | None = None) -> list[SourceStatus]:
        """All of them, or those of collections that everyone in the audience may read."""
        ...

    async def due_sources(self, *, channels: bool = False) -> list[int]:
        """The ids of the sources whose time has come: of the channels, or of all others."""
        ...

    async def request_sync(self, source_ids: Sequence[int]) -> None:
        """Make them due now, and what could not be had of them worth another try."""
        ...

    async def begin_source(self, source_id: int) -> None:
        """Note that a sync is under way."""
        ...

    async def note_progress(self, source_id: int, done: int, total: int) -> None:
        """A sign of life of the sync under way; without one for a minute it counts as interrupted."""
        ...

    async def finish_source(
        self, source_id: int, *, error: str | None, outcome: SyncOutcome | None = None
    ) -> None:
        """Note the end of a sync, its error, if any, and when the next one is due. Without an outcome it is
        ok without an error and incomplete with one."""
        ...

    async def quarantine(self, source_id: int, documents: Sequence[QuarantinedDocument]) -> None:
        """Remember documents that cannot be read, in place of what was known of them."""
        ...

    async def release(self, source_id: int, uris: Sequence[str]) -> None:
        """Forget that these documents could not be read."""
        ...

    async def quarantined(self, source_id: int) -> dict[str, QuarantinedDocument]:
        """What of a source cannot be read, by uri."""
        ...
