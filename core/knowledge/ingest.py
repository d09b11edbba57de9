"""Brings the store in line with the sources: new and changed documents are read, sliced, embedded and
stored, deleted ones disappear, and what is unchanged costs one hash."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import structlog

from core.errors import SourceError, ThreadloreError
from core.knowledge.channel_messages import CHANNEL
from core.knowledge.chunking import ChunkingPolicy, ChunkingStrategy
from core.knowledge.documents import (
    FailedDocument,
    Grant,
    Keeper,
    SyncOutcome,
    SyncReport,
)
from core.knowledge.listing import Fingerprints, Listing
from core.knowledge.locations import DEFAULT_HOME, build_source, name_location
from core.knowledge.parsing import DocumentParser, ParsingLimits
from core.knowledge.pipeline import Embedding
from core.knowledge.quarantine import release_unread
from core.knowledge.source_sync import SourceSync
from core.knowledge.sources import Entry, Source
from core.knowledge.tally import OnProgress, Tally, showing_progress
from core.ports import Embedder, KnowledgeStore

log = structlog.get_logger(__name__)

ChunkingChoice = ChunkingStrategy | Literal["default"]


def parse_choice(name: str) -> ChunkingChoice:
    """A strategy by its name, or "default". Raises ValueError."""
    return "default" if name == "default" else ChunkingStrategy(name)


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
        tally = Tally(on_progress)
        collection_id = await self._store.open_collection(collection, grants)
        sources = await self._sources(collection_id, collection, locations, kept_by, tally)
        seen: list[Fingerprints] = []
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
        tally: Tally,
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
        seen: list[Fingerprints],
        tally: Tally,
        *,
        asked_for: bool,
    ) -> None:
        failed_before = len(tally.failed)
        outcome: SyncOutcome | None = None
        await self._store.begin_source(source_id)
        try:
            with Listing() as listing:
                async with showing_progress(self._store, source_id, tally):
                    try:
                        await _list(
                            source, listing, seen, takes_code=policy.strategy is ChunkingStrategy.CODE
                        )
                    except SourceError as error:
                        tally.fail(error)
                        outcome = "failed"
                    else:
                        tally.total += len(listing)
                        held = await self._store.quarantined(source_id)
                        if asked_for:
                            held = release_unread(held)
                        sync = SourceSync(
                            self._store, self._embedding, self._parser, source_id, source, policy, tally
                        )
                        await sync.run(listing, held)
        except Exception as error:
            expected = isinstance(error, ThreadloreError)
            await self._note_failure(
                source_id, str(error) if expected else "The sync broke off; the log says why."
            )
            raise
        for status in await self._store.sources():
            if status.id == source_id:
                tally.documents += status.documents
                tally.chunks += status.chunks
        error_summary = _summary(tally.failed[failed_before:])
        await self._store.finish_source(source_id, error=error_summary, outcome=outcome)

    async def _note_failure(self, source_id: int, reason: str) -> None:
        try:
            await self._store.finish_source(source_id, error=reason, outcome="failed")
        except ThreadloreError:
            log.warning("source_failure_not_recorded", source_id=source_id)


async def _list(source: Source, listing: Listing, seen: list[Fingerprints], *, takes_code: bool) -> None:
    """Write the source's entries down, but for those that a source before it had: `seen` holds their locators.
    Raises SourceError."""
    entries = await source.entries()

    def is_wanted(entry: Entry) -> bool:
        return (takes_code or not entry.is_code) and not any(entry.locator in before for before in seen)

    await asyncio.to_thread(listing.fill, entries, is_wanted)
    seen.append(listing.locators)


def require_own_collection(source: Source, collection: str) -> None:
    """What was said in a channel must not get among documents that others read. Raises SourceError."""
    if source.kind == CHANNEL and collection != source.uri:
        raise SourceError(source.uri, "A channel is not ingested by hand: name it in KNOWLEDGE.")


def _summary(failed: Sequence[FailedDocument]) -> str | None:
    if not failed:
        return None
    first = f"{failed[0].uri}: {failed[0].reason}"
    return first if len(failed) == 1 else f"{first} ({len(failed)} failed in all)"
