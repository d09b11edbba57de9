"""VectorStore on PostgreSQL: a table of vectors for each embedder, and a note of whose are searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import structlog
from sqlalchemy import TextClause, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from core.errors import EmbeddingMismatchError
from core.knowledge.vector_store import THROW_AWAY, BareChunk, Filling
from core.storage.connection_errors import NO_LOCK_STATE, sql_state
from core.storage.database import Database
from core.storage.knowledge_vectors import (
    EmbeddingModel,
    find_model,
    index_vectors,
    open_model,
    render_vector,
)

log = structlog.get_logger(__name__)

SERVING = text(f"""
    (SELECT m.name FROM serving_embedders s JOIN embedding_models m ON m.id = s.embedding_model_id
     WHERE s.until IS NULL)
    UNION ALL
    (SELECT m.name FROM documents d JOIN embedding_models m ON m.id = d.embedding_model_id
     JOIN sources o ON o.id = d.source_id AND o.kind <> '{THROW_AWAY}'
     GROUP BY m.name ORDER BY count(*) DESC, m.name LIMIT 1)
    LIMIT 1
""")  # noqa: S608 (constants)

# A document that is embedded with the model has all of its vectors: they are stored together.
_OTHERS = (
    "documents d JOIN sources o ON o.id = d.source_id "
    f"WHERE o.kind <> '{THROW_AWAY}' AND d.embedding_model_id IS DISTINCT FROM :model_id"
)
TOTAL = text(f"""
    SELECT coalesce(sum(d.chunks), 0)::bigint AS chunks
    FROM documents d JOIN sources o ON o.id = d.source_id WHERE o.kind <> '{THROW_AWAY}'
""")  # noqa: S608 (a constant)
STOP_SERVING = text(
    "UPDATE serving_embedders SET until = now() "
    "WHERE until IS NULL AND embedding_model_id IS DISTINCT FROM :model_id"
)
# The one that served before the first switch was never noted.
NOTE_FORMER = text(f"""
    INSERT INTO serving_embedders (embedding_model_id, until)
    SELECT DISTINCT d.embedding_model_id, now() FROM {_OTHERS} AND d.embedding_model_id IS NOT NULL
    ON CONFLICT (embedding_model_id) DO NOTHING
""")  # noqa: S608 (constants)
SERVE = text("""
    INSERT INTO serving_embedders (embedding_model_id) VALUES (:model_id)
    ON CONFLICT (embedding_model_id) DO UPDATE
    SET until = NULL, since = CASE WHEN serving_embedders.until IS NULL THEN serving_embedders.since ELSE now() END
""")
WANT_AGAIN = text("DELETE FROM serving_embedders WHERE embedding_model_id = :model_id AND until IS NOT NULL")
FORMER = text("""
    SELECT m.id, m.name, m.dimensions FROM serving_embedders s
    JOIN embedding_models m ON m.id = s.embedding_model_id
    WHERE s.until < now() - CAST(:kept AS interval)
      AND NOT EXISTS (SELECT FROM documents d WHERE d.embedding_model_id = m.id)
