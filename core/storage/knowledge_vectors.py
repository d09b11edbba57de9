"""Vectors: a narrow table for each embedding model, made when the model is first used, with an HNSW index
once it is large. Outside of the migrations' view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from core.errors import EmbeddingMismatchError
from core.storage.database import Database

INDEXED_FROM_ROWS = 20_000
LARGE_FROM_ROWS = 500_000
MAX_INDEXED_DIMENSIONS = 4_000
LEAST_BUILD_KILOBYTES = 512 * 1024
# A graph that does not fit into memory is built many times slower; who gave the server large buffers has the memory.
_ALLOW_MEMORY = text("""
    SELECT set_config('maintenance_work_mem',
        greatest(:least, least(:wanted, pg_size_bytes(current_setting('shared_buffers')) / 1024)) || 'kB', false)
""")
_MODELS_LOCK = 0x766563746F72

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """A model with vectors in the store, and the name of the table that holds them."""

    id: int
    name: str
    dimensions: int

    @property
    def table(self) -> str:
        return f"vectors_{self.id}"

    @property
    def index(self) -> str:
        return f"{self.table}_hnsw"

    def require(self, dimensions: int) -> None:
        if dimensions != self.dimensions:
            raise EmbeddingMismatchError(
                f"{self.name} has vectors of {self.dimensions} dimensions here, not {dimensions}. "
                "Set EMBEDDING_MODEL back, or give the new model a name of its own."
            )


def render_vector(vector: Sequence[float]) -> str:
    """The vector as pgvector reads it."""
    return _template(len(vector)) % tuple(vector)


@cache
def _template(dimensions: int) -> str:
    """All numbers in one step: one by one they took a thirtieth of a turn."""
    return f"[{','.join(['%.6g'] * dimensions)}]"


async def find_model(database: Database, name: str) -> EmbeddingModel | None:
    rows = await database.run(
        text("SELECT id, name, dimensions FROM embedding_models WHERE name = :name"), {"name": name}
    )
    return EmbeddingModel(rows[0].id, rows[0].name, rows[0].dimensions) if rows else None


async def open_model(database: Database, name: str, dimensions: int) -> EmbeddingModel:
    """The model with its table, made if new. Raises EmbeddingMismatchError."""
    model = await find_model(database, name)
    if model is None:
        async with database.transaction() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MODELS_LOCK})
            model = await _make_model(connection, name, dimensions)
    model.require(dimensions)
    return model


async def _make_model(connection: AsyncConnection, name: str, dimensions: int) -> EmbeddingModel:
    await connection.execute(
        text(
            "INSERT INTO embedding_models (name, dimensions) VALUES (:name, :dimensions) "
            "ON CONFLICT (name) DO NOTHING"
        ),
        {"name": name, "dimensions": dimensions},
    )
    found = await connection.execute(
        text("SELECT id, name, dimensions FROM embedding_models WHERE name = :name"), {"name": name}
    )
    row = found.one()
    model = EmbeddingModel(row.id, row.name, row.dimensions)
    # Vectors out of line (PostgreSQL's choice beyond 2 kB) would cost one more read for each comparison.
    storage = "PLAIN" if model.dimensions <= MAX_INDEXED_DIMENSIONS else "EXTERNAL"
    for statement in (
        f"CREATE TABLE IF NOT EXISTS {model.table} ("
        "chunk_id bigint PRIMARY KEY REFERENCES chunks (id) ON DELETE CASCADE, "
        f"collection_id bigint NOT NULL, embedding halfvec({model.dimensions}) NOT NULL)",
        f"ALTER TABLE {model.table} ALTER COLUMN embedding SET STORAGE {storage}",
        f"CREATE INDEX IF NOT EXISTS {model.table}_collection_id ON {model.table} (collection_id)",
    ):
        await connection.execute(text(statement))
    return model


async def index_vectors(
    connection: AsyncConnection, model: EmbeddingModel, *, from_rows: int = INDEXED_FROM_ROWS
) -> None:
    """Build the HNSW index if the table is large enough to need one and has none.

    For a connection that commits each statement; takes minutes for millions of rows, and blocks nobody.
    """
    if model.dimensions > MAX_INDEXED_DIMENSIONS:
        return
    valid = await connection.execute(
        text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"), {"name": model.index}
    )
    state = valid.scalar_one_or_none()
    if state:
        return
    counted = await connection.execute(text(f"SELECT count(*) FROM {model.table}"))  # noqa: S608 (our own name)
    rows = counted.scalar_one()
    if rows < from_rows:
        return
    if state is False:  # what a build that was killed leaves behind
        await connection.execute(text(f"DROP INDEX CONCURRENTLY {model.index}"))
    m = 24 if rows >= LARGE_FROM_ROWS else 16
    await connection.execute(
        _ALLOW_MEMORY, {"wanted": _graph_kilobytes(rows, m, model.dimensions), "least": LEAST_BUILD_KILOBYTES}
    )
    await connection.execute(
        text(
            f"CREATE INDEX CONCURRENTLY {model.index} ON {model.table} "
            f"USING hnsw (embedding halfvec_ip_ops) WITH (m = {m}, ef_construction = 128)"
        )
    )
    log.info("vector_index_built", model=model.name, rows=rows)


def _graph_kilobytes(rows: int, m: int, dimensions: int) -> int:
    """What the graph takes in memory while it is built, about: a vector and up to 3 m neighbours for each row."""
    return rows * (2 * dimensions + 16 * 3 * m + 200) // 1024
