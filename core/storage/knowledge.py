"""KnowledgeStore on PostgreSQL: collections, sources, documents with their chunks and vectors."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from core.answers import Extent, Passage
from core.errors import EmbeddingMismatchError, StorageError
from core.knowledge.documents import ChunkDraft, Document, Grant, StoredDocument
from core.knowledge.search_policy import SearchPolicy
from core.messages import Audience
from core.storage import knowledge_statements as sql
from core.storage.connection_errors import DROPPED_STATES, sql_state
from core.storage.database import Database
from core.storage.knowledge_vectors import (
    EmbeddingModel,
    find_model,
    open_model,
    render_vector,
)
from core.storage.search import build_search, build_search_by_words
from core.storage.sources import PostgresSources

if TYPE_CHECKING:
    from sqlalchemy.sql.expression import TextualSelect

NewDocument = tuple[Document, Sequence[ChunkDraft], Sequence[Sequence[float]]]


class PostgresKnowledgeStore(PostgresSources):
    """Implements core.ports.KnowledgeStore. Raises StorageUnavailableError from every method."""

    def __init__(self, database: Database, policy: SearchPolicy | None = None) -> None:
        super().__init__(database)
        self._policy = policy or SearchPolicy()
        self._models: dict[str, EmbeddingModel] = {}
        self._statements: dict[int, TextualSelect] = {}
        self._by_words = build_search_by_words(self._policy)

    # --- collections --------------------------------------------------------------------

    async def open_collection(self, name: str, grants: Sequence[Grant] = ()) -> int:
        async with self._database.transaction() as connection:
            made = await connection.execute(sql.MAKE_COLLECTION, {"name": name})
            is_new = made.scalar_one_or_none() is not None
            found = await connection.execute(sql.FIND_COLLECTION, {"name": name})
            collection_id = int(found.scalar_one())
            for grant in grants or ((Grant(),) if is_new else ()):
                await connection.execute(sql.GRANT, {"collection_id": collection_id, **grant.model_dump()})
        return collection_id

    async def revoke_grants(self, name: str, grants: Sequence[Grant]) -> list[Grant]:
        for grant in grants:
            await self._database.run(sql.REVOKE, {"name": name, **grant.model_dump()})
        rows = await self._database.run(sql.GRANTS, {"name": name})
        return [Grant.model_validate(dict(row._mapping)) for row in rows]

    async def drop_collection(self, name: str) -> None:
        await self._database.run(sql.DROP_COLLECTION, {"name": name})

    # --- documents ----------------------------------------------------------------------------------

    async def documents(self, source_id: int, uris: Sequence[str] | None = None) -> dict[str, StoredDocument]:
        statement = sql.DOCUMENTS if uris is None else sql.NAMED_DOCUMENTS
        rows = await self._database.run(statement, {"source_id": source_id, "uris": uris})
        return {row.uri: StoredDocument(**row._mapping) for row in rows}

    async def document_ids(self, source_id: int, *, after: str = "", limit: int) -> dict[str, int]:
        given = {"source_id": source_id, "after": after, "limit": limit}
        return {row.uri: row.id for row in await self._database.run(sql.DOCUMENT_IDS, given)}

    async def put_documents(self, source_id: int, documents: Sequence[NewDocument], *, embedder: str) -> None:
        latest = {document.uri: (document, chunks, vectors) for document, chunks, vectors in documents}
        if not latest:
            return
        batch = [latest[uri] for uri in sorted(latest)]  # in one order everywhere: no deadlocks
        try:
            await self._put_batch(source_id, batch, embedder)
        except DBAPIError as error:
            if not self._is_dropped(embedder, error):
                raise
            await self._put_batch(source_id, batch, embedder)

    async def _put_batch(self, source_id: int, batch: Sequence[NewDocument], embedder: str) -> None:
        model = await self._open_model(embedder, batch)
        async with self._database.transaction() as connection:
            found = await connection.execute(sql.LOCK_SOURCE, {"source_id": source_id})
            collection_id = found.scalar_one_or_none()
            if collection_id is None:
                raise StorageError(f"the source {source_id} is gone")
            ids = await self._put_rows(connection, source_id, batch, model)
            await connection.execute(sql.DELETE_CHUNKS, {"ids": list(ids.values())})
            if model is not None:
                rows = _chunk_rows(collection_id, ids, batch)
                await connection.execute(sql.insert_chunks(model.table), rows)

    async def _open_model(self, name: str, batch: Sequence[NewDocument]) -> EmbeddingModel | None:
        """None if there is no vector to store."""
        dimensions = {len(vector) for _, _, vectors in batch for vector in vectors}
        if len(dimensions) > 1:
            raise EmbeddingMismatchError(f"{name} gave vectors of {sorted(dimensions)} dimensions.")
        for length in dimensions:
            if name not in self._models:
                self._models[name] = await open_model(self._database, name, length)
            self._models[name].require(length)
            return self._models[name]
        return None

    async def _put_rows(
        self,
        connection: AsyncConnection,
        source_id: int,
        batch: Sequence[NewDocument],
        model: EmbeddingModel | None,
    ) -> dict[str, int]:
        """The id of each document by its uri."""
        rows = await connection.execute(
            sql.PUT_DOCUMENTS,
            {
                "source_id": source_id,
                "model_id": model.id if model else None,
                "uris": [document.uri for document, _, _ in batch],
                "titles": [document.title for document, _, _ in batch],
                "hashes": [document.content_hash for document, _, _ in batch],
                "chunks": [len(chunks) for _, chunks, _ in batch],
                "authors": [document.author for document, _, _ in batch],
                "validators": [document.validator for document, _, _ in batch],
            },
        )
        return {row.uri: row.id for row in rows}

    # --- search -------------------------------------------------------------------------------------

    async def search(
        self,
        text: str,
        vector: Sequence[float] | None,
        *,
        embedder: str,
        audience: Audience,
        limit: int,
        collections: Collection[str] | None = None,
        context: str = "",
    ) -> list[Passage]:
        parameters = {
            "text": text.replace("\x00", " "),
            "context": context.replace("\x00", " "),
            **audience.model_dump(),
            "collections": None if collections is None else sorted(collections),
            "limit": limit,
        }
        if vector is None:
            rows = await self._database.run(self._by_words, parameters, pool=self._database.searches)
            return [_passage(row) for row in rows]
        parameters["vector"] = render_vector(vector)
        try:
            rows = await self._search_with(embedder, len(vector), parameters)
        except DBAPIError as error:
            if not self._is_dropped(embedder, error):
                raise
            rows = await self._search_with(embedder, len(vector), parameters)
        if not any(row.dense_rank for row in rows):
            await self._refuse_other_models(embedder)
        return [_passage(row) for row in rows]

    async def _search_with(
        self, embedder: str, dimensions: int, parameters: Mapping[str, Any]
    ) -> Sequence[Row[Any]]:
        model = await self._known_model(embedder)
        if model is None:
            return []
        model.require(dimensions)
        return await self._database.run(self._statement(model), parameters, pool=self._database.searches)

    def _is_dropped(self, embedder: str, error: DBAPIError) -> bool:
        """Whether the vectors that we know of were dropped meanwhile, as those of a former embedder are: then
        they have to be looked up anew."""
        return sql_state(error) in DROPPED_STATES and self._models.pop(embedder, None) is not None

    def _statement(self, model: EmbeddingModel) -> TextualSelect:
        if model.id not in self._statements:
            self._statements[model.id] = build_search(self._policy, model)
        return self._statements[model.id]

    async def _known_model(self, name: str) -> EmbeddingModel | None:
        if name not in self._models and (model := await find_model(self._database, name)):
            self._models[name] = model
        return self._models.get(name)

    async def _refuse_other_models(self, name: str) -> None:
        """Raises EmbeddingMismatchError if documents were embedded, but none of them with this model."""
        used = {row.name for row in await self._database.run(sql.MODELS_IN_USE)}
        if used and name not in used:
            others = " and ".join(sorted(used))
            raise EmbeddingMismatchError(
                f"The documents were embedded with {others}, not with {name}. "
                f"Run ingest again to embed them anew, or set EMBEDDING_MODEL back to {others}."
            )


def _passage(row: Row[Any]) -> Passage:
    found = dict(row._mapping)
    extent = Extent(
        first=found.pop("first"),
        last=found.pop("last"),
        start=found.pop("start_offset"),
        end=found.pop("end_offset"),
        repeated=found.pop("repeated"),
    )
    return Passage(extent=extent, **found)


def _chunk_rows(collection_id: int, ids: dict[str, int], batch: Sequence[NewDocument]) -> dict[str, Any]:
    """One array for each column of the new chunks."""
    chunks = [
        (ids[document.uri], document.title, draft, render_vector(vector))
        for document, drafts, vectors in batch
        for draft, vector in zip(drafts, vectors, strict=True)
    ]
    return {
        "collection_id": collection_id,
        "document_ids": [document_id for document_id, _, _, _ in chunks],
        "positions": [draft.position for _, _, draft, _ in chunks],
        "titles": [title for _, title, _, _ in chunks],
        "heading_paths": [json.dumps(draft.heading_path) for _, _, draft, _ in chunks],
        "texts": [draft.text for _, _, draft, _ in chunks],
        "starts": [draft.start for _, _, draft, _ in chunks],
        "ends": [draft.end for _, _, draft, _ in chunks],
        "repeated": [draft.repeated for _, _, draft, _ in chunks],
        "parents": [draft.parent for _, _, draft, _ in chunks],
        "words": [
            len(" ".join((title, *draft.heading_path, draft.text)).split()) for _, title, draft, _ in chunks
        ],
        "vectors": [vector for _, _, _, vector in chunks],
    }
