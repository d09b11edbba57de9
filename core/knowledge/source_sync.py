"""The documents of one source: those that are new or changed are read, embedded and stored, those that are gone
disappear, and those that cannot be read are quarantined."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from itertools import islice

from core.knowledge.chunking import ChunkingPolicy
from core.knowledge.documents import QuarantinedDocument
from core.knowledge.listing import Listing
from core.knowledge.parsing import DocumentParser
from core.knowledge.pipeline import (
    BATCH_ENTRIES,
    Batch,
    Draft,
    Embedding,
    KnownEntry,
    prepare,
    read_ahead,
    read_validator,
)
from core.knowledge.quarantine import HeldError, make_quarantined, refuse_held
from core.knowledge.sources import Source
from core.knowledge.tally import Tally
from core.ports import KnowledgeStore

IDS_AT_ONCE = 1_000


class SourceSync:
    """One sync of one source, which is known to the store as `source_id`."""

    def __init__(
        self,
        store: KnowledgeStore,
        embedding: Embedding,
        parser: DocumentParser,
        source_id: int,
        source: Source,
        policy: ChunkingPolicy,
        tally: Tally,
    ) -> None:
        self._store = store
        self._embedding = embedding
        self._parser = parser
        self._source_id = source_id
        self._source = source
        self._policy = policy
        self._tally = tally

    async def run(self, listing: Listing, held: Mapping[str, QuarantinedDocument]) -> None:
        """Store what is new or changed of what is listed, and delete what is gone. `held`: what is in quarantine.
        Raises StorageError, ModelError."""
        unread = await self._put_changed(listing, held)
        if not self._source.lists_everything:
            return

        def is_gone(uri: str) -> bool:
            return not listing.has(uri) and not any(uri.startswith(f"{folder}/") for folder in unread)

        gone = [document_id async for uri, document_id in self._stored_documents() if is_gone(uri)]
        if gone:
            await self._store.delete_documents(gone)
            self._tally.deleted += len(gone)
        await self._store.release(self._source_id, [uri for uri in held if is_gone(uri)])

    async def _stored_documents(self) -> AsyncIterator[tuple[str, int]]:
        """Uri and id of each, page by page."""
        after = ""
        while page := await self._store.document_ids(self._source_id, after=after, limit=IDS_AT_ONCE):
            for uri, document_id in page.items():
                yield uri, document_id
            after = uri

    async def _known_entries(self, listing: Listing) -> AsyncIterator[KnownEntry]:
        entries = iter(listing)
        while some := list(islice(entries, BATCH_ENTRIES)):
            stored = await self._store.documents(self._source_id, [entry.uri for entry in some])
            for entry in some:
                yield KnownEntry(entry, stored.get(entry.uri))

    async def _put_changed(self, listing: Listing, held: Mapping[str, QuarantinedDocument]) -> list[str]:
        """Returns the uris that could not be read, which are quarantined."""
        unread: list[str] = []
        tally = self._tally

        async def read(known: KnownEntry) -> Draft | None:
            return await self._read(known, held.get(known.entry.uri))

        async with aclosing(read_ahead(self._known_entries(listing), read)) as batches:
            async for batch in batches:
                await self._quarantine(batch, held)
                for entry, error in batch.failed:
                    unread.append(entry.uri)
                    tally.fail(error)
                    tally.advance(entry.uri)
                for uri in batch.unchanged:
                    tally.unchanged += 1
                    tally.advance(uri)
                if batch.drafts:
                    await self._put(batch.drafts)
        return unread

    async def _put(self, drafts: list[Draft]) -> None:
        embedded = await self._embedding.embed(drafts)
        await self._store.put_documents(self._source_id, embedded, embedder=self._embedding.embedder.name)
        for draft in drafts:
            if draft.is_new:
                self._tally.added += 1
            else:
                self._tally.updated += 1
            self._tally.advance(draft.document.uri)

    async def _read(self, known: KnownEntry, held: QuarantinedDocument | None) -> Draft | None:
        """None if it is as it is stored. Raises SourceError."""
        refuse_held(held, None)
        entry, stored = known.entry, known.stored
        if stored is not None and stored.embedder != self._embedding.embedder.name:
            stored = None
        validator = read_validator(stored.validator, self._policy) if stored else None
        content = await self._source.read(entry, validator)
        if content is None:
            return None
        current = stored.content_hash if stored else None
        draft = await prepare(content, entry.uri, current, self._policy, parser=self._parser, held=held)
        return draft and replace(draft, is_new=known.stored is None)

    async def _quarantine(self, batch: Batch, held: Mapping[str, QuarantinedDocument]) -> None:
        """Before anything else is done: a document that has cost a minute once is not tried again because the
        sync was cut off after it."""
        new = [
            make_quarantined(entry.uri, error, held.get(entry.uri))
            for entry, error in batch.failed
            if not isinstance(error, HeldError)
        ]
        if new:
            await self._store.quarantine(self._source_id, new)
        read = {*batch.unchanged, *(draft.document.uri for draft in batch.drafts)}
        if mended := [uri for uri in held if uri in read]:
            await self._store.release(self._source_id, mended)
