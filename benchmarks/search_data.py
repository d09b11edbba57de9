"""Made-up knowledge for `make bench-search`, loaded by COPY: what the tables hold is what ingestion would have
stored, but nobody has to embed it.

Vectors are unit vectors in clusters, with a spectrum that falls as that of sentence embeddings does; the words of the
texts follow Zipf's law, a third of them being those of the topic. Documents belong to three collections of which the
audiences read one, two or all: a hundredth, a tenth or everything. Half of what a small collection holds is
about topics of its own, the other half about what the rest is about too.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import asyncpg  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
from sqlalchemy import text

from benchmarks.search_words import WORDS, Vocabulary, ids_by_frequency, open_vocabulary
from core.knowledge.documents import Grant
from core.knowledge.search_policy import share_of_word
from core.messages import Audience
from core.storage.database import Database
from core.storage.knowledge import PostgresKnowledgeStore
from core.storage.knowledge_tables import TERMS
from core.storage.knowledge_vectors import open_model

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

MODEL = "bench:clusters"
DIMENSIONS = 384
CHUNKS_PER_DOCUMENT = 10
CHUNKS_PER_TOPIC = 250
BLOCK = 10_000
TOPIC_WORDS = 40
SHARES = {"narrow": 0.01, "middle": 0.09, "wide": 0.90}
AUDIENCES = {
    "1 %": Audience(platform="slack", workspace="W1", channel="C"),
    "10 %": Audience(platform="slack", workspace="W10", channel="C"),
    "100 %": Audience(platform="slack", workspace="W100", channel="C"),
}
READERS = {"narrow": ("W1", "W10", "W100"), "middle": ("W10", "W100"), "wide": ("W100",)}
_SPECTRUM = ((1.0 + np.arange(DIMENSIONS)) ** -0.6).astype(np.float32)
_VECTOR_ROW = np.dtype(
    [("fields", ">i2"), ("l1", ">i4"), ("chunk", ">i8"), ("l2", ">i4"), ("collection", ">i8"), ("l3", ">i4"),
     ("dimensions", ">i2"), ("unused", ">i2"), ("values", ">f2", DIMENSIONS)]
)  # fmt: skip


@dataclass(frozen=True)
class Question:
    """What is asked: some words of one chunk, and a vector near that chunk's."""

    text: str
    vector: list[float]


