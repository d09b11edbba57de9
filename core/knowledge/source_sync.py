"""The documents of one source: those that are new or changed are read, embedded and stored, those that are gone
disappear, and those that cannot be read are quarantined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing

from core.knowledge.chunking import ChunkingPolicy
from core.knowledge.documents import QuarantinedDocument, StoredDocument
from core.knowledge.parsing import DocumentParser
from core.knowledge.pipeline import Batch, Draft, Embedding, prepare, read_ahead, read_validator
from core.knowledge.quarantine import HeldError, make_quarantined, refuse_held
from core.knowledge.sources import Entry, Source
from core.knowledge.tally import Tally
from core.ports import KnowledgeStore


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

    async def run(self, entries: Sequence[Entry], held: Mapping[str, QuarantinedDocument]) -> None:
        """Store what is new or changed of the entries, and delete what is gone. `held`: what is in quarantine. Raises
        StorageError, ModelError."""
        stored = await self._store.documents(self._source_id)
        unread = await self._put_changed(entries, stored, held)
        listed = {entry.uri for entry in entries}

        def is_gone(uri: str) -> bool:
            if not self._source.lists_everything:
                return False
            return uri not in listed and not any(uri.startswith(f"{folder}/") for folder in unread)

        gone = [document.id for uri, document in stored.items() if is_gone(uri)]
        if gone:
            await self._store.delete_documents(gone)
            self._tally.deleted += len(gone)
        await self._store.release(self._source_id, [uri for uri in held if is_gone(uri)])

    async def _put_changed(
        self,
        entries: Sequence[Entry],
        stored: Mapping[str, StoredDocument],
        held: Mapping[str, QuarantinedDocument],
    ) -> list[str]:
        """Returns the uris that could not be read, which are quarantined."""
        unread: list[str] = []
        tally, name = self._tally, self._embedding.embedder.name

        async def read(entry: Entry) -> Draft | None:
            known = stored.get(entry.uri)
            same_model = known if known is not None and known.embedder == name else None
            return await self._read(entry, same_model, held.get(entry.uri))

        async with aclosing(read_ahead(entries, read)) as batches:
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
                    await self._put(batch.drafts, stored)
        return unread

    async def _put(self, drafts: list[Draft], stored: Mapping[str, StoredDocument]) -> None:
        embedded = await self._embedding.embed(drafts)
        await self._store.put_documents(self._source_id, embedded, embedder=self._embedding.embedder.name)
        for draft in drafts:
            if draft.document.uri in stored:
                self._tally.updated += 1
            else:
                self._tally.added += 1
            self._tally.advance(draft.document.uri)

    async def _read(
        self, entry: Entry, known: StoredDocument | None, held: QuarantinedDocument | None
    ) -> Draft | None:
        """None if it is as it is known. Raises SourceError."""
        refuse_held(held, None)
        content = await self._source.read(
            entry, read_validator(known.validator, self._policy) if known else None
        )
        if content is None:
            return None
        current = known.content_hash if known else None
        return await prepare(content, entry.uri, current, self._policy, parser=self._parser, held=held)

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
