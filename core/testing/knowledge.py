"""A KnowledgeStore in memory, for tests: the same rules as the real one, without a database."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

from core.answers import Extent, Passage
from core.errors import EmbeddingMismatchError
from core.knowledge.chunking import embedding_text
from core.knowledge.documents import ChunkDraft, Document, StoredDocument
from core.knowledge.passages import put_surplus_last
from core.knowledge.search_policy import SearchPolicy, share_of_word
from core.messages import Audience
from core.testing.sources import InMemorySources, KeptDocument, KeptSource, StoredChunk

_WORD = re.compile(r"\w+")
_COMMON = frozenset(
    _WORD.findall("a an and are as at be by do does for how i in is it of on or the to was what")
)


class InMemoryKnowledgeStore(InMemorySources):
    """Keeps everything in dictionaries; words are compared as they stand, without a stemmer."""

    def __init__(self, policy: SearchPolicy | None = None) -> None:
        super().__init__()
        self._policy = policy or SearchPolicy()
        self._dimensions: dict[str, int] = {}

    def kept_sources(self) -> list[KeptSource]:
        """All that is kept, as it is kept."""
        return list(self._sources.values())

    def dimensions_of(self, embedder: str) -> set[int]:
        """How long its vectors are; empty if there are none."""
        return {self._dimensions[embedder]} if embedder in self._dimensions else set()

    async def documents(self, source_id: int, uris: Sequence[str] | None = None) -> dict[str, StoredDocument]:
        return {
            uri: StoredDocument(
                id=stored.id,
                uri=uri,
                content_hash=stored.document.content_hash,
                embedder=stored.embedder,
                chunks=len(stored.chunks),
                validator=stored.document.validator,
            )
            for uri, stored in self._sources[source_id].documents.items()
            if uris is None or uri in uris
        }

    async def document_ids(self, source_id: int, *, after: str = "", limit: int) -> dict[str, int]:
        stored = self._sources[source_id].documents
        following = sorted(uri for uri in stored if uri > after)[:limit]
        return {uri: stored[uri].id for uri in following}

    async def put_documents(
        self,
        source_id: int,
        documents: Sequence[tuple[Document, Sequence[ChunkDraft], Sequence[Sequence[float]]]],
        *,
        embedder: str,
    ) -> None:
        lengths = {len(vector) for _, _, vectors in documents for vector in vectors}
        expected = self.dimensions_of(embedder)
        if len(lengths | expected) > 1:
            raise EmbeddingMismatchError(
                f"Vectors of {embedder} have {sorted(expected)} dimensions; got {sorted(lengths)}."
            )
        for length in lengths:
            self._dimensions[embedder] = length
        stored = self._sources[source_id].documents
        for document, drafts, vectors in documents:
            id = stored[document.uri].id if document.uri in stored else next(self._ids)
            chunks = [
                StoredChunk(
                    next(self._ids), draft, vector, Counter(_words(embedding_text(document.title, draft)))
                )
                for draft, vector in zip(drafts, vectors, strict=True)
            ]
            stored[document.uri] = KeptDocument(id, document, embedder, chunks)

    async def delete_documents(self, document_ids: Sequence[int]) -> None:
        for source in self._sources.values():
            source.documents = {
                uri: stored for uri, stored in source.documents.items() if stored.id not in document_ids
            }

    async def search(
        self,
        text: str,
        vector: Sequence[float] | None,
        *,
        embedder: str,
        audience: Audience,
        limit: int,
        collections: Collection[str] | None = None,
        context: str = "",
    ) -> list[Passage]:
        if vector is not None:
            self._check_model(embedder, len(vector))
        readable = self._readable(audience, collections)
        similarities = {
            chunk.id: sum(a * b for a, b in zip(chunk.vector, vector, strict=True))
            for document, chunk in readable.values()
            if vector is not None and document.embedder == embedder
        }
        coverages = self._coverages(text, context, [chunk for _, chunk in readable.values()])
        size = max(self._policy.leg_size, limit)
        dense, lexical = _ranks(similarities, size), _ranks(coverages, size)
        fused = self._policy.fuse(
            {id: similarities[id] for id in dense.keys() | lexical.keys() if id in similarities},
            {id: coverages[id] for id in lexical},
        )
        found = [
            _read_whole(*readable[chunk_id]).model_copy(
                update={
                    "score": score,
                    "similarity": similarities.get(chunk_id),
                    "coverage": coverages[chunk_id] if chunk_id in lexical else None,
                    "dense_rank": dense.get(chunk_id),
                    "lexical_rank": lexical.get(chunk_id),
                    "source_id": self._source_of(readable[chunk_id][0]),
                }
            )
            for chunk_id, score in fused
        ]
        policy = self._policy
        return put_surplus_last(
            found, limit, author_chunks=policy.author_chunks, source_share=policy.source_share
        )[:limit]

    def _source_of(self, document: KeptDocument) -> int:
        return next(id for id, source in self._sources.items() if document in source.documents.values())

    def _check_model(self, embedder: str, dimensions: int) -> None:
        stored = {
            document.embedder
            for source in self._sources.values()
            for document in source.documents.values()
            if document.chunks
        }
        if stored and embedder not in stored:
            raise EmbeddingMismatchError(
                f"The documents were embedded with {', '.join(sorted(stored))}, not with {embedder}."
            )
        if self._dimensions.get(embedder, dimensions) != dimensions:
            raise EmbeddingMismatchError(f"Vectors of {embedder} do not have {dimensions} dimensions.")

    def _readable(
        self, audience: Audience, names: Collection[str] | None
    ) -> dict[int, tuple[KeptDocument, StoredChunk]]:
        allowed = {
            collection.name
            for collection in self._collections.values()
            if any(grant.admits(audience) for grant in collection.grants)
            and (names is None or collection.name in names)
        }
        return {
            chunk.id: (document, chunk)
            for source in self._sources.values()
            if source.collection in allowed
            for document in source.documents.values()
            for chunk in document.chunks
        }

    def _coverages(self, query: str, context: str, chunks: Sequence[StoredChunk]) -> dict[int, float]:
        """BM25 as a share of the most that the query and its context allow."""
        shares = dict.fromkeys(_words(context), self._policy.context_weight)
        shares |= dict.fromkeys(_words(query), 1.0)
        scores: defaultdict[int, float] = defaultdict(float)
        most = 0.0
        for word, share in shares.items():
            matches = [chunk for chunk in chunks if word in chunk.words]
            idf = share * math.log(1 + (len(chunks) - len(matches) + 0.5) / (len(matches) + 0.5))
            most += idf
            for chunk in matches:
                scores[chunk.id] += idf * share_of_word(chunk.words[word], chunk.words.total())
        return {id: score / most for id, score in scores.items()} if most else {}


def _read_whole(document: KeptDocument, chunk: StoredChunk) -> Passage:
    """The chunk as a passage, with its whole parent if it has one."""
    parent = chunk.draft.parent
    parts = [c.draft for c in document.chunks if parent is not None and c.draft.parent == parent]
    parts = parts or [chunk.draft]
    first, last = parts[0], parts[-1]
    texts = [part.text[part.repeated : part.repeated + part.end - part.start] for part in parts[:-1]]
    return Passage(
        chunk_id=chunk.id,
        document_id=document.id,
        title=document.document.title,
        uri=document.document.uri,
        author=document.document.author,
        heading_path=chunk.draft.heading_path,
        text="".join([first.text[: first.repeated], *texts, last.text[last.repeated :]]),
        rank=1,
        score=0.0,
        extent=Extent(
            first=first.position,
            last=last.position,
            start=first.start,
            end=last.end,
            repeated=first.repeated,
        ),
    )


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.lower()) if word not in _COMMON]


def _ranks(scores: dict[int, float], size: int) -> dict[int, int]:
    best = sorted(scores, key=lambda id: (-scores[id], id))[:size]
    return {id: rank for rank, id in enumerate(best, start=1)}
