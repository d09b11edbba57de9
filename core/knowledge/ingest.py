"""Brings the store in line with the sources: new and changed documents are read, sliced, embedded and
stored, deleted ones disappear, and what is unchanged costs one hash."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal

import structlog

from core.errors import SourceError, ThreadloreError
from core.knowledge.chunking import ChunkingPolicy, ChunkingStrategy
from core.knowledge.documents import FailedDocument, Grant, Progress, StoredDocument, SyncReport
from core.knowledge.locations import build_source
from core.knowledge.pipeline import Draft, Embedding, prepare, read_ahead
from core.knowledge.sources import Entry, Source
from core.ports import Embedder, KnowledgeStore

log = structlog.get_logger(__name__)

ChunkingChoice = ChunkingStrategy | Literal["default"]
OnProgress = Callable[[Progress], None]


def parse_choice(name: str) -> ChunkingChoice:
    """A strategy by its name, or "default". Raises ValueError."""
    return "default" if name == "default" else ChunkingStrategy(name)


@dataclass(slots=True)
class _Tally:
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


class Ingestor:
    """Syncs sources into one store with one embedder."""

    def __init__(
        self,
        store: KnowledgeStore,
        embedder: Embedder,
        *,
        chunking: ChunkingPolicy | None = None,
        build: Callable[[str], Source] = build_source,
    ) -> None:
        self._store = store
        self._embedding = Embedding(embedder)
        self._chunking = chunking or ChunkingPolicy()
        self._build = build

    async def sync(
        self,
        locations: Sequence[str],
        *,
        collection: str = "default",
        grants: Sequence[Grant] = (),
        chunking: ChunkingChoice | None = None,
        on_progress: OnProgress | None = None,
    ) -> SyncReport:
        """Make the collection hold what the locations (paths, http(s) URLs) hold now.

        `chunking` is kept with the sources: how their documents are sliced now and from now on; "default" goes
        back to this ingestor's own way, None leaves it as it is.

        A location that cannot be looked at, and a document that cannot be read, end up in `failed`; what is
        stored of them stays. Raises StorageError and ModelError; what was stored until then stays, and the
        next sync goes on from there.
        """
        started = time.monotonic()
        tally = _Tally(on_progress)
        sources = self._sources(locations, tally)
        collection_id = await self._store.open_collection(collection, grants)
        seen: set[str] = set()
        for source in sources:
            source_id = await self._store.open_source(collection_id, source.uri, source.kind)
            policy = await self._choose_policy(source_id, chunking)
            await self._sync_source(source_id, source, policy, seen, tally)
        report = tally.report(time.monotonic() - started)
        log.info(
            "knowledge_synced",
            collection=collection,
            failed=len(report.failed),
            **report.model_dump(exclude={"failed"}),
        )
        return report

    def _sources(self, locations: Sequence[str], tally: _Tally) -> list[Source]:
        sources: dict[str, Source] = {}
        for location in locations:
            try:
                source = self._build(location)
            except SourceError as error:
                tally.fail(error)
            else:
                sources.setdefault(source.uri, source)
        return list(sources.values())

    async def _choose_policy(self, source_id: int, choice: ChunkingChoice | None) -> ChunkingPolicy:
        """As chosen now, else as chosen before, else this ingestor's own."""
        if choice is not None:
            await self._store.record_chunking(source_id, None if choice == "default" else choice)
        kept = next((s.chunking for s in await self._store.sources() if s.id == source_id), None)
        if kept is None:
            return self._chunking
        return self._chunking.model_copy(update={"strategy": ChunkingStrategy(kept)})

    async def _sync_source(
        self, source_id: int, source: Source, policy: ChunkingPolicy, seen: set[str], tally: _Tally
    ) -> None:
        failed_before = len(tally.failed)
        try:
            try:
                takes_code = policy.strategy is ChunkingStrategy.CODE
                entries = [
                    entry
                    for entry in await source.entries()
                    if entry.locator not in seen and (takes_code or not entry.is_code)
                ]
            except SourceError as error:
                tally.fail(error)
            else:
                seen.update(entry.locator for entry in entries)
                tally.total += len(entries)
                await self._sync_entries(source_id, source, entries, policy, tally)
        except ThreadloreError as error:
            await self._note_failure(source_id, str(error))
            raise
        failed = tally.failed[failed_before:]
        stored = await self._store.documents(source_id)
        tally.documents += len(stored)
        tally.chunks += sum(document.chunks for document in stored.values())
        await self._store.finish_source(source_id, error=_summary(failed))

    async def _note_failure(self, source_id: int, reason: str) -> None:
        try:
            await self._store.finish_source(source_id, error=reason)
        except ThreadloreError:
            log.warning("source_failure_not_recorded", source_id=source_id)

    async def _sync_entries(
        self, source_id: int, source: Source, entries: Sequence[Entry], policy: ChunkingPolicy, tally: _Tally
    ) -> None:
        stored = await self._store.documents(source_id)
        unread = await self._put_changed(source_id, source, entries, policy, stored, tally)
        listed = {entry.uri for entry in entries}
        gone = [
            document.id
            for uri, document in stored.items()
            if uri not in listed and not any(uri.startswith(f"{folder}/") for folder in unread)
        ]
        if gone:
            await self._store.delete_documents(gone)
            tally.deleted += len(gone)

    async def _put_changed(
        self,
        source_id: int,
        source: Source,
        entries: Sequence[Entry],
        policy: ChunkingPolicy,
        stored: dict[str, StoredDocument],
        tally: _Tally,
    ) -> list[str]:
        """Store what is new or changed; returns the uris that could not be read."""
        unread: list[str] = []
        name = self._embedding.embedder.name

        async def read(entry: Entry) -> Draft | None:
            content = await source.read(entry)
            known = stored.get(entry.uri)
            current = known.content_hash if known and known.embedder == name else None
            return await prepare(content, entry.uri, current, policy)

        async def store(drafts: list[Draft]) -> None:
            embedded = await self._embedding.embed(drafts)
            await self._store.put_documents(source_id, embedded, embedder=name)
            for draft in drafts:
                if draft.document.uri in stored:
                    tally.updated += 1
                else:
                    tally.added += 1
                tally.advance(draft.document.uri)

        async with aclosing(read_ahead(entries, read)) as batches:
            async for batch in batches:
                for entry, error in batch.failed:
                    unread.append(entry.uri)
                    tally.fail(error)
                    tally.advance(entry.uri)
                for uri in batch.unchanged:
                    tally.unchanged += 1
                    tally.advance(uri)
                if batch.drafts:
                    await store(batch.drafts)
        return unread


def _summary(failed: Sequence[FailedDocument]) -> str | None:
    if not failed:
        return None
    first = f"{failed[0].uri}: {failed[0].reason}"
    return first if len(failed) == 1 else f"{first} ({len(failed)} failed in all)"
