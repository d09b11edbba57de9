"""The one way to search: embeds the query and asks the store, always for an Audience."""

from __future__ import annotations

from collections.abc import Collection

from core.knowledge.passages import drop_repeats, merge_neighbours
from core.messages import Audience, Passage
from core.ports import Embedder, KnowledgeStore

MOST_REPEATS = 4
"""How many times as many chunks are looked at where several lead to the same place."""


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
        asked_for = limit
        while True:
            found = await self._store.search(
                query,
                vector,
                embedder=self._embedder.name,
                audience=audience,
                limit=asked_for,
                collections=collections,
            )
            distinct = drop_repeats(found)
            # Small chunks lead to the same place again and again: look further down for other ones.
            if len(distinct) >= limit or len(found) < asked_for or asked_for >= limit * MOST_REPEATS:
                return distinct[:limit]
            asked_for = limit * MOST_REPEATS

    async def read(
        self,
        query: str,
        *,
        audience: Audience,
        limit: int = 8,
        collections: Collection[str] | None = None,
    ) -> list[Passage]:
        """What an answer is written from: as `search`, with neighbours merged into readable passages."""
        return merge_neighbours(
            await self.search(query, audience=audience, limit=limit, collections=collections)
        )
