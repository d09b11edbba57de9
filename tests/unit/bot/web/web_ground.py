"""What the HTTP tests stand on: the real application, with a worker whose answers the test has written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from bot.adapter import Delivery, Rendered, ReplyTarget
from bot.web.adapter import WebAdapter
from bot.web.app import build_http
from bot.web.models import About, EmbeddingOut, PlatformStatus, Readiness
from bot.web.settings import HttpSettings
from core.answers import Answer, Citation, Outcome, Passage, Turn, trace_id_for, turn_id_for
from core.errors import StorageUnavailableError
from core.messages import Event, MessagePosted
from core.ports import Effect
from core.testing.knowledge import InMemoryKnowledgeStore

TOKEN = "a-long-random-text-for-tests"
ANSWER = Answer(
    text="Run `threadlore serve` [1].",
    citations=(
        Citation(
            n=1, chunk_id=7, document_id=3, title="Start", uri="docs/start.md", quote="Run threadlore serve."
        ),
    ),
)
PASSAGE = Passage(
    chunk_id=7,
    document_id=3,
    title="Start",
    uri="docs/start.md",
    heading_path=("Start", "Server"),
    text="Run threadlore serve.",
    rank=1,
    score=0.03,
    similarity=0.8,
    coverage=0.6,
    author="Ada",
    dense_rank=1,
    lexical_rank=2,
)


class Records:
    """What is stored of turns and effects, as an asker reads it."""

    def __init__(self) -> None:
        self.turns: dict[UUID, Turn] = {}
        self.effects: dict[UUID, list[Effect]] = {}

    async def get(self, turn_id: UUID) -> Turn | None:
        return self.turns.get(turn_id)

    async def of_turn(self, turn_id: UUID) -> list[Effect]:
        return self.effects.get(turn_id, [])


@dataclass
class ScriptedWorker:
    """Takes events in as the inbox does, and answers each question as the test says.

    `elsewhere`: the worker is another process, so nothing is heard but what it stores.
    """

    adapter: WebAdapter
    records: Records
    answer: Answer = ANSWER
    outcome: Outcome = "answered"
    drafts: Sequence[str] = ()
    elsewhere: bool = False
    silent: bool = False
    storage_is_down: bool = False
    events: list[Event] = field(default_factory=list)
    _at_work: set[asyncio.Task[None]] = field(default_factory=set)

    async def take_in(self, event: Event) -> bool:
        if self.storage_is_down:
            raise StorageUnavailableError("the database at secret-host is away")
        self.events.append(event)
        if isinstance(event, MessagePosted) and not self.silent:
            task = asyncio.create_task(self._work(event))
            self._at_work.add(task)
            task.add_done_callback(self._at_work.discard)
        return True

    async def _work(self, event: MessagePosted) -> None:
        message, turn_id = event.message, turn_id_for(event.message)
        target = ReplyTarget(thread=message.thread, question_message_id=message.id, asker=message.author)
        notice = self.outcome in ("failed", "refused")
        rendered = (
            self.adapter.render_notice(self.answer.text)
            if notice
            else self.adapter.render_answer(self.answer, turn_id)[0]
        )
        delivery = Delivery(
            effect_id=uuid5(turn_id, "answer/0"),
            turn_id=turn_id,
            part=0,
            target=target,
            rendered=Rendered(body={}),
        )
        turn = self._turn(event, turn_id)
        if self.elsewhere:
            self.records.turns[turn_id] = turn
            self.records.effects[turn_id] = [self._effect(delivery, rendered)]
            return
        await self.adapter.show_status(target, "is looking it up…")
        stream = self.adapter.open_stream(delivery, self._note)
        for draft in self.drafts:
            await stream.write(draft)
        self.records.turns[turn_id] = turn
        await stream.close(rendered)

    def _turn(self, event: MessagePosted, turn_id: UUID) -> Turn:
        message = event.message
        return Turn(
            id=turn_id,
            trace_id=trace_id_for(turn_id),
            thread=message.thread,
            question_message_id=message.id,
            author=message.author,
            question=message.text,
            query=message.text,
            answer=self.answer,
            outcome=self.outcome,
            passages=(PASSAGE,),
            model="scripted",
            asked_at=message.at,
            answered_at=datetime.now(UTC),
        )

    @staticmethod
    def _effect(delivery: Delivery, rendered: Rendered) -> Effect:
        return Effect(
            id=delivery.effect_id,
            turn_id=delivery.turn_id,
            channel=delivery.target.thread.channel,
            thread_id=delivery.target.thread.id,
            purpose="answer",
            part=0,
            state="sent",
            body=rendered.body,
            message_id=str(delivery.effect_id),
        )

    @staticmethod
    async def _note(message_id: str) -> None:
        return


@dataclass
class Ground:
    """A running application and what stands behind it."""

    app: FastAPI
    worker: ScriptedWorker
    records: Records
    store: InMemoryKnowledgeStore
    adapter: WebAdapter
    http: httpx.AsyncClient

    async def ask(self, text: str = "How do I start?", **more: Any) -> httpx.Response:
        return await self.http.post("/v1/turns", json={"text": text, **more})


def make_about() -> About:
    return About(
        version="1.2.3",
        answerer="extractive",
        embedder="local",
        platforms=[PlatformStatus(name="web", on=True)],
        examples=["How do I start?"],
    )


async def always_ready() -> Readiness:
    return Readiness(ready=True)


@asynccontextmanager
async def open_ground(
    *,
    token: str | None = None,
    host: str = "127.0.0.1",
    base_url: str = "http://127.0.0.1:8080",
    readiness: Callable[[], Awaitable[Readiness]] = always_ready,
    timeout_seconds: float = 10.0,
    registry: CollectorRegistry | None = None,
    **more: Any,
) -> AsyncIterator[Ground]:
    """The application behind an in-process transport; requests bear no token of their own."""
    adapter, records, store = WebAdapter(), Records(), InMemoryKnowledgeStore()
    worker = ScriptedWorker(adapter, records)
    await adapter.start(worker.take_in)
    app = build_http(
        settings=make_settings(token=token, host=host),
        adapter=adapter,
        outbox=records,
        turns=records,
        sources=store,
        embedding=nothing_to_embed,
        readiness=readiness,
        about=make_about,
        registry=registry or CollectorRegistry(),
        answer_timeout_seconds=timeout_seconds,
        **more,
    )
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=base_url) as http:
        yield Ground(app=app, worker=worker, records=records, store=store, adapter=adapter, http=http)


async def nothing_to_embed() -> EmbeddingOut:
    return EmbeddingOut(serving="fake:words", wanted="fake:words", done=0, total=0)


def make_settings(*, token: str | None = None, host: str = "127.0.0.1", port: int = 8080) -> HttpSettings:
    return HttpSettings(
        http_host=host, http_port=port, http_token=SecretStr(token) if token is not None else None
    )


def read_events(body: str) -> list[tuple[str, Any]]:
    """(event, data) of a stream of server-sent events."""
    events = []
    for block in filter(None, body.split("\n\n")):
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        events.append((fields["event"], json.loads(fields["data"])))
    return events
