"""The dense leg on an HNSW index finds what comparing one by one finds, also under a narrow filter."""

from __future__ import annotations

import random

from sqlalchemy import text

from core.knowledge.documents import ChunkDraft, Document, Grant
from core.knowledge.search_policy import SearchPolicy
from core.messages import Audience
from core.storage.database import Database
from core.storage.knowledge import PostgresKnowledgeStore
from core.storage.knowledge_vectors import EmbeddingModel, find_model, index_vectors

MODEL = "made:numbers"
DIMENSIONS = 8
HERE = Audience(platform="slack", workspace="W1", channel="C1")


def make_vector(seed: int) -> list[float]:
    numbers = random.Random(seed)  # noqa: S311 (a reproducible point, not a secret)
    values = [numbers.gauss(0, 1) for _ in range(DIMENSIONS)]
    length = sum(value * value for value in values) ** 0.5
    return [value / length for value in values]


async def fill(store: PostgresKnowledgeStore, collection: str, grant: Grant, seeds: range) -> None:
    collection_id = await store.open_collection(collection, [grant])
    source_id = await store.open_source(collection_id, collection, "folder")
    chunks = [ChunkDraft(position=n, text=f"number {seed}", start=0, end=1) for n, seed in enumerate(seeds)]
    document = Document(uri=collection, title=collection, text="numbers", content_hash="0")
    vectors = [make_vector(seed) for seed in seeds]
    await store.put_documents(source_id, [(document, chunks, vectors)], embedder=MODEL)
    await store.finish_source(source_id, error=None)


async def build_index(database: Database) -> EmbeddingModel:
    model = await find_model(database, MODEL)
    assert model is not None
    async with database.maintenance() as connection:
        await index_vectors(connection, model, from_rows=1)
        await index_vectors(connection, model, from_rows=1)
    return model


async def found(database: Database, policy: SearchPolicy, seed: int) -> list[str]:
    store = PostgresKnowledgeStore(database, policy)
    passages = await store.search("", make_vector(seed), embedder=MODEL, audience=HERE, limit=10)
    return [passage.text for passage in passages]


async def test_a_few_readable_chunks_among_many_are_all_found_through_the_index(database: Database) -> None:
    store = PostgresKnowledgeStore(database)
    await fill(store, "theirs", Grant(platform="slack", workspace="W2"), range(3000))
    await fill(store, "ours", Grant(platform="slack", workspace="W1"), range(3000, 3030))
    model = await build_index(database)

    exact, walked = SearchPolicy(), SearchPolicy(exact_rows=0)
    for seed in range(5000, 5010):
        assert await found(database, walked, seed) == await found(database, exact, seed)
        assert len(await found(database, walked, seed)) == 10
    (row,) = await database.run(
        text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"), {"name": model.index}
    )
    assert row.indisvalid


async def test_connections_walk_the_index_until_enough_rows_pass_the_filter(database: Database) -> None:
    await database.run(text("SELECT '[1]'::vector"))
    (row,) = await database.run(
        text("SELECT current_setting('hnsw.iterative_scan') AS scan, current_setting('hnsw.ef_search') AS ef")
    )
    assert (row.scan, row.ef) == ("relaxed_order", "200")


async def test_a_small_table_gets_no_index(database: Database) -> None:
    store = PostgresKnowledgeStore(database)
    await fill(store, "small", Grant(), range(3))

    model = await find_model(database, MODEL)
    assert model is not None
    (row,) = await database.run(text("SELECT to_regclass(:name) AS found"), {"name": model.index})
    assert row.found is None
