"""What a search of any knowledge store finds, how it scores it, and what it tells of it."""

from __future__ import annotations

import pytest

from core.answers import Extent
from core.knowledge.chunking import ChunkingPolicy, ChunkingStrategy, chunk_text, embedding_text
from core.knowledge.documents import Document
from core.knowledge.search_policy import SearchPolicy, share_of_word
from tests.contracts.shelf import LEAVE, TRAVEL, Shelf


async def test_words_said_before_tip_the_scales_between_equals(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, forms="The limit of the printer.", trains="The limit of the railway.")
    for topic, wanted in (("railway", "trains"), ("printer", "forms")):
        first, second = await shelf.search("What is the limit?", context=f"{topic} delays")
        assert (first.uri, first.score > second.score) == (wanted, True)


async def test_words_said_before_do_not_outweigh_the_question(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, leave=LEAVE, travel=TRAVEL)
    [first, *_] = await shelf.search("annual leave", context="agency travel trip")
    assert first.uri == "leave"


async def test_words_said_before_find_what_a_question_without_a_word_means(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, leave=LEAVE, travel=TRAVEL)
    [first, *_] = await shelf.search("what is it?", context="travel agency")
    assert first.uri == "travel"
    assert first.lexical_rank == 1


async def test_the_best_passage_comes_first_with_what_is_known_of_it(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, leave=f"# Benefits\n\n## Holidays\n\n{LEAVE}", travel=TRAVEL)

    best, other = await shelf.search("How much annual leave do staff earn?")

    assert (best.uri, best.title, best.rank) == ("leave", "Leave", 1)
    assert best.heading_path == ("Benefits", "Holidays")
    assert best.text == LEAVE
    assert (best.dense_rank, best.lexical_rank) == (1, 1)
    assert best.score > other.score
    assert other.rank == 2
    stored = await shelf.store.documents(source_id)
    assert best.document_id == stored["leave"].id


async def test_similarity_is_the_cosine_to_the_query(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, leave=LEAVE)

    (passage,) = await shelf.search(f"Leave\n\n{LEAVE}")

    assert passage.similarity == pytest.approx(1.0, abs=2e-3)


async def test_scores_are_those_of_the_policy_for_the_figures_of_the_legs(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, leave=LEAVE, travel=TRAVEL, both=f"{LEAVE} {TRAVEL}")

    for passage in await shelf.search("annual leave and travel"):
        expected = SearchPolicy().score(passage.similarity, passage.coverage)
        assert passage.score == pytest.approx(expected)


async def test_coverage_grows_with_the_words_held_and_stays_a_share(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, leave=LEAVE, travel=TRAVEL, both=f"{LEAVE} {TRAVEL}")

    coverage = {p.uri: p.coverage or 0.0 for p in await shelf.search("annual leave and travel")}

    assert 0.0 < coverage["travel"] < coverage["both"] < 1.0
    assert 0.0 < coverage["leave"] < coverage["both"]


async def test_coverage_is_the_share_of_bm25_that_the_policy_says(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, one="zebra zebra zebra quagga okapi tapir")

    (passage,) = [p for p in await shelf.search("zebra") if p.uri == "one"]

    assert passage.coverage == pytest.approx(share_of_word(3, 7), abs=1e-6)  # "One" is the title


async def test_what_only_the_words_found_has_its_similarity_too(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, leave=LEAVE, travel=TRAVEL)

    assert all(p.similarity is not None for p in await shelf.search("annual leave and travel"))


async def test_a_question_is_found_by_any_of_its_words(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, leave=LEAVE, travel=TRAVEL)

    passages = await shelf.search("Whom do I ask when my trip to Mars was cancelled by the agency?")

    assert passages[0].uri == "travel"
    assert passages[0].lexical_rank == 1
    assert [p.lexical_rank for p in passages if p.uri == "leave"] == [None]


async def test_a_rare_word_weighs_more_than_a_common_one(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    common = {f"page{n}": f"The printer on floor {n} needs paper paper paper." for n in range(12)}
    await shelf.put(source_id, **common, rare="The printer speaks Zigbee.")
    await shelf.store.finish_source(source_id, error=None)

    passages = await shelf.search("printer paper zigbee", limit=20)

    assert next(p.uri for p in passages if p.lexical_rank == 1) == "rare"


async def test_a_word_in_the_title_or_a_heading_is_found(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, onboarding="Welcome.", pets="## Hamsters\n\nAllowed on Fridays.")

    assert [p.uri for p in await shelf.search("onboarding") if p.lexical_rank] == ["onboarding"]
    assert [p.uri for p in await shelf.search("hamsters") if p.lexical_rank] == ["pets"]


@pytest.mark.parametrize(
    "query",
    ["", "the of and", "'; DROP TABLE chunks; --", "a:*&|!<->()\\'\"", "%", "\u0000", "word " * 3000, "🦄"],
)
async def test_no_query_is_too_odd_to_search_for(shelf: Shelf, query: str) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, leave=LEAVE)

    assert await shelf.found(query) <= {"leave"}
    assert await shelf.found("annual leave") == {"leave"}


async def test_an_empty_store_finds_nothing(shelf: Shelf) -> None:
    await shelf.open_source()

    assert await shelf.search("anything") == []
    assert await shelf.store.documents(await shelf.open_source()) == {}


async def test_a_passage_knows_where_it_stands(shelf: Shelf) -> None:
    await shelf.put(await shelf.open_source(), leave=f"# Leave\n\n{LEAVE}")

    passage = (await shelf.search(LEAVE))[0]

    assert passage.extent == Extent(first=0, last=0, start=9, end=9 + len(LEAVE))


async def test_a_small_chunk_is_read_with_its_whole_parent(shelf: Shelf) -> None:
    rows = [f"| Country number {n} | {n} |" for n in range(12)]
    text = "\n".join(
        [
            "# Leave",
            "",
            "Rest well. " * 20,
            "",
            "| Country | Days |",
            "| --- | --- |",
            *rows,
            "",
            "# End",
            "",
            LEAVE,
        ]
    )
    policy = ChunkingPolicy(
        strategy=ChunkingStrategy.SMALL_TO_BIG, child_tokens=30, parent_tokens=90, small_tokens=0
    )
    chunks = chunk_text(text, policy=policy)
    document = Document(uri="leave", title="", text=text, content_hash="x")
    vectors = await shelf.embedder.embed_documents([embedding_text("", chunk) for chunk in chunks])
    source_id = await shelf.open_source()
    await shelf.store.put_documents(source_id, [(document, chunks, vectors)], embedder=shelf.embedder.name)

    found = await shelf.search("country number 11", limit=50)

    assert len(found) == len(chunks)
    for passage in found:
        assert passage.extent is not None
        own = passage.text[passage.extent.repeated :]
        assert own == text[passage.extent.start : passage.extent.end]
        assert len({chunk.parent for chunk in chunks[passage.extent.first : passage.extent.last + 1]}) == 1
    best = found[0]
    assert "| Country number 11 | 11 |" in best.text
    assert best.text.startswith("| Country | Days |\n| --- | --- |\n")
    assert max(passage.text.count("Country number") for passage in found) > 3
