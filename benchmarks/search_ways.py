"""The ways of searching that are held against each other, each with the milliseconds and the rows of one question."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from uuid import UUID

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import asyncpg as dialect

from benchmarks.search_data import AUDIENCES, DIMENSIONS, MODEL, READERS, Question
from core.knowledge.search import Knowledge
from core.knowledge.search_policy import SearchPolicy
from core.messages import Audience
from core.storage.database import VECTOR_SEARCH, Database
from core.storage.knowledge import PostgresKnowledgeStore
from core.storage.knowledge_vectors import EmbeddingModel, render_vector
from core.storage.search import build_search

ROWS = 10
RIVALS: Mapping[str, Mapping[str, str]] = {
    "PGVectorStore, defaults": {},
    "PGVectorStore, made to find its rows": VECTOR_SEARCH,
}
"""Ways of langchain-postgres, with the settings of their connections."""


class Way(Protocol):
    async def search(self, number: int, audience: Audience) -> tuple[float, int]:
        """Milliseconds and rows for the question with that number."""
        ...


@runtime_checkable
class FindsNearest(Protocol):
    async def find_nearest(self, number: int, audience: Audience) -> Sequence[int]:
        """The ids of the chunks, ten at most, that a search for the question's vector alone finds."""
        ...


class PreparedEmbedder:
    """Knows the vectors of the questions: their embedding is not what is measured."""

    name = MODEL
    dimensions = DIMENSIONS
    max_tokens = 256

    def __init__(self, questions: Sequence[Question]) -> None:
        self._vectors = {question.text: question.vector for question in questions}

    async def embed_query(self, text: str) -> Sequence[float]:
        return self._vectors[text]

    async def embed_documents(self, texts: Sequence[str]) -> list[Sequence[float]]:
        return [self._vectors[text] for text in texts]


class Threadlore:
    """As everything that asks for passages does it."""

    def __init__(self, database: Database, questions: Sequence[Question]) -> None:
        self._store = PostgresKnowledgeStore(database)
        self._knowledge = Knowledge(self._store, PreparedEmbedder(questions))
        self._questions = questions

    async def search(self, number: int, audience: Audience) -> tuple[float, int]:
        began = time.perf_counter()
        found = await self._knowledge.search(self._questions[number].text, audience=audience, limit=ROWS)
        return 1000 * (time.perf_counter() - began), len(found)

    async def find_nearest(self, number: int, audience: Audience) -> Sequence[int]:
        vector = self._questions[number].vector
        # More than ten, nearest first: no source may have all places, however near its chunks are.
        found = await self._store.search("", vector, embedder=MODEL, audience=audience, limit=4 * ROWS)
        found.sort(key=lambda passage: -(passage.similarity or 0.0))
        return [passage.chunk_id for passage in found[:ROWS]]


class BareStatement:
    """The same statement with the same parameters through asyncpg alone."""

    def __init__(
        self, connection: asyncpg.Connection, model: EmbeddingModel, questions: Sequence[Question]
    ) -> None:
        self._connection = connection
        compiled = build_search(SearchPolicy(), model).compile(dialect=dialect.dialect())  # type: ignore[no-untyped-call]
        self._statement, self._order = str(compiled), compiled.positiontup or []
        self._questions = questions

    @classmethod
    async def connect(
        cls, database: Database, model: EmbeddingModel, questions: Sequence[Question]
    ) -> BareStatement:
        url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
        return cls(await asyncpg.connect(url, server_settings=dict(VECTOR_SEARCH)), model, questions)

    async def search(self, number: int, audience: Audience) -> tuple[float, int]:
        question = self._questions[number]
        given: Mapping[str, Any] = {
            **audience.model_dump(),
            "text": question.text,
            "context": "",
            "collections": None,
            "limit": ROWS,
        }
        began = time.perf_counter()
        values = {**given, "vector": render_vector(question.vector)}
        rows = await self._connection.fetch(self._statement, *(values[name] for name in self._order))
        return 1000 * (time.perf_counter() - began), len(rows)

    async def aclose(self) -> None:
        await self._connection.close()


class Rival:
    """langchain-postgres in a process of its own, on a table of its own with the same chunks."""

    TABLE = "pgvectorstore"

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(
        cls, python: Path, database: Database, questions: Sequence[Question], settings: Mapping[str, str]
    ) -> Rival:
        process = await asyncio.create_subprocess_exec(
            str(python),
            "-P",  # our queue.py is not the one of the standard library
            str(Path(__file__).with_name("search_rival.py")),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        rival = cls(process)
        url = database.url.render_as_string(hide_password=False)
        given = [{"text": question.text, "vector": question.vector} for question in questions]
        if await rival._ask({"url": url, "settings": dict(settings), "questions": given}) != "ready":
            raise RuntimeError("langchain-postgres does not start")
        return rival

    async def search(self, number: int, audience: Audience) -> tuple[float, int]:
        reply = await self._find(number, audience, by="words and vector")
        return float(reply["milliseconds"]), len(reply["ids"])

    async def find_nearest(self, number: int, audience: Audience) -> Sequence[int]:
        reply = await self._find(number, audience, by="vector")
        return [UUID(id).int for id in reply["ids"]]

    async def _find(self, number: int, audience: Audience, *, by: str) -> dict[str, Any]:
        readable = [id for id, who in enumerate(READERS.values(), start=1) if audience.workspace in who]
        collections = None if len(readable) == len(READERS) else readable
        reply: dict[str, Any] = json.loads(
            await self._ask({"question": number, "collections": collections, "by": by})
        )
        return reply

    async def _ask(self, what: object) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        await self._process.stdin.drain()
        return (await self._process.stdout.readline()).decode().strip()

    async def aclose(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    @classmethod
    async def fill(cls, database: Database, model: EmbeddingModel) -> None:
        """Its table and its indexes as its own methods make them with their defaults, filled from ours; its ids are
        the chunks' as UUIDs."""
        async with database.maintenance() as connection:
            found = await connection.execute(
                text("SELECT to_regclass(:index)"), {"index": f"{cls.TABLE}_hnsw"}
            )
            if found.scalar_one() is not None:
                return
            print("… fill the table of langchain-postgres", file=sys.stderr, flush=True)
            for statement in (
                f"DROP TABLE IF EXISTS {cls.TABLE}",
                f"CREATE UNLOGGED TABLE {cls.TABLE} (langchain_id uuid PRIMARY KEY, content text NOT NULL, "
                f"embedding vector({model.dimensions}) NOT NULL, content_tsv tsvector NOT NULL, "
                "collection_id bigint NOT NULL, langchain_metadata json)",
                f"INSERT INTO {cls.TABLE} SELECT lpad(to_hex(c.id), 32, '0')::uuid, c.text, v.embedding::vector, "  # noqa: S608
                f"c.searched, c.collection_id, '{{}}' FROM chunks c JOIN {model.table} v ON v.chunk_id = c.id",
                "SET maintenance_work_mem = '3GB'",
                f"CREATE INDEX {cls.TABLE}_tsv ON {cls.TABLE} USING gin (content_tsv)",
                f"CREATE INDEX {cls.TABLE}_hnsw ON {cls.TABLE} USING hnsw (embedding vector_cosine_ops) "
                "WITH (m = 16, ef_construction = 64)",
                f"VACUUM (ANALYZE) {cls.TABLE}",
            ):
                await connection.execute(text(statement))


__all__ = ["AUDIENCES", "RIVALS", "BareStatement", "FindsNearest", "Rival", "Threadlore", "Way"]