""")
_SWITCH_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('serving_embedder', 0))")


class PostgresVectorStore:
    """Implements core.knowledge.vector_store.VectorStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def serving_embedder(self) -> str | None:
        rows = await self._database.run(SERVING)
        return rows[0].name if rows else None

    async def bare_chunks(self, embedder: str, *, after: int, limit: int) -> list[BareChunk]:
        model = await find_model(self._database, embedder)
        rows = await self._database.run(
            _bare(model, "c.id AS chunk_id, c.title, c.heading_path, c.text", "ORDER BY c.id LIMIT :limit"),
            {"model_id": model.id if model else None, "after": after, "limit": limit},
        )
        return [BareChunk.model_validate(dict(row._mapping)) for row in rows]

    async def add_vectors(self, embedder: str, vectors: Mapping[int, Sequence[float]]) -> None:
        dimensions = {len(vector) for vector in vectors.values()}
        if not dimensions:
            return
        if len(dimensions) > 1:
            raise EmbeddingMismatchError(f"{embedder} gave vectors of {sorted(dimensions)} dimensions.")
        model = await open_model(self._database, embedder, dimensions.pop())
        await self._database.run(WANT_AGAIN, {"model_id": model.id})
        await self._database.run(
            _add(model),
            {"ids": list(vectors), "vectors": [render_vector(vector) for vector in vectors.values()]},
        )

    async def filling(self, embedder: str) -> Filling:
        model = await find_model(self._database, embedder)
        (total,) = await self._database.run(TOTAL)
        (bare,) = await self._database.run(
            _bare(model, "count(*) AS chunks"), {"model_id": model.id if model else None, "after": 0}
        )
        return Filling(embedder=embedder, done=max(total.chunks - bare.chunks, 0), total=total.chunks)

    async def switch_to(self, embedder: str) -> bool:
        model = await find_model(self._database, embedder)
        if model is not None:
            async with self._database.maintenance() as connection:
                await index_vectors(connection, model)
        async with self._database.transaction() as connection:
            await connection.execute(_SWITCH_LOCK)
            if await _lacks_any(connection, model):
                return False
            model_id = model.id if model else None
            await connection.execute(STOP_SERVING, {"model_id": model_id})
            if model is not None:
                await connection.execute(NOTE_FORMER, {"model_id": model_id})
                # Whoever stores a document with another model in this very moment is seen to afterwards.
                await connection.execute(_take_over(model), {"model_id": model_id})
                await connection.execute(SERVE, {"model_id": model_id})
        return True

    async def drop_former(self, *, after_seconds: float) -> list[str]:
        rows = await self._database.run(FORMER, {"kept": timedelta(seconds=after_seconds)})
        former = [EmbeddingModel(row.id, row.name, row.dimensions) for row in rows]
        return [model.name for model in former if await self._drop(model)]

    async def _drop(self, model: EmbeddingModel) -> bool:
        """Not now, if somebody is at the tables: nobody is to wait for this."""
        try:
            async with self._database.transaction() as connection:
                await connection.execute(text("SET LOCAL lock_timeout = '1s'"))
                await connection.execute(text(f"DROP TABLE IF EXISTS {model.table}"))
                await connection.execute(
                    text("DELETE FROM embedding_models WHERE id = :id"), {"id": model.id}
                )
        except DBAPIError as error:
            if sql_state(error) != NO_LOCK_STATE:
                raise
            log.info("former_vectors_in_use", embedder=model.name)
            return False
        return True


async def _lacks_any(connection: AsyncConnection, model: EmbeddingModel | None) -> bool:
    found = await connection.execute(
        _bare(model, "1", "LIMIT 1"), {"model_id": model.id if model else None, "after": 0}
    )
    return found.first() is not None


def _bare(model: EmbeddingModel | None, columns: str, rest: str = "") -> TextClause:
    """Chunks without a vector of this model. Parameters: model_id, after."""
    lacks = (
        f"AND NOT EXISTS (SELECT FROM {model.table} v WHERE v.chunk_id = c.id)" if model is not None else ""
    )
    return text(f"""
        SELECT {columns} FROM chunks c JOIN (SELECT d.id FROM {_OTHERS}) d ON d.id = c.document_id
        WHERE c.id > :after {lacks} {rest}
    """)  # noqa: S608 (names of our own making)


def _add(model: EmbeddingModel) -> TextClause:
    return text(f"""
        INSERT INTO {model.table} (chunk_id, collection_id, embedding)
        SELECT c.id, c.collection_id, given.vector::halfvec
        FROM unnest(CAST(:ids AS bigint[]), CAST(:vectors AS text[])) AS given (id, vector)
        JOIN chunks c ON c.id = given.id
        ON CONFLICT (chunk_id) DO NOTHING
    """)  # noqa: S608 (a name of our own making)


def _take_over(model: EmbeddingModel) -> TextClause:
    return text(f"""
        UPDATE documents SET embedding_model_id = :model_id
        WHERE id IN (SELECT d.id FROM {_OTHERS})
          AND NOT EXISTS (SELECT FROM chunks c WHERE c.document_id = documents.id
                          AND NOT EXISTS (SELECT FROM {model.table} v WHERE v.chunk_id = c.id))
    """)  # noqa: S608 (a name of our own making)
