"""Brings the store in line with the sources: new and changed documents are read, sliced, embedded and
stored, deleted ones disappear, and what is unchanged costs one hash."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import structlog

from core.errors import SourceError, StorageError, ThreadloreError
from core.knowledge.channel_messages import CHANNEL
from core.knowledge.chunking import ChunkingPolicy, ChunkingStrategy
from core.knowledge.documents import (
    FailedDocument,
    Grant,
    Keeper,
    Progress,
    QuarantinedDocument,
    StoredDocument,
    SyncOutcome,
    SyncReport,
)
from core.knowledge.locations import DEFAULT_HOME, build_source, name_location
from core.knowledge.parsing import DocumentParser, ParsingLimits
from core.knowledge.pipeline import Batch, Draft, Embedding, prepare, read_ahead, read_validator
from core.knowledge.quarantine import HeldError, make_quarantined, refuse_held, release_unread
from core.knowledge.sources import Entry, Source
from core.ports import Embedder, KnowledgeStore

log = structlog.get_logger(__name__)

ChunkingChoice = ChunkingStrategy | Literal["default"]
PROGRESS_SECONDS = 2.0

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


class Ingestor:
    """Syncs sources into one store with one embedder; copies of repositories are kept below `home`."""

    def __init__(
        self,
        store: KnowledgeStore,
        embedder: Embedder,
        *,
        chunking: ChunkingPolicy | None = None,
        home: Path = DEFAULT_HOME,
        build: Callable[[str], Source] | None = None,
        limits: ParsingLimits | None = None,
    ) -> None:
        self._store = store
        self._embedding = Embedding(embedder)
        self._chunking = chunking or ChunkingPolicy()
        self._build = build or (lambda location: build_source(location, home))
        self._parser = DocumentParser(limits)

    def use(self, embedder: Embedder) -> None:
        """Embed with this embedder from the next source on."""
        self._embedding = Embedding(embedder)

    async def sync(
        self,
        locations: Sequence[str],
        *,
        collection: str = "default",
        grants: Sequence[Grant] = (),
        chunking: ChunkingChoice | None = None,
        on_progress: OnProgress | None = None,
        kept_by: Keeper | None = "command",
    ) -> SyncReport:
        """Make the collection hold what the locations (paths, http(s) URLs) hold now.

        `chunking` is kept with the sources: how their documents are sliced now and from now on; "default" goes
        back to this ingestor's own way, None leaves it as it is.

        A location that cannot be looked at, and a document that cannot be read, end up in `failed`; what is
        stored of them stays. Raises StorageError and ModelError; what was stored until then stays, and the
        next sync goes on from there. `kept_by` is noted at sources that are new; with None, those that
        cannot be looked at are noted as failed too.
        """
        started = time.monotonic()
        tally = _Tally(on_progress)
        collection_id = await self._store.open_collection(collection, grants)
        sources = await self._sources(collection_id, collection, locations, kept_by, tally)
        seen: set[str] = set()
        try:
            for source in sources:
                source_id = await self._store.open_source(
                    collection_id, source.uri, source.kind, kept_by=kept_by
                )
                policy = await self._choose_policy(source_id, chunking)
                await self._sync_source(source_id, source, policy, seen, tally, asked_for=kept_by is not None)
        finally:
            await self._parser.rest()
        report = tally.report(time.monotonic() - started)
        log.info(
            "knowledge_synced",
            collection=collection,
            failed=len(report.failed),
            **report.model_dump(exclude={"failed"}),
        )
        return report

    async def _sources(
        self,
        collection_id: int,
        collection: str,
        locations: Sequence[str],
        kept_by: Keeper | None,
        tally: _Tally,
    ) -> list[Source]:
        sources: dict[str, Source] = {}
        for location in locations:
            try:
                source = self._build(location)
                require_own_collection(source, collection)
            except SourceError as error:
                tally.fail(error)
                if kept_by is None:
                    uri, kind = name_location(location)
                    source_id = await self._store.open_source(collection_id, uri, kind)
                    await self._store.finish_source(source_id, error=str(error), outcome="failed")
            else:
                sources.setdefault(source.uri, source)
        return list(sources.values())

    async def _choose_policy(self, source_id: int, choice: ChunkingChoice | None) -> ChunkingPolicy:
        """As chosen now, else as chosen before, else this ingestor's own."""
        if choice is not None:
            await self._store.record_chunking(source_id, None if choice == "default" else choice)
        kept = await self._store.chunking_of(source_id)
        if kept is None:
            return self._chunking
        return self._chunking.model_copy(update={"strategy": ChunkingStrategy(kept)})

    async def _sync_source(
        self,
        source_id: int,
        source: Source,
        policy: ChunkingPolicy,
        seen: set[str],
        tally: _Tally,
        *,
        asked_for: bool,
    ) -> None:
        failed_before = len(tally.failed)
        outcome: SyncOutcome | None = None
        await self._store.begin_source(source_id)
        try:
            async with self._showing_progress(source_id, tally):
                try:
                    takes_code = policy.strategy is ChunkingStrategy.CODE
                    entries = [
                        entry
                        for entry in await source.entries()
                        if entry.locator not in seen and (takes_code or not entry.is_code)
                    ]
                except SourceError as error:
                    tally.fail(error)
                    outcome = "failed"
                else:
                    seen.update(entry.locator for entry in entries)
                    tally.total += len(entries)
                    held = await self._store.quarantined(source_id)
                    if asked_for:
                        held = release_unread(held)
                    await self._sync_entries(source_id, source, entries, policy, held, tally)
        except Exception as error:
            expected = isinstance(error, ThreadloreError)
            await self._note_failure(
                source_id, str(error) if expected else "The sync broke off; the log says why."
            )
            raise
        stored = await self._store.documents(source_id)
        tally.documents += len(stored)
        tally.chunks += sum(document.chunks for document in stored.values())
        error_summary = _summary(tally.failed[failed_before:])
        await self._store.finish_source(source_id, error=error_summary, outcome=outcome)

    async def _note_failure(self, source_id: int, reason: str) -> None:
        try:
            await self._store.finish_source(source_id, error=reason, outcome="failed")
        except ThreadloreError:
            log.warning("source_failure_not_recorded", source_id=source_id)

    @asynccontextmanager
    async def _showing_progress(self, source_id: int, tally: _Tally) -> AsyncIterator[None]:
        """Signs of life while a source is synced, however long a single step takes."""
        done_before, total_before = tally.done, tally.total

        async def note() -> None:
            with suppress(StorageError):
                await self._store.note_progress(
                    source_id, tally.done - done_before, tally.total - total_before
                )

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

    async def _sync_entries(
        self,
        source_id: int,
        source: Source,
        entries: Sequence[Entry],
        policy: ChunkingPolicy,
        held: Mapping[str, QuarantinedDocument],
        tally: _Tally,
    ) -> None:
        stored = await self._store.documents(source_id)
        unread = await self._put_changed(source_id, source, entries, policy, stored, held, tally)
        listed = {entry.uri for entry in entries}

        def is_gone(uri: str) -> bool:
            if not source.lists_everything:
                return False
            return uri not in listed and not any(uri.startswith(f"{folder}/") for folder in unread)

        gone = [document.id for uri, document in stored.items() if is_gone(uri)]
        if gone:
            await self._store.delete_documents(gone)
            tally.deleted += len(gone)
        await self._store.release(source_id, [uri for uri in held if is_gone(uri)])

    async def _put_changed(
        self,
        source_id: int,
        source: Source,
        entries: Sequence[Entry],
        policy: ChunkingPolicy,
        stored: dict[str, StoredDocument],
        held: Mapping[str, QuarantinedDocument],
        tally: _Tally,
    ) -> list[str]:
        """Store what is new or changed; returns the uris that could not be read, which are quarantined."""
        unread: list[str] = []
        embedding = self._embedding
        name = embedding.embedder.name

        async def read(entry: Entry) -> Draft | None:
            known = stored.get(entry.uri)
            same_model = known if known is not None and known.embedder == name else None
            return await self._read(source, entry, policy, same_model, held.get(entry.uri))

        async def store(drafts: list[Draft]) -> None:
            embedded = await embedding.embed(drafts)
            await self._store.put_documents(source_id, embedded, embedder=name)
            for draft in drafts:
                if draft.document.uri in stored:
                    tally.updated += 1
                else:
                    tally.added += 1
                tally.advance(draft.document.uri)

        async with aclosing(read_ahead(entries, read)) as batches:
            async for batch in batches:
                await self._quarantine(source_id, batch, held)
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

    async def _read(
        self,
        source: Source,
        entry: Entry,
        policy: ChunkingPolicy,
        known: StoredDocument | None,
        held: QuarantinedDocument | None,
    ) -> Draft | None:
        """None if it is as it is known. Raises SourceError."""
        refuse_held(held, None)
        content = await source.read(entry, read_validator(known.validator, policy) if known else None)
        if content is None:
            return None
        current = known.content_hash if known else None
        return await prepare(content, entry.uri, current, policy, parser=self._parser, held=held)

    async def _quarantine(
        self, source_id: int, batch: Batch, held: Mapping[str, QuarantinedDocument]
    ) -> None:
        """Before anything else is done: a document that has cost a minute once is not tried again because the
        sync was cut off after it."""
        new = [
            make_quarantined(entry.uri, error, held.get(entry.uri))
            for entry, error in batch.failed
            if not isinstance(error, HeldError)
        ]
        if new:
            await self._store.quarantine(source_id, new)
        read = {*batch.unchanged, *(draft.document.uri for draft in batch.drafts)}
        if mended := [uri for uri in held if uri in read]:
            await self._store.release(source_id, mended)


def require_own_collection(source: Source, collection: str) -> None:
    """What was said in a channel must not get among documents that others read. Raises SourceError."""
    if source.kind == CHANNEL and collection != source.uri:
        raise SourceError(source.uri, "A channel is not ingested by hand: name it in KNOWLEDGE.")


def _summary(failed: Sequence[FailedDocument]) -> str | None:
    if not failed:
        return None
    first = f"{failed[0].uri}: {failed[0].reason}"
    return first if len(failed) == 1 else f"{first} ({len(failed)} failed in all)"
