"""The routes of the sources: GET /v1/sources, POST /v1/sources/{id}/sync and GET /v1/embedding."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from fastapi import APIRouter, HTTPException

from bot.web.adapter import WEB_CHANNEL
from bot.web.models import Accepted, EmbeddingOut, Failure, SourceFailure, SourceOut
from core.knowledge.channel_messages import CHANNEL
from core.knowledge.documents import QuarantinedDocument, SourceStatus
from core.messages import Audience

MOST_FAILED_SHOWN = 50
AUDIENCE = Audience(platform=WEB_CHANNEL.platform, workspace=WEB_CHANNEL.workspace, channel=WEB_CHANNEL.id)
"""Who may use the HTTP interface sees the sources that its answers may come from, and the channels that the settings
name: how they are read, and nothing of what is said in them."""


class ListedSources(Protocol):
    """What is known of sources; part of core.ports.KnowledgeStore."""

    async def sources(self, *, readable_by: Audience | None = None) -> list[SourceStatus]: ...
    async def quarantined(self, source_id: int) -> dict[str, QuarantinedDocument]: ...
    async def request_sync(self, source_ids: Sequence[int]) -> None: ...


class SourceRoutes:
    def __init__(self, store: ListedSources, embedding: Callable[[], Awaitable[EmbeddingOut]]) -> None:
        self._store = store
        self._embedding = embedding

    def build_router(self) -> APIRouter:
        router = APIRouter(prefix="/v1", tags=["sources"])
        router.add_api_route(
            "/sources", self.list_sources, summary="The sources, and how their last sync went"
        )
        router.add_api_route(
            "/embedding", self.show_embedding, summary="Which embedder serves, and which is being filled"
        )
        router.add_api_route(
            "/sources/{source_id}/sync",
            self.sync,
            methods=["POST"],
            status_code=202,
            responses={404: {"model": Failure, "description": "There is no such source here."}},
            summary="Sync a source now",
        )
        return router

    async def list_sources(self) -> list[SourceOut]:
        """Those that the answers over HTTP may come from, and channels."""
        return [await self._describe(source) for source in await self._listed()]

    async def show_embedding(self) -> EmbeddingOut:
        """After `EMBEDDING_MODEL` was changed, the new vectors are filled beside the old ones, which serve."""
        return await self._embedding()

    async def sync(self, source_id: int) -> Accepted:
        """The server that keeps the sources in sync takes it up within seconds; watch `state`."""
        if source_id not in {source.id for source in await self._listed()}:
            raise HTTPException(404, "There is no such source here.")
        await self._store.request_sync([source_id])
        return Accepted()

    async def _listed(self) -> list[SourceStatus]:
        readable = {source.id for source in await self._store.sources(readable_by=AUDIENCE)}
        everything = await self._store.sources()
        return [source for source in everything if source.id in readable or source.kind == CHANNEL]

    async def _describe(self, source: SourceStatus) -> SourceOut:
        is_hidden = source.kind == CHANNEL
        held = await self._store.quarantined(source.id) if source.failed and not is_hidden else {}
        failed = [
            SourceFailure(uri=document.uri, reason=document.reason, retry_at=document.retry_at)
            for document in list(held.values())[:MOST_FAILED_SHOWN]
        ]
        facts = source.model_dump(include=set(SourceOut.model_fields) - {"failed", "failed_documents"})
        return SourceOut(**facts, failed=failed, failed_documents=source.failed)
