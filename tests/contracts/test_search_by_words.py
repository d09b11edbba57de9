"""Search without a vector, on both stores: the lexical leg alone, under the same limits."""

from __future__ import annotations

from core.knowledge.documents import Grant
from core.messages import Audience
from tests.contracts.shelf import ANYONE, LEAVE, TRAVEL, Shelf


async def found_by_words(shelf: Shelf, query: str, audience: Audience = ANYONE) -> list[str]:
    passages = await shelf.store.search(
        query, None, embedder="a model that is away", audience=audience, limit=5
    )
    assert all(p.similarity is None and p.dense_rank is None for p in passages)
    assert [p.lexical_rank for p in passages] == [p.rank for p in passages]
    assert sorted((p.score for p in passages), reverse=True) == [p.score for p in passages]
    return [passage.uri for passage in passages]


async def test_without_a_vector_the_words_alone_are_searched(shelf: Shelf) -> None:
    await shelf.put(await shelf.open_source(), leave=LEAVE, travel=TRAVEL)
    assert await found_by_words(shelf, "Who books travel through the agency?") == ["travel"]
    assert await found_by_words(shelf, "vacation entitlement") == []


async def test_without_a_vector_only_what_the_audience_may_read_is_found(shelf: Shelf) -> None:
    grants = [Grant(platform="slack", workspace="W1", channel="C2")]
    source = await shelf.open_source(collection="secret", grants=grants)
    await shelf.put(source, travel=TRAVEL)
    assert await found_by_words(shelf, "travel agency") == []
    readers = ANYONE.model_copy(update={"channel": "C2"})
    assert await found_by_words(shelf, "travel agency", readers) == ["travel"]
