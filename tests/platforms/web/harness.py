"""The web for the adapter contract: people send real requests to the real application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal
from uuid import UUID

import httpx
import pytest
from prometheus_client import CollectorRegistry

from bot.mailbox import BODIES, AnswerBody
from bot.web.adapter import WEB_CHANNEL, WebAdapter
from bot.web.app import build_http
from bot.web.models import About, EmbeddingOut, Readiness
from bot.web.settings import HttpSettings
from core.answers import Turn
from core.messages import MessagePosted
from core.ports import Effect
from core.testing.knowledge import InMemoryKnowledgeStore
from tests.contracts.adapter_harness import EventLog
from tests.platforms.mailbox_people import MailboxPeople
from tests.platforms.mailbox_posts import ReadableMailbox


class WebHarness(MailboxPeople):
    """Implements AdapterHarness. What people cannot do on the page is skipped."""

    where = "on the web"

    def __init__(self) -> None:
        self.mailbox = ReadableMailbox()
        self.adapter = WebAdapter(self.mailbox)
        self.sender = WebAdapter(self.mailbox)
        self.log = EventLog()
        self._requests: set[asyncio.Task[httpx.Response]] = set()
        app = build_http(
            settings=HttpSettings(http_host="127.0.0.1", http_port=8080, http_token=None),
            adapter=self.adapter,
            outbox=self,
            turns=self,
            sources=InMemoryKnowledgeStore(),
            embedding=_nothing_to_embed,
            readiness=_always_ready,
            about=lambda: About(version="0", answerer="extractive", embedder="local", platforms=[]),
            registry=CollectorRegistry(),
            answer_timeout_seconds=30.0,
        )
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1:8080"
        )

    # --- what the application reads of the stores -------------------------------------------------

    async def get(self, turn_id: UUID) -> Turn | None:
        return None

    async def of_turn(self, turn_id: UUID) -> list[Effect]:
        ids = [UUID(shown) for shown, body in self._answers() if body.turn_id == turn_id]
        return [
            Effect(id=i, turn_id=turn_id, channel=WEB_CHANNEL, thread_id="", purpose="answer", part=0)
            for i in ids
        ]

    def _answers(self) -> list[tuple[str, AnswerBody]]:
        bodies = [(i, BODIES.validate_python(r.body)) for i, r in self.mailbox.screen.items()]
        return [(i, body) for i, body in bodies if isinstance(body, AnswerBody)]

    # --- what people do ---------------------------------------------------------------------------

    async def ask(self, author: str, text: str, *, bot: bool = False) -> str:
        if bot:
            pytest.skip("other bots are programs here, and may ask")
        return await self._post(author, text, None)

    async def follow_up(self, author: str, text: str, question: str, answer: str) -> str:
        event = await self.log.next(MessagePosted, lambda e: e.message.id == question)
        return await self._post(author, text, event.message.thread.id)

    async def _post(self, author: str, text: str, thread: str | None) -> str:
        body = {"text": text, "author": author, **({"thread": thread} if thread else {})}
        known = {e.message.id for e in self.log.events if isinstance(e, MessagePosted)}
        request = asyncio.create_task(self.http.post("/v1/turns", json=body))
        self._requests.add(request)
        event = await self.log.next(MessagePosted, lambda e: e.message.id not in known)
        return event.message.id

    async def click(self, author: str, message_id: str, mark: Literal["up", "down"]) -> None:
        (turn_id,) = [body.turn_id for i, body in self._answers() if i == message_id]
        rating = 1 if mark == "up" else -1
        response = await self.http.post(
            f"/v1/turns/{turn_id}/feedback", json={"rating": rating, "author": author}
        )
        response.raise_for_status()

    async def ask_directly(self, author: str, text: str) -> str:
        self._cannot("speak to it alone: whoever may use the server may read along")

    async def aclose(self) -> None:
        for request in self._requests:
            request.cancel()
        await asyncio.gather(*self._requests, return_exceptions=True)
        await self.http.aclose()


async def _always_ready() -> Readiness:
    return Readiness(ready=True)


@asynccontextmanager
async def open_harness() -> AsyncIterator[WebHarness]:
    harness = WebHarness()
    await harness.adapter.open()
    await harness.adapter.start(harness.log.take)
    await harness.sender.open()
    yield harness
    await harness.aclose()
    await harness.adapter.aclose()
    await harness.sender.aclose()


async def _nothing_to_embed() -> EmbeddingOut:
    return EmbeddingOut(serving="local", wanted="local", done=0, total=0)
