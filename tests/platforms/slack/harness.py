"""Slack on a loopback server: for the adapter contract, and for the tests of this folder."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Literal

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from bot.adapter import Adapter
from bot.slack.adapter import SlackAdapter
from bot.slack.receiving import HttpEndpoints
from bot.slack.settings import SlackSettings
from bot.testing.slack import Fault, SlackChannel, SlackMessage, SlackServer
from core.messages import Event, MessagePosted, Thread
from tests.contracts.adapter_harness import EventLog, Shown

CHANNEL = "C0GENERAL"
EMOJI = {"👍": "+1", "👎": "-1"}
Mode = Literal["socket", "http"]


def settings_for(server: SlackServer, mode: Mode = "socket", **more: str) -> SlackSettings:
    environment = {name.lower(): value for name, value in server.environment(mode).items()}
    return SlackSettings.model_validate({**environment, **more})


class OncePerMessage(EventLog):
    """Slack tells of a mention twice, under two event ids; like the inbox, this keeps the message once."""

    async def take(self, event: Event) -> bool:
        if isinstance(event, MessagePosted) and any(
            isinstance(known, MessagePosted) and known.message.id == event.message.id for known in self.events
        ):
            return False
        return await super().take(event)


class SlackHarness:
    """Implements AdapterHarness."""

    def __init__(self, server: SlackServer, adapter: Adapter, sender: Adapter) -> None:
        self.server = server
        self.adapter = adapter
        self.sender = sender
        self.log: EventLog = OncePerMessage()
        self.limit = 12_000

    async def ask(self, author: str, text: str, *, bot: bool = False) -> str:
        text = f"<@{self.server.workspace.bot_user_id}> {text}"
        more = {"subtype": "bot_message", "bot_id": f"B{author}"} if bot else {}
        return await self.server.post_message(self.author_id(author), CHANNEL, text, **more)

    async def ask_directly(self, author: str, text: str) -> str:
        return await self.server.dm(self.author_id(author), text)

    async def follow_up(self, author: str, text: str, question: str, answer: str) -> str:
        message = self._message(answer)
        return await self.server.post_message(
            self.author_id(author), message.channel, text, message.thread_ts
        )

    async def chat(self, author: str, text: str) -> str:
        return await self.server.post_message(self.author_id(author), CHANNEL, text)

    async def edit(self, message_id: str, text: str) -> None:
        await self.server.edit(self._message(message_id).channel, message_id, text)

    async def delete(self, message_id: str) -> None:
        await self.server.delete(self._message(message_id).channel, message_id)

    async def react(self, author: str, message_id: str, emoji: Literal["👍", "👎"]) -> None:
        channel = self._message(message_id).channel
        await self.server.react(self.author_id(author), channel, message_id, EMOJI[emoji])

    async def unreact(self, author: str, message_id: str, emoji: Literal["👍", "👎"]) -> None:
        channel = self._message(message_id).channel
        await self.server.unreact(self.author_id(author), channel, message_id, EMOJI[emoji])

    async def click(self, author: str, message_id: str, mark: Literal["up", "down"]) -> None:
        channel = self._message(message_id).channel
        await self.server.click_feedback(
            self.author_id(author), channel, message_id, 1 if mark == "up" else -1
        )

    def author_id(self, name: str) -> str:
        return f"U{name.upper()}"

    def shown(self) -> list[Shown]:
        return [Shown(message.ts, text_of(message)) for message in self._own_messages()]

    def notified(self) -> list[str]:
        return [ping for message in self._own_messages() for ping in message.pings]

    def lose_next_reply(self) -> None:
        self.server.faults.order("chat.postMessage", Fault(reset="after"))

    def forbid_posting(self) -> None:
        self.server.channel(CHANNEL).has_bot = False

    def refuse_token(self) -> None:
        self.server.api.workspaces.pop(self.server.workspace.bot_token)

    def _message(self, message_id: str) -> SlackMessage:
        (found,) = (c.messages[message_id] for c in self._channels() if message_id in c.messages)
        return found

    def _channels(self) -> list[SlackChannel]:
        return list(self.server.api.channels.values())

    def _own_messages(self) -> Iterator[SlackMessage]:
        bot = self.server.workspace.bot_user_id
        messages = {ts: message for channel in self._channels() for ts, message in channel.messages.items()}
        for _, message in sorted(messages.items()):
            if message.user == bot and not message.deleted:
                yield message


def text_of(message: SlackMessage) -> str:
    """What people read, sources included."""
    sources = message.block("context")
    return "\n".join(
        (message.markdown, *(element["text"] for element in (sources or {}).get("elements", ())))
    )


@asynccontextmanager
async def open_harness() -> AsyncIterator[SlackHarness]:
    """A new server for each test: nothing is left of the one before."""
    async with SlackServer() as server:
        adapter, sender = (SlackAdapter(settings_for(server)) for _ in range(2))
        harness = SlackHarness(server, adapter, sender)
        await sender.open()
        await adapter.start(harness.log.take)
        try:
            yield harness
        finally:
            await adapter.aclose()
            await sender.aclose()


class Threads:
    """Where we answered lately."""

    def __init__(self) -> None:
        self.recent: list[Thread] = []

    async def recent_threads(self, platform: str, *, limit: int) -> list[Thread]:
        return self.recent[:limit]


class OneAtATime:
    """One of several adapters in this process."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    @asynccontextmanager
    async def exclusively(self, name: str) -> AsyncIterator[bool]:
        ours = name not in self._taken
        self._taken.add(name)
        try:
            yield ours
        finally:
            if ours:
                self._taken.discard(name)


class LoopbackHttp(uvicorn.Server):
    """A web server inside the test's loop, without signal handlers."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(endpoints: HttpEndpoints) -> AsyncIterator[str]:
    """Mount the endpoints as the web server does; yields their base URL."""
    routes = [Route("/slack/events", endpoints.events, methods=["POST"])]
    if endpoints.install is not None and endpoints.oauth_redirect is not None:
        routes.append(Route("/slack/install", endpoints.install))
        routes.append(Route("/slack/oauth_redirect", endpoints.oauth_redirect))
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(Starlette(routes=routes), log_config=None, access_log=False, lifespan="off")
    http = LoopbackHttp(config)
    task = asyncio.create_task(http.serve(sockets=[listening]))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        http.should_exit = True
        await task


@asynccontextmanager
async def receiving(
    server: SlackServer, mode: Mode, log: EventLog, **more: str
) -> AsyncIterator[SlackAdapter]:
    """An adapter that receives from this server, over its socket or over HTTP."""
    adapter = SlackAdapter(settings_for(server, mode, **more))
    await adapter.start(log.take)
    try:
        if mode == "socket":
            yield adapter
        else:
            endpoints = adapter.http_endpoints()
            assert endpoints is not None
            async with serving(endpoints) as base_url:
                server.deliver_to(f"{base_url}/slack/events")
                yield adapter
    finally:
        await adapter.aclose()