class Corpus:
    """The made-up chunks, the same for the same number; nothing is kept but what the topics are."""

    def __init__(self, chunks: int, vocabulary: Vocabulary) -> None:
        self.chunks = chunks
        self.vocabulary = vocabulary
        random = np.random.default_rng(7)
        self.topics = max(50, chunks // CHUNKS_PER_TOPIC)
        self._centres = random.standard_normal((self.topics, DIMENSIONS), dtype=np.float32) * _SPECTRUM
        self._topic_words = random.integers(100, WORDS, (self.topics, TOPIC_WORDS))
        documents = -(-chunks // CHUNKS_PER_DOCUMENT)
        self.document_topics = random.integers(0, self.topics, documents)
        self.document_collections = self._share_out(random, documents)

    def _share_out(self, random: np.random.Generator, documents: int) -> Integers:
        """The number of each document's collection: by its topic for half of the small collections, by chance
        for the rest."""
        borders = np.cumsum(list(SHARES.values()))[:-1]
        by_topic = np.searchsorted(borders / 2, np.linspace(0, 1, self.topics), side="right")
        by_chance = np.searchsorted(borders / 2, random.random(documents), side="right")
        collections = by_topic[self.document_topics]
        return np.where(collections == len(SHARES) - 1, by_chance, collections)

    def collections_of(self, first: int, count: int) -> Integers:
        return self.document_collections[np.arange(first, first + count) // CHUNKS_PER_DOCUMENT]

    def vectors(self, first: int, count: int) -> Floats:
        """Of unit length, one row for each chunk."""
        random = np.random.default_rng((11, first))
        topics = self.document_topics[np.arange(first, first + count) // CHUNKS_PER_DOCUMENT]
        noise = random.standard_normal((count, DIMENSIONS), dtype=np.float32) * _SPECTRUM
        return _normalised(self._centres[topics] + 0.8 * noise)

    def words(self, first: int, count: int) -> list[Integers]:
        """The numbers of each chunk's words in their order; the first two are its document's title."""
        random = np.random.default_rng((13, first))
        lengths = np.clip(random.normal(60, 20, count), 15, 140).astype(int) + 2
        common = ids_by_frequency(random, int(lengths.sum()))
        topical = random.integers(0, TOPIC_WORDS, len(common))
        is_topical = random.random(len(common)) < 0.33
        documents = np.repeat(np.arange(first, first + count) // CHUNKS_PER_DOCUMENT, lengths)
        words = np.where(is_topical, self._topic_words[self.document_topics[documents], topical], common)
        chunks = np.split(words, np.cumsum(lengths)[:-1])
        for offset, chunk in enumerate(chunks):
            topic = self.document_topics[(first + offset) // CHUNKS_PER_DOCUMENT]
            chunk[:2] = self._topic_words[topic, :2]
        return chunks

    def questions(self, count: int, seed: int = 17) -> list[Question]:
        """About chunks of all collections: half of them about the narrow one's, which everybody may read."""
        random = np.random.default_rng(seed)
        of_collection = np.repeat(self.document_collections, CHUNKS_PER_DOCUMENT)[: self.chunks]
        narrow = np.flatnonzero(of_collection == 0)
        asked = [
            int(random.choice(narrow)) if n % 2 else int(random.integers(self.chunks)) for n in range(count)
        ]
        return [self._question(random, chunk) for chunk in asked]

    def _question(self, random: np.random.Generator, chunk: int) -> Question:
        first = chunk // BLOCK * BLOCK
        count = min(BLOCK, self.chunks - first)
        near = self.vectors(first, count)[chunk - first]
        noise = _normalised(random.standard_normal((1, DIMENSIONS), dtype=np.float32) * _SPECTRUM)[0]
        vector = _normalised((near + 0.6 * noise)[None])[0]
        words = np.unique(self.words(first, count)[chunk - first])
        asked = [*random.choice(words, min(5, len(words)), replace=False), *ids_by_frequency(random, 2)]
        return Question(" ".join(self.vocabulary.words[word] for word in asked), vector.tolist())


def _normalised(vectors: Floats) -> Floats:
    lengths: Floats = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / lengths).astype(np.float32)


async def load(database: Database, chunks: int) -> Corpus:
    """Fill an empty, migrated database, indexes and statistics included; takes a minute per 100,000 chunks."""
    corpus = Corpus(chunks, await open_vocabulary(database))
    store = PostgresKnowledgeStore(database)
    model = await open_model(database, MODEL, DIMENSIONS)
    sources = []
    for name, workspaces in READERS.items():
        grants = [Grant(platform="slack", workspace=workspace) for workspace in workspaces]
        sources.append(await store.open_source(await store.open_collection(name, grants), name, "folder"))
    async with database.maintenance() as connection:
        raw = (await connection.get_raw_connection()).driver_connection
        assert isinstance(raw, asyncpg.Connection)
        for statement in _BEFORE:
            await raw.execute(statement)
        await _load_documents(raw, corpus, sources, model.id)
        held = np.zeros((len(SHARES), WORDS), dtype=np.int64)
        for first in range(0, chunks, BLOCK):
            await _load_block(raw, corpus, first, min(BLOCK, chunks - first), model.table, held)
        await _load_statistics(raw, corpus, held)
        for statement in _AFTER:
            await raw.execute(statement)
    for source_id in sources:
        await store.finish_source(source_id, error=None)
    return corpus


# Generated columns are given as they would be generated: making them costs ten times as much as all the rest.
_BEFORE = (
    "DROP INDEX ix_chunks_searched",
    "ALTER TABLE chunks ALTER COLUMN searched DROP EXPRESSION, ALTER COLUMN weights DROP EXPRESSION",
)
_AFTER = (
    "SET maintenance_work_mem = '1GB'",
    "CREATE INDEX ix_chunks_searched ON chunks USING gin (searched)",
    "VACUUM (ANALYZE) chunks",
    "VACUUM (ANALYZE) documents",
    "ANALYZE term_statistics",
    "ANALYZE vectors_1",
)
_COLUMNS = (
    "id", "document_id", "collection_id", "position", "title", "heading_path", "text", "start_offset", "end_offset",
    "words", "searched", "weights",
)  # fmt: skip


async def _load_documents(
    raw: asyncpg.Connection, corpus: Corpus, sources: Sequence[int], model_id: int
) -> None:
    rows = (
        (n + 1, sources[collection], f"page-{n}", f"page {n}", "0", model_id, CHUNKS_PER_DOCUMENT)
        for n, collection in enumerate(corpus.document_collections.tolist())
    )
    columns = ("id", "source_id", "uri", "title", "content_hash", "embedding_model_id", "chunks")
    await raw.copy_records_to_table("documents", records=rows, columns=columns)


async def _load_block(
    raw: asyncpg.Connection, corpus: Corpus, first: int, count: int, table: str, held: Integers
) -> None:
    collections = corpus.collections_of(first, count)
    rows = io.BytesIO("".join(_chunk_rows(corpus, first, collections, held)).encode())
    await raw.copy_to_table("chunks", source=rows, columns=_COLUMNS, format="text")
    vectors = np.zeros(count, dtype=_VECTOR_ROW)
    vectors["fields"], vectors["l1"], vectors["l2"], vectors["l3"] = 3, 8, 8, 4 + 2 * DIMENSIONS
    vectors["dimensions"] = DIMENSIONS
    vectors["chunk"] = np.arange(first, first + count) + 1
    vectors["collection"] = collections + 1
    vectors["values"] = corpus.vectors(first, count)
    packed = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0) + vectors.tobytes() + struct.pack(">h", -1)
    await raw.copy_to_table(table, source=io.BytesIO(packed), format="binary")


def _chunk_rows(corpus: Corpus, first: int, collections: Integers, held: Integers) -> Iterator[str]:
    """As COPY reads text. Counts in `held` in how many chunks of each collection each word occurs."""
    names, terms = corpus.vocabulary.words, corpus.vocabulary.terms
    for n, words in enumerate(corpus.words(first, len(collections))):
        places: dict[int, list[str]] = {}
        for position, word in enumerate(words.tolist(), start=1):
            places.setdefault(word, []).append(f"{position}A" if position <= 2 else str(position))
        held[collections[n], list(places)] += 1
        searched = " ".join(f"{names[word]}:{','.join(at)}" for word, at in places.items())
        weights = ",".join(
            f"{terms[word]}:{share_of_word(len(at), len(words)):.6g}" for word, at in places.items()
        )
        spelt = [names[word] for word in words.tolist()]
        number, text_length = first + n, sum(map(len, spelt[2:])) + len(spelt) - 3
        fields = (
            number + 1, number // CHUNKS_PER_DOCUMENT + 1, collections[n] + 1, number % CHUNKS_PER_DOCUMENT,
            " ".join(spelt[:2]), "[]", " ".join(spelt[2:]), 0, text_length, len(words), searched,
            f"{{{weights}}}/{TERMS}",
        )  # fmt: skip
        yield "\t".join(map(str, fields)) + "\n"


async def _load_statistics(raw: asyncpg.Connection, corpus: Corpus, held: Integers) -> None:
    names = corpus.vocabulary.words
    rows = (
        (collection + 1, names[word], int(held[collection, word]))
        for collection in range(len(SHARES))
        for word in np.flatnonzero(held[collection]).tolist()
    )
    await raw.copy_records_to_table(
        "term_statistics", records=rows, columns=("collection_id", "lexeme", "chunks")
    )
    await raw.execute(
        "UPDATE collections c SET chunks = k.chunks, words = k.words, last_chunk_id = k.last FROM"
        " (SELECT collection_id, count(*) AS chunks, sum(words) AS words, max(id) AS last FROM chunks GROUP BY 1) k"
        " WHERE k.collection_id = c.id"
    )


async def check_generated(database: Database) -> None:
    """Raises AssertionError if what was loaded is not what the database would have generated."""
    (row,) = await database.run(
        text("""
            SELECT count(*) AS n FROM (SELECT * FROM chunks ORDER BY id LIMIT 500) c,
                LATERAL (SELECT setweight(to_tsvector('english'::regconfig, title), 'A')
                    || setweight(to_tsvector('english'::regconfig, heading_path), 'B')
                    || setweight(to_tsvector('english'::regconfig, text), 'D') AS searched) g
            WHERE c.searched <> g.searched OR (c.weights <-> lexical_weights(g.searched)) > 1e-4
        """)
    )
    assert row.n == 0, f"{row.n} of 500 chunks are not what ingestion would have stored"
