"""The part of the knowledge store that keeps sources: schedules, progress, outcomes, quarantine."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import structlog

from core.knowledge.documents import Keeper, QuarantinedDocument, SourceStatus, SyncOutcome
from core.messages import Audience
from core.storage import knowledge_statements
from core.storage import source_statements as sql
from core.storage.database import Database
from core.storage.knowledge_statistics import refresh_statistics
from core.storage.knowledge_vectors import EmbeddingModel, index_vectors

DELETED_PER_STATEMENT = 1_000

log = structlog.get_logger(__name__)


class PostgresSources:
    """What core.ports.KnowledgeStore says about sources. Raises StorageUnavailableError from every method."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open_source(
        self,
        collection_id: int,
        uri: str,
        kind: str,
        *,
        kept_by: Keeper | None = None,
        every_seconds: float | None = None,
    ) -> int:
        facts = {"collection_id": collection_id, "uri": uri, "kind": kind}
        rows = await self._database.run(
            sql.OPEN_SOURCE, {**facts, "kept_by": kept_by, "every_seconds": every_seconds}
        )
        return int(rows[0].id)

    async def drop_source(self, collection_id: int, uri: str) -> None:
        """In bounded steps: a source whose removal is cut off has fewer documents, and can be removed again."""
        source = {"collection_id": collection_id, "uri": uri}
        rows = await self._database.run(sql.DOCUMENTS_OF_SOURCE, source)
        await self.delete_documents([row.id for row in rows])
        await self._database.run(sql.DROP_SOURCE, source)
        await self._refresh(collection_id)

    async def record_chunking(self, source_id: int, chunking: str | None) -> None:
        await self._database.run(sql.RECORD_CHUNKING, {"source_id": source_id, "chunking": chunking})

    async def chunking_of(self, source_id: int) -> str | None:
        rows = await self._database.run(sql.CHUNKING, {"source_id": source_id})
        return rows[0].chunking if rows else None

    async def retire_sources(self, collection_id: int, named: Collection[str]) -> list[str]:
        kept = {"collection_id": collection_id, "named": sorted(named)}
        gone = [row.uri for row in await self._database.run(sql.NOT_NAMED, kept)]
        for uri in gone:
            await self.drop_source(collection_id, uri)
        await self._database.run(sql.UNSCHEDULE_NOT_NAMED, kept)
        return gone

    async def sources(self, *, readable_by: Audience | None = None) -> list[SourceStatus]:
        audience = readable_by or Audience(platform="", workspace="", channel="")
        rows = await self._database.run(
            sql.SOURCES, {"limited": readable_by is not None, **audience.model_dump()}
        )
        return [SourceStatus.model_validate(dict(row._mapping)) for row in rows]

    async def due_sources(self, *, channels: bool = False) -> list[int]:
        return [row.id for row in await self._database.run(sql.DUE, {"channels": channels})]

    async def request_sync(self, source_ids: Sequence[int]) -> None:
        ids = {"ids": list(source_ids)}
        await self._database.run(sql.RETRY_NOW, ids)
        await self._database.run(sql.REQUEST_SYNC, ids)

    async def begin_source(self, source_id: int) -> None:
        await self._database.run(sql.BEGIN_SOURCE, {"source_id": source_id})

    async def note_progress(self, source_id: int, done: int, total: int) -> None:
        await self._database.run(sql.NOTE_PROGRESS, {"source_id": source_id, "done": done, "total": total})

    async def finish_source(
        self, source_id: int, *, error: str | None, outcome: SyncOutcome | None = None
    ) -> None:
        """Also brings up to date what search needs to know about the collection as a whole: word counts, the
        vector index. Another process that is at it already does it for us."""
        outcome = outcome or ("ok" if error is None else "incomplete")
        rows = await self._database.run(
            sql.FINISH_SOURCE, {"source_id": source_id, "error": error, "outcome": outcome}
        )
        if rows:
            await self._refresh(int(rows[0].collection_id))

    async def _refresh(self, collection_id: int) -> None:
        models = [
            EmbeddingModel(row.id, row.name, row.dimensions)
            for row in await self._database.run(knowledge_statements.MODELS_IN_USE)
        ]
        async with self._database.maintenance() as connection:
            held = await connection.execute(knowledge_statements.TRY_UPKEEP, {"collection_id": collection_id})
            if held.scalar_one():
                await refresh_statistics(connection, collection_id)
                for model in models:
                    await index_vectors(connection, model)

    async def quarantine(self, source_id: int, documents: Sequence[QuarantinedDocument]) -> None:
        latest = {document.uri: document for document in documents}
        if latest:
            given = [latest[uri] for uri in sorted(latest)]
            await self._database.run(
                sql.QUARANTINE,
                {
                    "source_id": source_id,
                    "uris": [document.uri for document in given],
                    "reasons": [document.reason for document in given],
                    "hashes": [document.content_hash for document in given],
                    "attempts": [document.attempts for document in given],
                    "retry_ats": [document.retry_at for document in given],
                },
            )

    async def release(self, source_id: int, uris: Sequence[str]) -> None:
        if uris:
            await self._database.run(sql.RELEASE, {"source_id": source_id, "uris": list(uris)})

    async def quarantined(self, source_id: int) -> dict[str, QuarantinedDocument]:
        rows = await self._database.run(sql.QUARANTINED, {"source_id": source_id})
        return {row.uri: QuarantinedDocument.model_validate(dict(row._mapping)) for row in rows}

    async def delete_documents(self, document_ids: Sequence[int]) -> None:
        for first in range(0, len(document_ids), DELETED_PER_STATEMENT):
            await self._database.run(
                knowledge_statements.DELETE_DOCUMENTS,
                {"ids": list(document_ids[first : first + DELETED_PER_STATEMENT])},
            )
