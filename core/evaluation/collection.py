"""A collection for one evaluation run: filled from a corpus, readable by nobody else, dropped at the end. What a run
that was killed has left behind is dropped by the next one."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal
from uuid import uuid4

from core.evaluation.datasets import Dataset
from core.knowledge.chunking import ChunkingPolicy, chunk_text, embedding_text, estimate_tokens
from core.knowledge.documents import Document, Grant
from core.knowledge.vector_store import THROW_AWAY
from core.messages import Audience, Frozen
from core.ports import Embedder, KnowledgeStore

PLATFORM = THROW_AWAY
DOCUMENTS_PER_BATCH = 64


class Progress(Frozen):
    """How far a run is. `total` is None where it is not known beforehand."""

    step: Literal["ingest", "search", "ask"]
    done: int
    total: int | None = None


OnProgress = Callable[[Progress], None]
Exclusively = Callable[[str], AbstractAsyncContextManager[bool]]
"""Holds a name as long as this process lives; False inside: another process holds it."""


def ignore_progress(progress: Progress) -> None:
    """For callers that show none."""


@asynccontextmanager
async def without_locks(name: str) -> AsyncIterator[bool]:
    """Where no other process can be asked: nothing is taken for left behind."""
    yield False


@dataclass(frozen=True)
class Workbench:
    """What a run works with: where its corpus goes, how that is sliced and embedded, and who hears how far it is."""

    store: KnowledgeStore
    embedder: Embedder
    policy: ChunkingPolicy = field(default_factory=ChunkingPolicy)
    exclusively: Exclusively = without_locks
    on_progress: OnProgress = ignore_progress


@dataclass
class RunCollection:
    """Where the corpus of a run is, and the only audience that may read it. `tokens` is what its chunks have."""

    name: str
    audience: Audience
    documents: int = 0
    chunks: int = 0
    tokens: int = 0


@asynccontextmanager
async def open_run_collection(dataset: Dataset, bench: Workbench) -> AsyncIterator[RunCollection]:
    """Fill a collection of its own from the corpus; drop it at the end, however the run ends.

    One document per corpus entry; its uri is the entry's id. Chunked and embedded as ingestion does it.
    """
    async with open_collection_of(dataset.name, corpus_documents(dataset), bench) as run:
        yield run


def corpus_documents(dataset: Dataset) -> Iterator[Document]:
    """Each entry of the corpus as a document."""
    for entry in dataset.corpus():
        yield Document(
            uri=entry.id,
            title=entry.title,
            text=entry.text,
            content_hash=hashlib.sha256(f"{entry.title}\n{entry.text}".encode()).hexdigest(),
        )


@asynccontextmanager
async def open_collection_of(
    label: str, documents: Iterable[Document], bench: Workbench
) -> AsyncIterator[RunCollection]:
    """As `open_run_collection`, filled with these documents."""
    store = bench.store
    await drop_left_behind(store, bench.exclusively)
    name = f"{PLATFORM}/{label}/{uuid4().hex}"
    run = RunCollection(name=name, audience=Audience(platform=PLATFORM, workspace=name, channel=label))
    async with bench.exclusively(name):
        try:
            collection_id = await store.open_collection(name, [Grant(platform=PLATFORM, workspace=name)])
            source_id = await store.open_source(collection_id, name, PLATFORM)
            for batch in _batches(iter(documents), DOCUMENTS_PER_BATCH):
                await _put_batch(batch, source_id, run, bench)
                bench.on_progress(Progress(step="ingest", done=run.documents))
            await store.finish_source(source_id, error=None)
            yield run
        finally:
            await store.drop_collection(name)


async def drop_left_behind(store: KnowledgeStore, exclusively: Exclusively) -> None:
    """Drop the collections of runs whose process is gone."""
    for name in {status.collection for status in await store.sources()}:
        if name.startswith(f"{PLATFORM}/"):
            async with exclusively(name) as is_gone:
                if is_gone:
                    await store.drop_collection(name)


async def _put_batch(documents: list[Document], source_id: int, run: RunCollection, bench: Workbench) -> None:
    chunks = [chunk_text(document.text, title=document.title, policy=bench.policy) for document in documents]
    texts = [
        embedding_text(document.title, chunk)
        for document, drafts in zip(documents, chunks, strict=True)
        for chunk in drafts
    ]
    vectors = iter(await bench.embedder.embed_documents(texts) if texts else [])
    await bench.store.put_documents(
        source_id,
        [
            (document, drafts, list(islice(vectors, len(drafts))))
            for document, drafts in zip(documents, chunks, strict=True)
        ],
        embedder=bench.embedder.name,
    )
    run.documents += len(documents)
    run.chunks += len(texts)
    run.tokens += sum(estimate_tokens(chunk.text) for drafts in chunks for chunk in drafts)


def _batches(documents: Iterator[Document], size: int) -> Iterator[list[Document]]:
    while batch := list(islice(documents, size)):
        yield batch
