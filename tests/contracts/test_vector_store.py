"""What every VectorStore must do, run on the one in memory and on the one in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from core.errors import EmbeddingMismatchError
from core.knowledge.chunking import embedding_text
from core.knowledge.documents import ChunkDraft, Document
from core.knowledge.vector_store import THROW_AWAY, VectorStore
from core.messages import Audience
from core.ports import KnowledgeStore
from core.storage.database import Database
from core.storage.knowledge import PostgresKnowledgeStore
from core.storage.vectors import PostgresVectorStore
from core.testing.embedder import FakeEmbedder
from core.testing.knowledge import InMemoryKnowledgeStore
from core.testing.vectors import InMemoryVectorStore

ANYONE = Audience(platform="slack", workspace="W1", channel="C1")
OLD = FakeEmbedder(64, "fake:old")
NEW = FakeEmbedder(32, "fake:new")


@dataclass
class Shelf:
    """Documents and their vectors."""

    knowledge: KnowledgeStore
    vectors: VectorStore

    async def put(self, *texts: str, embedder: FakeEmbedder = OLD, kind: str = "folder") -> None:
        collection_id = await self.knowledge.open_collection(kind)
        source_id = await self.knowledge.open_source(collection_id, kind, kind)
        drafts = [
            ChunkDraft(position=0, text=text, heading_path=("Top",), start=0, end=len(text)) for text in texts
        ]
        vectors = await embedder.embed_documents([embedding_text(d.text.split()[0], d) for d in drafts])
        documents = [
            (Document(uri=d.text, title=d.text.split()[0], text=d.text, content_hash=d.text), [d], [v])
            for d, v in zip(drafts, vectors, strict=True)
        ]
        await self.knowledge.put_documents(source_id, documents, embedder=embedder.name)

    async def fill(self, embedder: FakeEmbedder = NEW, limit: int = 100) -> int:
        """How many chunks got a vector."""
        chunks = await self.vectors.bare_chunks(embedder.name, after=0, limit=limit)
        vectors = await embedder.embed_documents([embedding_text(c.title, c) for c in chunks])
        await self.vectors.add_vectors(
            embedder.name, {c.chunk_id: v for c, v in zip(chunks, vectors, strict=True)}
        )
        return len(chunks)

    async def found(self, words: str, embedder: FakeEmbedder) -> list[tuple[str, int | None]]:
        """What is found, with its rank in the dense leg."""
        vector: Sequence[float] = await embedder.embed_query(words)
        passages = await self.knowledge.search(
            words, vector, embedder=embedder.name, audience=ANYONE, limit=3, collections={"folder"}
        )
        return [(passage.text, passage.dense_rank) for passage in passages]


@pytest.fixture(params=["memory", "postgres"])
def shelf(request: pytest.FixtureRequest) -> Shelf:
    if request.param == "memory":
        knowledge = InMemoryKnowledgeStore()
        return Shelf(knowledge, InMemoryVectorStore(knowledge))
    database: Database = request.getfixturevalue("database")
    return Shelf(PostgresKnowledgeStore(database), PostgresVectorStore(database))


async def test_nothing_serves_where_there_is_nothing(shelf: Shelf) -> None:
    assert await shelf.vectors.serving_embedder() is None
    assert await shelf.vectors.bare_chunks(NEW.name, after=0, limit=5) == []
    filling = await shelf.vectors.filling(NEW.name)
    assert (filling.done, filling.total) == (0, 0)


async def test_what_most_documents_are_embedded_with_serves_until_it_is_switched(shelf: Shelf) -> None:
    await shelf.put("hotels are paid", "trains are booked")
    await shelf.put("badges are replaced", embedder=NEW)
    assert await shelf.vectors.serving_embedder() == OLD.name


async def test_the_old_vectors_serve_until_the_last_new_one_is_there_and_then_all_new_ones_do(
    shelf: Shelf,
) -> None:
    await shelf.put("hotels are paid", "trains are booked", "badges are replaced")
    assert await shelf.fill(limit=2) == 2
    filling = await shelf.vectors.filling(NEW.name)
    assert (filling.done, filling.total) == (2, 3)

    assert not await shelf.vectors.switch_to(NEW.name)
    assert await shelf.vectors.serving_embedder() == OLD.name
    assert (await shelf.found("trains are booked", OLD))[0] == ("trains are booked", 1)

    assert await shelf.fill() == 1
    assert await shelf.vectors.switch_to(NEW.name)
    assert await shelf.vectors.serving_embedder() == NEW.name
    assert (await shelf.found("trains are booked", NEW))[0] == ("trains are booked", 1)
    filling = await shelf.vectors.filling(NEW.name)
    assert (filling.done, filling.total) == (3, 3)


async def test_a_bare_chunk_is_embedded_as_it_was_when_it_was_taken_in(shelf: Shelf) -> None:
    await shelf.put("hotels are paid")
    (chunk,) = await shelf.vectors.bare_chunks(NEW.name, after=0, limit=5)
    assert (chunk.title, chunk.heading_path, chunk.text) == ("hotels", ("Top",), "hotels are paid")
    assert await shelf.vectors.bare_chunks(NEW.name, after=chunk.chunk_id, limit=5) == []


async def test_what_is_stored_with_the_old_one_after_the_switch_is_filled_like_the_rest(shelf: Shelf) -> None:
    await shelf.put("hotels are paid")
    await shelf.fill()
    await shelf.vectors.switch_to(NEW.name)
    await shelf.put("hotels are paid", "trains are booked")
    assert await shelf.vectors.serving_embedder() == NEW.name
    assert await shelf.fill() == 2
    assert await shelf.vectors.switch_to(NEW.name)
    assert [rank for _, rank in await shelf.found("trains", NEW)] == [1, 2]


async def test_a_chunk_that_is_gone_meanwhile_is_passed_over(shelf: Shelf) -> None:
    await shelf.put("hotels are paid")
    vector = (await NEW.embed_documents(["x"]))[0]
    await shelf.vectors.add_vectors(NEW.name, {987654321: vector})
    assert not await shelf.vectors.switch_to(NEW.name)


async def test_vectors_of_another_length_are_refused(shelf: Shelf) -> None:
    await shelf.put("hotels are paid")
    (chunk,) = await shelf.vectors.bare_chunks(NEW.name, after=0, limit=5)
    with pytest.raises(EmbeddingMismatchError):
        await shelf.vectors.add_vectors(OLD.name, {chunk.chunk_id: [1.0, 0.0]})


async def test_what_is_made_for_a_measurement_is_left_alone(shelf: Shelf) -> None:
    await shelf.put("hotels are paid")
    await shelf.put("measured", "measured twice", "and again", embedder=NEW, kind=THROW_AWAY)
    assert await shelf.vectors.serving_embedder() == OLD.name
    assert await shelf.vectors.bare_chunks(OLD.name, after=0, limit=5) == []
    assert (await shelf.vectors.filling(NEW.name)).total == 1


async def test_former_vectors_are_dropped_after_a_while_and_not_before(shelf: Shelf) -> None:
    await shelf.put("hotels are paid")
    await shelf.fill()
    await shelf.vectors.switch_to(NEW.name)
    assert await shelf.vectors.drop_former(after_seconds=60) == []
    assert await shelf.vectors.drop_former(after_seconds=0) == [OLD.name]
    assert await shelf.vectors.drop_former(after_seconds=0) == []
    assert await shelf.found("hotels are paid", NEW) == [("hotels are paid", 1)]


async def test_there_is_a_way_back_before_and_after_the_former_vectors_are_dropped(shelf: Shelf) -> None:
    await shelf.put("hotels are paid")
    await shelf.fill()
    await shelf.vectors.switch_to(NEW.name)
    await shelf.put("hotels are paid", "trains are booked", embedder=NEW)
    for drop in (False, True):
        if drop:
            await shelf.vectors.drop_former(after_seconds=0)
        await shelf.fill(OLD)
        assert await shelf.vectors.switch_to(OLD.name)
        assert await shelf.vectors.serving_embedder() == OLD.name
        assert [rank for _, rank in await shelf.found("hotels", OLD)] == [1, 2]
        await shelf.fill(NEW)
        assert await shelf.vectors.switch_to(NEW.name)
