"""A VectorStore in memory, for tests: the vectors of an InMemoryKnowledgeStore."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from core.errors import EmbeddingMismatchError
from core.knowledge.vector_store import THROW_AWAY, BareChunk, Filling
from core.testing.knowledge import InMemoryKnowledgeStore
from core.testing.sources import KeptDocument


class InMemoryVectorStore:
    """`filled` holds vectors that do not serve yet, by embedder and chunk id; `former` when who stopped."""

    def __init__(self, knowledge: InMemoryKnowledgeStore) -> None:
        self._knowledge = knowledge
        self._serving: str | None = None
        self.filled: dict[str, dict[int, Sequence[float]]] = {}
        self.former: dict[str, float] = {}

    async def serving_embedder(self) -> str | None:
        if self._serving is not None:
            return self._serving
        used = Counter(document.embedder for document in self._documents() if document.chunks)
        return min(used, key=lambda name: (-used[name], name)) if used else None

    async def bare_chunks(self, embedder: str, *, after: int, limit: int) -> list[BareChunk]:
        bare = sorted(self._bare(embedder), key=lambda chunk: chunk.chunk_id)
        return [chunk for chunk in bare if chunk.chunk_id > after][:limit]

    async def add_vectors(self, embedder: str, vectors: Mapping[int, Sequence[float]]) -> None:
        filled = self.filled.setdefault(embedder, {})
        known = {len(vector) for vector in filled.values()} | self._knowledge.dimensions_of(embedder)
        if len(known | {len(vector) for vector in vectors.values()}) > 1:
            raise EmbeddingMismatchError(f"Vectors of {embedder} have {sorted(known)} dimensions.")
        self.former.pop(embedder, None)
        there = {chunk.id for document in self._documents() for chunk in document.chunks}
        for chunk_id, vector in vectors.items():
            if chunk_id in there:
                filled.setdefault(chunk_id, vector)

    async def filling(self, embedder: str) -> Filling:
        total = sum(len(document.chunks) for document in self._documents())
        return Filling(embedder=embedder, done=total - len(list(self._bare(embedder))), total=total)

    async def switch_to(self, embedder: str) -> bool:
        if any(True for _ in self._bare(embedder)):
            return False
        filled = self.filled.pop(embedder, {})
        was = await self.serving_embedder()
        for document in self._documents():
            if document.embedder != embedder:
                kept = self.filled.setdefault(document.embedder, {})
                for chunk in document.chunks:
                    kept[chunk.id], chunk.vector = chunk.vector, filled[chunk.id]
                document.embedder = embedder
        if was not in (None, embedder):
            self.former[str(was)] = time.monotonic()
        self._serving = embedder
        return True

    async def drop_former(self, *, after_seconds: float) -> list[str]:
        used = {document.embedder for document in self._documents()}
        gone = [
            name
            for name, since in self.former.items()
            if name not in used and time.monotonic() - since > after_seconds
        ]
        for name in gone:
            del self.former[name]
            self.filled.pop(name, None)
        return gone

    def _documents(self) -> Iterator[KeptDocument]:
        for source in self._knowledge.kept_sources():
            if source.kind != THROW_AWAY:
                yield from source.documents.values()

    def _bare(self, embedder: str) -> Iterator[BareChunk]:
        filled = self.filled.get(embedder, {})
        for document in self._documents():
            if document.embedder != embedder:
                for chunk in document.chunks:
                    if chunk.id not in filled:
                        yield BareChunk(
                            chunk_id=chunk.id,
                            title=document.document.title,
                            heading_path=chunk.draft.heading_path,
                            text=chunk.draft.text,
                        )
