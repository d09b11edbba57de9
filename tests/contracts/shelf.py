"""What the contracts of a knowledge store put on it and look for."""

from __future__ import annotations

from collections.abc import Sequence

from core.answers import Passage
from core.knowledge.chunking import chunk_text, embedding_text
from core.knowledge.documents import Document, Grant
from core.messages import Audience
from core.ports import KnowledgeStore
from core.testing.embedder import FakeEmbedder

ANYONE = Audience(platform="slack", workspace="W1", channel="C1")
LEAVE = "Staff earn four hours of annual leave in each pay period."
TRAVEL = "Book travel through the agency before the trip starts."


class Shelf:
    """Puts documents into a store and searches them, embedding as it goes."""

    def __init__(self, store: KnowledgeStore, embedder: FakeEmbedder | None = None) -> None:
        self.store = store
        self.embedder = embedder or FakeEmbedder()

    async def open_source(
        self, uri: str = "folder", *, collection: str = "default", grants: Sequence[Grant] = ()
    ) -> int:
        collection_id = await self.store.open_collection(collection, grants)
        return await self.store.open_source(collection_id, uri, "folder")

    async def put(self, source_id: int, *, author: str | None = None, **texts: str) -> None:
        documents = []
        for uri, text in texts.items():
            document = Document(
                uri=uri, title=uri.title(), text=text, content_hash=f"hash of {text}", author=author
            )
            chunks = chunk_text(text, title=document.title)
            vectors = await self.embedder.embed_documents(
                [embedding_text(document.title, chunk) for chunk in chunks]
            )
            documents.append((document, chunks, vectors))
        await self.store.put_documents(source_id, documents, embedder=self.embedder.name)

    async def search(
        self,
        query: str,
        audience: Audience = ANYONE,
        *,
        limit: int = 5,
        collections: set[str] | None = None,
        context: str = "",
    ) -> list[Passage]:
        return await self.store.search(
            query,
            await self.embedder.embed_query(query),
            embedder=self.embedder.name,
            audience=audience,
            limit=limit,
            collections=collections,
            context=context,
        )

    async def found(
        self, query: str, audience: Audience = ANYONE, collections: set[str] | None = None
    ) -> set[str]:
        return {passage.uri for passage in await self.search(query, audience, collections=collections)}
