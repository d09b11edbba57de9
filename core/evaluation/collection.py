"""A collection for one evaluation run: filled from a corpus, readable by nobody else, dropped at the end."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Literal
from uuid import uuid4

from core.evaluation.datasets import CorpusEntry, Dataset
from core.knowledge.chunking import chunk_text, embedding_text
from core.knowledge.documents import Document, Grant
from core.messages import Audience, Frozen
from core.ports import Embedder, KnowledgeStore

PLATFORM = "evaluation"
DOCUMENTS_PER_BATCH = 64


class Progress(Frozen):
    """How far a run is. `total` is None where it is not known beforehand."""

    step: Literal["ingest", "search", "ask"]
    done: int
    total: int | None = None


OnProgress = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """For callers that show none."""


@dataclass
class RunCollection:
    """Where the corpus of a run is, and the only audience that may read it."""

    name: str
    audience: Audience
    documents: int = 0
    chunks: int = 0


@asynccontextmanager
async def open_run_collection(
    dataset: Dataset, *, store: KnowledgeStore, embedder: Embedder, on_progress: OnProgress = ignore_progress
) -> AsyncIterator[RunCollection]:
    """Fill a collection of its own from the corpus; drop it at the end, however the run ends.

    One document per corpus entry; its uri is the entry's id. Chunked and embedded as ingestion does it.
    """
    name = f"{PLATFORM}/{dataset.name}/{uuid4().hex}"
    audience = Audience(platform=PLATFORM, workspace=name, channel=dataset.name)
    run = RunCollection(name=name, audience=audience)
    try:
        collection_id = await store.open_collection(name, [Grant(platform=PLATFORM, workspace=name)])
        source_id = await store.open_source(collection_id, name, PLATFORM)
        for batch in _batches(dataset.corpus(), DOCUMENTS_PER_BATCH):
            run.chunks += await _put_batch(batch, source_id, store=store, embedder=embedder)
            run.documents += len(batch)
            on_progress(Progress(step="ingest", done=run.documents))
        await store.finish_source(source_id, error=None)
        yield run
    finally:
        await store.drop_collection(name)


async def _put_batch(
    batch: list[CorpusEntry], source_id: int, *, store: KnowledgeStore, embedder: Embedder
) -> int:
    documents = [
        Document(
            uri=entry.id,
            title=entry.title,
            text=entry.text,
            content_hash=hashlib.sha256(f"{entry.title}\n{entry.text}".encode()).hexdigest(),
        )
        for entry in batch
    ]
    chunks = [chunk_text(document.text, title=document.title) for document in documents]
    texts = [
        embedding_text(document.title, chunk)
        for document, drafts in zip(documents, chunks, strict=True)
        for chunk in drafts
    ]
    vectors = iter(await embedder.embed_documents(texts) if texts else [])
    await store.put_documents(
        source_id,
        [
            (document, drafts, list(islice(vectors, len(drafts))))
            for document, drafts in zip(documents, chunks, strict=True)
        ],
        embedder=embedder.name,
    )
    return len(texts)


def _batches(entries: Iterator[CorpusEntry], size: int) -> Iterator[list[CorpusEntry]]:
    while batch := list(islice(entries, size)):
        yield batch
