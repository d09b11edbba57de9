"""The one way to search: embeds the query and asks the store, always for an Audience."""

from __future__ import annotations

from collections.abc import Collection

from core.messages import Audience, Passage
from core.ports import Embedder, KnowledgeStore


class Knowledge:
    """What the documents say, as far as an Audience may read it."""

    def __init__(self, store: KnowledgeStore, embedder: Embedder) -> None:
        self._store = store
        self._embedder = embedder

    async def search(
        self,
        query: str,
        *,
        audience: Audience,
        limit: int = 8,
        collections: Collection[str] | None = None,
    ) -> list[Passage]:
        """The best passages for the query, best first; none for a blank query. `collections` narrows by
        name. Raises ModelError and StorageError."""
        if not query.strip():
            return []
        vector = await self._embedder.embed_query(query)
        return await self._store.search(
            query,
            vector,
            embedder=self._embedder.name,
            audience=audience,
            limit=limit,
            collections=collections,
        )
