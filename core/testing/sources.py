"""The part of the in-memory knowledge store that keeps sources, with the rules of the real one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

from core.knowledge.channel_messages import CHANNEL
from core.knowledge.documents import (
    ChunkDraft,
    Document,
    Grant,
    Keeper,
    QuarantinedDocument,
    SourceState,
    SourceStatus,
    SyncOutcome,
)
from core.messages import Audience

SILENT = timedelta(seconds=60)


@dataclass(slots=True)
class StoredChunk:
    id: int
    draft: ChunkDraft
    vector: Sequence[float]
    words: Counter[str]


@dataclass(slots=True)
class KeptDocument:
    id: int
    document: Document
    embedder: str
    chunks: list[StoredChunk]


@dataclass(slots=True)
class KeptSource:
    id: int
    collection: str
    uri: str
    kind: str
    kept_by: Keeper | None = None
    every_seconds: float | None = None
    documents: dict[str, KeptDocument] = field(default_factory=dict)
    held: dict[str, QuarantinedDocument] = field(default_factory=dict)
    synced_at: datetime | None = None
    next_sync_at: datetime | None = None
    started_at: datetime | None = None
    seen_at: datetime | None = None
    done: int = 0
    total: int = 0
    outcome: SyncOutcome | None = None
    error: str | None = None
    chunking: str | None = None

    def schedule(self, kind: str, kept_by: Keeper | None, every_seconds: float | None) -> None:
        self.kind = kind
        self.kept_by = "command" if kept_by == "command" else self.kept_by or kept_by
        if every_seconds is not None:
            self.every_seconds = every_seconds
            due = self.next_sync_at or _now()
            self.next_sync_at = min(due, _now() + timedelta(seconds=every_seconds))

    def status(self) -> SourceStatus:
        return SourceStatus(
            id=self.id,
            collection=self.collection,
            uri=self.uri,
            kind=self.kind,
            kept_by=self.kept_by,
            state=self._state(),
            documents=len(self.documents),
            chunks=sum(len(document.chunks) for document in self.documents.values()),
            failed=len(self.held),
            done=self.done,
            total=self.total,
            every_seconds=self.every_seconds,
            synced_at=self.synced_at,
            next_sync_at=self.next_sync_at,
            error=self.error,
            chunking=self.chunking,
        )

    def _state(self) -> SourceState:
        if self.seen_at is not None:
            return "syncing" if self.seen_at > _now() - SILENT else "interrupted"
        if self.next_sync_at is not None and self.next_sync_at <= _now():
            return "due"
        return self.outcome or "new"


@dataclass(slots=True)
class KeptCollection:
    id: int
    name: str
    grants: set[Grant] = field(default_factory=set)


class InMemorySources:
    """What core.ports.KnowledgeStore says about collections and sources."""

    def __init__(self) -> None:
        self._ids = count(1)
        self._collections: dict[str, KeptCollection] = {}
        self._sources: dict[int, KeptSource] = {}

    async def open_collection(self, name: str, grants: Sequence[Grant] = ()) -> int:
        if name not in self._collections:
            self._collections[name] = KeptCollection(next(self._ids), name)
            grants = grants or (Grant(),)
        self._collections[name].grants.update(grants)
        return self._collections[name].id

    async def revoke_grants(self, name: str, grants: Sequence[Grant]) -> list[Grant]:
        if name not in self._collections:
            return []
        collection = self._collections[name]
        collection.grants = {grant for grant in collection.grants if grant not in grants}
        return list(collection.grants)

    async def drop_collection(self, name: str) -> None:
        self._collections.pop(name, None)
        self._sources = {id: source for id, source in self._sources.items() if source.collection != name}

    async def open_source(
        self,
        collection_id: int,
        uri: str,
        kind: str,
        *,
        kept_by: Keeper | None = None,
        every_seconds: float | None = None,
    ) -> int:
        name = next(c.name for c in self._collections.values() if c.id == collection_id)
        known = [s for s in self._sources.values() if (s.collection, s.uri) == (name, uri)]
        source = known[0] if known else KeptSource(next(self._ids), name, uri, kind)
        source.schedule(kind, kept_by, every_seconds)
        self._sources[source.id] = source
        return source.id

    async def drop_source(self, collection_id: int, uri: str) -> None:
        for source in self._of(collection_id):
            if source.uri == uri:
                del self._sources[source.id]

    async def record_chunking(self, source_id: int, chunking: str | None) -> None:
        self._sources[source_id].chunking = chunking

    async def chunking_of(self, source_id: int) -> str | None:
        source = self._sources.get(source_id)
        return source.chunking if source else None

    async def retire_sources(self, collection_id: int, named: Collection[str]) -> list[str]:
        unnamed = [source for source in self._of(collection_id) if source.uri not in named]
        for source in unnamed:
            if source.kept_by == "settings":
                del self._sources[source.id]
            else:
                source.every_seconds = source.next_sync_at = None
        return sorted(source.uri for source in unnamed if source.kept_by == "settings")

    def _of(self, collection_id: int) -> list[KeptSource]:
        names = {c.name for c in self._collections.values() if c.id == collection_id}
        return [source for source in self._sources.values() if source.collection in names]

    async def sources(self, *, readable_by: Audience | None = None) -> list[SourceStatus]:
        readable = {
            collection.name
            for collection in self._collections.values()
            if readable_by is None or any(grant.admits(readable_by) for grant in collection.grants)
        }
        return [
            source.status()
            for source in sorted(self._sources.values(), key=lambda s: (s.collection, s.uri))
            if source.collection in readable
        ]

    async def due_sources(self, *, channels: bool = False) -> list[int]:
        return [
            source.id
            for source in self._sources.values()
            if (source.kind == CHANNEL) == channels
            and source.next_sync_at is not None
            and source.next_sync_at <= _now()
        ]

    async def request_sync(self, source_ids: Sequence[int]) -> None:
        for source in (self._sources[id] for id in source_ids if id in self._sources):
            source.next_sync_at = _now()
            source.held = {
                uri: held if held.content_hash else held.model_copy(update={"retry_at": _now()})
                for uri, held in source.held.items()
            }

    async def begin_source(self, source_id: int) -> None:
        source = self._sources[source_id]
        source.started_at = source.seen_at = _now()
        source.done = source.total = 0

    async def note_progress(self, source_id: int, done: int, total: int) -> None:
        source = self._sources.get(source_id)
        if source is not None and source.started_at is not None:
            source.seen_at, source.done, source.total = _now(), done, total

    async def finish_source(
        self, source_id: int, *, error: str | None, outcome: SyncOutcome | None = None
    ) -> None:
        source = self._sources[source_id]
        due = source.next_sync_at
        asked_since = due is not None and source.started_at is not None and source.started_at < due <= _now()
        if not asked_since:
            every = source.every_seconds
            source.next_sync_at = None if every is None else _now() + timedelta(seconds=every)
        source.synced_at, source.error = _now(), error
        source.outcome = outcome or ("ok" if error is None else "incomplete")
        source.started_at = source.seen_at = None

    async def quarantine(self, source_id: int, documents: Sequence[QuarantinedDocument]) -> None:
        for document in documents:
            self._sources[source_id].held[document.uri] = document.model_copy(update={"failed_at": _now()})

    async def release(self, source_id: int, uris: Sequence[str]) -> None:
        for uri in uris:
            self._sources[source_id].held.pop(uri, None)

    async def quarantined(self, source_id: int) -> dict[str, QuarantinedDocument]:
        held = self._sources[source_id].held if source_id in self._sources else {}
        return {uri: held[uri] for uri in sorted(held)}


def _now() -> datetime:
    return datetime.now(UTC)
