"""The steps of a sync that overlap: documents are read and sliced in threads while those before them are
embedded. Holds a few batches in memory, however many documents there are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from core.errors import ModelTransientError, SourceError
from core.knowledge.chunking import ChunkingPolicy, chunk_text, embedding_text
from core.knowledge.documents import ChunkDraft, Document, QuarantinedDocument, StoredDocument
from core.knowledge.loading import fingerprint, is_untrusted, load_document
from core.knowledge.parsing import DocumentParser
from core.knowledge.quarantine import HeldError, UnparsedError, refuse_held
from core.knowledge.sources import Content, Entry
from core.ports import Embedder

log = structlog.get_logger(__name__)

BATCH_CHUNKS = 128
BATCH_ENTRIES = 256
BATCHES_AHEAD = 2
TEXTS_PER_CALL = 32
MAX_ATTEMPTS = 5
MAX_PAUSE_SECONDS = 60.0

EmbeddedDocument = tuple[Document, Sequence[ChunkDraft], Sequence[Sequence[float]]]


@dataclass(frozen=True, slots=True)
class KnownEntry:
    """An entry, and what is stored of it."""

    entry: Entry
    stored: StoredDocument | None


@dataclass(frozen=True, slots=True)
class Draft:
    """A document that is to be stored, with its chunks, not yet embedded; unless it is new, in place of one."""

    document: Document
    chunks: tuple[ChunkDraft, ...]
    is_new: bool = True


@dataclass(slots=True)
class Batch:
    """What came of reading some entries, in their order within each list."""

    drafts: list[Draft] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failed: list[tuple[Entry, SourceError]] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        entries = len(self.drafts) + len(self.unchanged) + len(self.failed)
        return entries >= BATCH_ENTRIES or sum(len(draft.chunks) for draft in self.drafts) >= BATCH_CHUNKS


async def prepare(
    content: Content,
    uri: str,
    current: str | None,
    policy: ChunkingPolicy,
    *,
    parser: DocumentParser,
    held: QuarantinedDocument | None = None,
) -> Draft | None:
    """Read and slice a document, off the event loop; None if its content hash is `current` already.
    Raises UnparsedError, and HeldError for content that failed not long ago."""

    def read_here() -> Draft | None:
        if _is_current(content, policy, current, held):
            return None
        document = load_document(uri=uri, slicing=policy.key, **content.for_loading())
        return _slice_up(document, content, policy)

    try:
        if not is_untrusted(content.name, content.media_type):
            return await asyncio.to_thread(read_here)
        if await asyncio.to_thread(_is_current, content, policy, current, held):
            return None
        document = await parser.parse(content, uri, slicing=policy.key)
        return await asyncio.to_thread(_slice_up, document, content, policy)
    except HeldError:
        raise
    except SourceError as error:
        raise UnparsedError(uri, error.reason, fingerprint(content.data, policy.key)) from error


def _is_current(
    content: Content, policy: ChunkingPolicy, current: str | None, held: QuarantinedDocument | None
) -> bool:
    """Raises HeldError."""
    if current is None and held is None:
        return False
    content_hash = fingerprint(content.data, policy.key)
    if content_hash == current:
        return True
    refuse_held(held, content_hash)
    return False


def _slice_up(document: Document, content: Content, policy: ChunkingPolicy) -> Draft:
    if content.validator:
        validator = mark_validator(content.validator, policy)
        document = document.model_copy(update={"validator": validator})
    return Draft(document, tuple(chunk_text(document.text, title=document.title, policy=policy)))


def mark_validator(validator: str, policy: ChunkingPolicy) -> str:
    """A validator as it is stored: it counts only as long as documents are read and sliced in the same way."""
    return f"{fingerprint(b'', policy.key)[:12]}:{validator}"


def read_validator(stored: str | None, policy: ChunkingPolicy) -> str | None:
    """The validator to show to the server; None where the document has to be read anew anyway."""
    validator = (stored or "").partition(":")[2]
    return validator if validator and stored == mark_validator(validator, policy) else None


async def read_ahead(
    entries: AsyncIterable[KnownEntry], read: Callable[[KnownEntry], Awaitable[Draft | None]]
) -> AsyncGenerator[Batch, None]:
    """Batches of what `read` gives (None: unchanged; SourceError: failed), read while the caller works on
    the batch before. Close it when leaving early."""
    queue: asyncio.Queue[Batch | None] = asyncio.Queue(maxsize=BATCHES_AHEAD)

    async def produce() -> None:
        batch = Batch()
        async for known in entries:
            try:
                draft = await read(known)
            except SourceError as error:
                batch.failed.append((known.entry, error))
            else:
                if draft is None:
                    batch.unchanged.append(known.entry.uri)
                else:
                    batch.drafts.append(draft)
            if batch.is_full:
                await queue.put(batch)
                batch = Batch()
        await queue.put(batch)
        await queue.put(None)

    producer = asyncio.create_task(produce())
    producer.add_done_callback(lambda task: None if task.cancelled() else _wake(queue, task))
    try:
        while (batch := await queue.get()) is not None:
            yield batch
        await producer
    finally:
        producer.cancel()
        with suppress(asyncio.CancelledError):
            await producer


def _wake(queue: asyncio.Queue[Batch | None], producer: asyncio.Task[None]) -> None:
    """A producer that raised leaves nobody to end the queue."""
    if producer.exception() is not None:
        while queue.full():
            queue.get_nowait()
        queue.put_nowait(None)


class Embedding:
    """Embeds the chunks of many documents at once: texts of like length together, equal texts once."""

    def __init__(
        self, embedder: Embedder, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self.embedder = embedder
        self._sleep = sleep

    async def embed(self, drafts: Sequence[Draft]) -> list[EmbeddedDocument]:
        """Each draft with one vector per chunk. Raises ModelError."""
        texts = [[embedding_text(draft.document.title, chunk) for chunk in draft.chunks] for draft in drafts]
        vectors = await self.embed_texts(text for of_draft in texts for text in of_draft)
        return [
            (draft.document, draft.chunks, [vectors[text] for text in of_draft])
            for draft, of_draft in zip(drafts, texts, strict=True)
        ]

    async def embed_texts(self, texts: Iterable[str]) -> dict[str, Sequence[float]]:
        """The vector of each text. Raises ModelError."""
        distinct = sorted(set(texts), key=len)
        vectors: dict[str, Sequence[float]] = {}
        for first in range(0, len(distinct), TEXTS_PER_CALL):
            group = distinct[first : first + TEXTS_PER_CALL]
            vectors.update(zip(group, await self._embed_group(group), strict=True))
        return vectors

    async def _embed_group(self, texts: Sequence[str]) -> list[Sequence[float]]:
        """A long sync outlasts a rate limit: wait as asked, else twice as long each time."""
        for attempt in range(1, MAX_ATTEMPTS):
            try:
                return await self.embedder.embed_documents(texts)
            except ModelTransientError as error:
                pause_seconds = min(error.retry_after_seconds or 2.0**attempt, MAX_PAUSE_SECONDS)
                log.warning("embedding_postponed", attempt=attempt, seconds=pause_seconds)
                await self._sleep(pause_seconds)
        return await self.embedder.embed_documents(texts)
