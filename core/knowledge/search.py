"""The one way to search: embeds the query and asks the store, always for an Audience."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import structlog

from core.answers import Passage
from core.errors import ModelError, SearchImpairedError
from core.knowledge.passages import drop_repeats, merge_neighbours, put_surplus_last
from core.knowledge.reranking import PASSAGES_READ, Reranker, rerank
from core.messages import Audience
from core.ports import Embedder, KnowledgeStore

log = structlog.get_logger(__name__)

MOST_REPEATS = 4
"""How many times as many chunks are looked at where several lead to the same place."""


class Knowledge:
    """What the documents say, as far as an Audience may read it."""

    def __init__(
        self,
        store: KnowledgeStore,
        embedder: Embedder,
        reranker: Reranker | None = None,
    ) -> None:
        self._store = store
        self._embedder = embedder
        self.reranker = reranker

    def use(self, embedder: Embedder) -> None:
        """Search with this embedder from now on; a search under way ends with the one it began with."""
        self._embedder = embedder

    async def search(
        self,
        query: str,
        *,
        audience: Audience,
        limit: int = 8,
        collections: Collection[str] | None = None,
        or_by_words: bool = False,
        context: str = "",
    ) -> list[Passage]:
        """The best passages for the query, best first; none for a blank query. `collections` narrows by
        name. `or_by_words`: while the embedder fails, the words alone will do, and no `similarity` is known.
        `context`: words said before, which count a little.

        Raises ModelError (with `or_by_words` SearchImpairedError, where the words find nothing) and
        StorageError.
        """
        if not query.strip():
            return []
        if self.reranker is None:
            return await self._search(query, audience, limit, collections, or_by_words, context)
        found = await self._search(
            query, audience, max(limit, PASSAGES_READ), collections, or_by_words, context
        )
        ranked = await rerank(self.reranker, query, found)
        return put_surplus_last(ranked, limit)[:limit]

    async def _search(
        self,
        query: str,
        audience: Audience,
        limit: int,
        collections: Collection[str] | None,
        or_by_words: bool,
        context: str,
    ) -> list[Passage]:
        embedder = self._embedder
        vector = await _embed(embedder, query, or_by_words)
        asked_for = limit
        while True:
            found = await self._store.search(
                query,
                vector,
                embedder=embedder.name,
                audience=audience,
                limit=asked_for,
                collections=collections,
                context=context,
            )
            if vector is None and not found:
                raise SearchImpairedError("the embedder fails, and nothing holds the words of the query")
            distinct = drop_repeats(found)
            # Small chunks lead to the same place again and again: look further down for other ones.
            if len(distinct) >= limit or len(found) < asked_for or asked_for >= limit * MOST_REPEATS:
                return put_surplus_last(distinct, limit)[:limit]
            asked_for = limit * MOST_REPEATS

    async def read(
        self,
        query: str,
        *,
        audience: Audience,
        limit: int = 8,
        collections: Collection[str] | None = None,
        or_by_words: bool = False,
        context: str = "",
    ) -> list[Passage]:
        """What an answer is written from: as `search`, with neighbours merged into readable passages."""
        return merge_neighbours(
            await self.search(
                query,
                audience=audience,
                limit=limit,
                collections=collections,
                or_by_words=or_by_words,
                context=context,
            )
        )


async def _embed(embedder: Embedder, query: str, or_by_words: bool) -> Sequence[float] | None:
    try:
        return await embedder.embed_query(query)
    except ModelError as error:
        if not or_by_words:
            raise
        log.warning("searched_by_words_alone", error=type(error).__name__, detail=str(error)[:200])
        return None
