"""M5: no author and no source takes up all the places while others have something to say, on both stores."""

from __future__ import annotations

import random
from collections import Counter

from core.answers import Passage
from core.knowledge.passages import put_surplus_last
from core.knowledge.search_policy import AUTHOR_CHUNKS, SearchPolicy, most_of_source
from core.ports import KnowledgeStore
from core.storage.database import Database
from core.storage.knowledge import PostgresKnowledgeStore
from core.testing.knowledge import InMemoryKnowledgeStore
from tests.contracts.shelf import LEAVE, Shelf

QUESTION = "How much annual leave do staff earn in each pay period?"


def texts(kind: str, count: int, text: str) -> dict[str, str]:
    return {f"{kind}{n}": f"{text} Note {n}." for n in range(count)}


async def test_documents_that_one_author_tuned_to_a_question_leave_room_for_the_right_one(
    shelf: Shelf,
) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, right="Staff earn four hours of leave.", **texts("page", 10, "The office."))
    await shelf.put(source_id, author="Mallory", **texts("tuned", 3, f"{QUESTION} None."))
    await shelf.put(source_id, author="mallory", **texts("more", 3, f"{QUESTION} None."))

    found = await shelf.search(QUESTION, limit=8)

    assert [p.author for p in found[:AUTHOR_CHUNKS]] == ["Mallory"] * AUTHOR_CHUNKS
    assert found[AUTHOR_CHUNKS].uri == "right"
    assert all(p.author is None for p in found[AUTHOR_CHUNKS:])
    assert [p.rank for p in found] == list(range(1, 9))


async def test_the_only_author_and_the_only_source_fill_all_places_in_the_order_of_the_scores(
    shelf: Shelf,
) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, author="Ada", **texts("page", 12, LEAVE))

    found = await shelf.search(QUESTION, limit=10)

    assert len(found) == 10
    assert {(p.author, p.source_id) for p in found} == {("Ada", source_id)}
    assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)


async def test_one_source_leaves_places_for_another(shelf: Shelf) -> None:
    large, small = await shelf.open_source("large"), await shelf.open_source("small")
    await shelf.put(large, **texts("page", 20, LEAVE))
    await shelf.put(small, other="Leave is earned.", another="The staff.", third="A period.")

    found = await shelf.search(QUESTION, limit=8)

    assert [p.source_id for p in found] == [large] * 7 + [small]


async def test_the_stores_put_the_same_last_as_the_rule_says(database: Database) -> None:
    """24 questions over documents of drawn authors and sources: what the statement returns is what the rule makes
    of the same search without caps."""
    numbers = random.Random(5)  # noqa: S311 (reproducible, not secret)
    words = ["leave", "travel", "printer", "badge", "parking", "lunch", "laptop", "visa", "payroll", "garden"]
    free = SearchPolicy(author_chunks=10_000, source_share=1)
    memory, free_memory = InMemoryKnowledgeStore(), InMemoryKnowledgeStore(free)
    free_memory.__dict__.update({k: v for k, v in memory.__dict__.items() if k != "_policy"})
    pairs: list[tuple[KnowledgeStore, KnowledgeStore]] = [
        (PostgresKnowledgeStore(database), PostgresKnowledgeStore(database, free)),
        (memory, free_memory),
    ]
    drawn = [
        (numbers.choice([None, "Ada", "ada", "Bob", "Cyd"]), " ".join(numbers.choices(words, k=8)))
        for _ in range(40)
    ]
    for capped, uncapped in pairs:
        shelf, free_shelf = Shelf(capped), Shelf(uncapped)
        sources = [await shelf.open_source(f"source{n}") for n in range(3)]
        for n, (author, text) in enumerate(drawn):
            await shelf.put(sources[n % 7 % 3], author=author, **{f"d{n}": text})
        for n in range(24):
            question, limit = f"{words[n % 10]} {words[n * 3 % 10]}", 1 + n % 12
            everything = await free_shelf.search(question, limit=40)
            found = await shelf.search(question, limit=limit)
            assert [p.uri for p in found] == [p.uri for p in put_surplus_last(everything, limit)[:limit]]
            check_shares(found, everything, most_of_source(limit))


def check_shares(found: list[Passage], everything: list[Passage], of_source: int) -> None:
    """Who has more than a share has it only because nobody else is left to have the place."""
    chosen = {p.chunk_id for p in found}
    left_out = [p for p in everything if p.chunk_id not in chosen]
    authors = Counter(p.author.lower() for p in found if p.author)
    if max(authors.values(), default=0) > AUTHOR_CHUNKS:
        assert all(p.author and authors[p.author.lower()] >= AUTHOR_CHUNKS for p in left_out)
    sources = Counter(p.source_id for p in found)
    if max(sources.values(), default=0) > of_source and max(authors.values(), default=0) <= AUTHOR_CHUNKS:
        for passage in left_out:
            crowded = passage.author is not None and authors[passage.author.lower()] >= AUTHOR_CHUNKS
            assert crowded or sources[passage.source_id] >= of_source
