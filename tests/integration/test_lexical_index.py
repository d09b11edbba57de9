"""The lexical leg on the index of words finds what scoring one by one finds, within its budget of rows."""

from __future__ import annotations

from core.answers import Passage
from core.knowledge.documents import ChunkDraft, Document, Grant
from core.knowledge.search_policy import SearchPolicy
from core.messages import Audience
from core.storage.database import Database
from core.storage.knowledge import PostgresKnowledgeStore

HERE = Audience(platform="slack", workspace="W1", channel="C1")
VECTOR = [1.0, 0.0]
MODEL = "made:numbers"


async def fill(store: PostgresKnowledgeStore, collection: str, workspace: str, texts: list[str]) -> None:
    collection_id = await store.open_collection(collection, [Grant(platform="slack", workspace=workspace)])
    source_id = await store.open_source(collection_id, collection, "folder")
    chunks = [ChunkDraft(position=n, text=text, start=n, end=n + 1) for n, text in enumerate(texts)]
    document = Document(uri=collection, title="", text="words", content_hash="0")
    await store.put_documents(source_id, [(document, chunks, [VECTOR] * len(texts))], embedder=MODEL)
    await store.finish_source(source_id, error=None)


async def found(database: Database, question: str, *, rows: int) -> list[Passage]:
    store = PostgresKnowledgeStore(database, SearchPolicy(lexical_rows=rows, lexical_exact_rows=rows))
    return await store.search(question, None, embedder=MODEL, audience=HERE, limit=10)


async def test_the_index_finds_what_scoring_one_by_one_finds(database: Database) -> None:
    store = PostgresKnowledgeStore(database)
    texts = [
        f"printer {'zebra' if n % 9 == 0 else 'paper'} floor{n} {'quagga ' * (n % 4)}" for n in range(40)
    ]
    await fill(store, "ours", "W1", texts)
    await fill(store, "theirs", "W2", texts)

    for question in ("zebra", "zebra floor7", "floor1 floor2"):
        one_by_one = await found(database, question, rows=40)
        by_index = await found(database, question, rows=39)
        assert by_index
        assert [(p.chunk_id, p.score) for p in by_index] == [(p.chunk_id, p.score) for p in one_by_one]


async def test_words_that_are_common_elsewhere_do_not_make_a_small_collection_s_search_miss_any(
    database: Database,
) -> None:
    store = PostgresKnowledgeStore(database)
    await fill(store, "theirs", "W2", ["printer paper"] * 200)
    await fill(store, "ours", "W1", ["printer paper", "printer", "paper", "nothing"])

    passages = await found(database, "printer paper", rows=50)

    assert [p.text for p in passages] == ["printer paper", "printer", "paper"]


async def test_a_word_that_more_chunks_hold_than_may_be_looked_at_costs_no_more_than_that(
    database: Database,
) -> None:
    store = PostgresKnowledgeStore(database)
    await fill(store, "ours", "W1", ["printer paper"] * 60)

    passages = await store.search("printer", None, embedder=MODEL, audience=HERE, limit=100)
    assert len(passages) == 60
    limited = PostgresKnowledgeStore(database, SearchPolicy(lexical_rows=1, lexical_exact_rows=20))
    assert len(await limited.search("printer", None, embedder=MODEL, audience=HERE, limit=100)) == 20
