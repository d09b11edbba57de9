"""A platform in memory, for tests of what stands before an adapter: it remembers what is visible, and
fails on demand, before or after it has accepted a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

from bot.adapter import (
    AdapterError,
    Capabilities,
    ChannelFacts,
    Delivery,
    ForbiddenError,
    HistoryPage,
    MessageGoneError,
    OnPosted,
    Rendered,
    ReplyTarget,
    Sink,
    UnavailableError,
)
from core.answers import Answer
from core.messages import Channel, Event, Message

T = TypeVar("T")


@dataclass
class VisibleMessage:
    """One message as people see it. `texts` is its history, the last one is what stands there."""

    id: str
    channel: str
    thread: str
    effect_id: UUID
    texts: list[str] = field(default_factory=list)
    reply_handle: str | None = None

    @property
    def text(self) -> str:
        return self.texts[-1]


@dataclass
class Fault:
    """What the next call of that name does: raise the error, after accepting the call or before."""

    error: AdapterError
    accepted: bool = False


class InMemoryAdapter:
    """Implements bot.adapter.Adapter. Long answers are split at `limit` characters."""

    def __init__(
        self, platform: str = "memory", capabilities: Capabilities | None = None, limit: int = 2000
    ) -> None:
        self.platform = platform
        self.capabilities = capabilities or Capabilities(
            streams=True, edits=True, deletes=True, thread_history=True, status=True, channel_history=True
        )
        self.visible: dict[str, VisibleMessage] = {}
        self.calls: list[str] = []
        self.statuses: list[str] = []
        self.history: list[Message] = []
        self.channels: dict[str, ChannelFacts] = {}
        self.said: list[Message] = []
        self.accepted = asyncio.Event()
        self._limit = limit
        self._faults: dict[str, list[Fault]] = {}
        self._sink: Sink | None = None
        self._next_id = 0

    def fail_next(self, call: str, error: AdapterError, *, accepted: bool = False) -> None:
        """The next `call` (post, edit, delete, stream, close, find, describe, read_history) raises `error`."""
        self._faults.setdefault(call, []).append(Fault(error, accepted))

    def texts(self) -> list[str]:
        """What stands there now, in the order of posting."""
        return [message.text for message in self.visible.values()]

    async def say(self, event: Event) -> bool:
        """Something happens on the platform."""
        if self._sink is None:
            raise UnavailableError("not started", maybe_accepted=False)
        return await self._sink(event)

    # --- the Adapter ------------------------------------------------------------------------------

    async def open(self) -> None:
        self.calls.append("open")

    async def start(self, sink: Sink) -> None:
        self._sink = sink

    def is_receiving(self) -> bool:
        return self._sink is not None

    async def aclose(self) -> None:
        self._sink = None

    def render_answer(self, answer: Answer, turn_id: UUID) -> Sequence[Rendered]:
        text = answer.text
        return [
            Rendered(body={"text": text[start : start + self._limit]})
            for start in range(0, len(text), self._limit)
        ]

    def render_notice(self, text: str) -> Rendered:
        return Rendered(body={"text": text})

    async def post(self, delivery: Delivery) -> str:
        return self._call("post", lambda: self._put(delivery, str(delivery.rendered.body["text"])))

    def open_stream(self, delivery: Delivery, on_posted: OnPosted) -> InMemoryStream:
        return InMemoryStream(self, delivery, on_posted)

    async def find_posted(self, delivery: Delivery) -> str | None:
        def find() -> str | None:
            for message in self.visible.values():
                if message.effect_id == delivery.effect_id:
                    return message.id
            return None

        return self._call("find", find)

    async def edit(self, delivery: Delivery, message_id: str) -> None:
        def change() -> None:
            if message_id not in self.visible:
                raise MessageGoneError(message_id)
            self.visible[message_id].texts.append(str(delivery.rendered.body["text"]))

        self._call("edit", change)

    async def delete(self, channel: Channel, message_id: str) -> None:
        def remove() -> None:
            if self.visible.pop(message_id, None) is None:
                raise MessageGoneError(message_id)

        self._call("delete", remove)

    async def show_status(self, target: ReplyTarget, text: str) -> None:
        self._call("status", lambda: self.statuses.append(text))

    async def fetch_thread(self, message: Message, limit: int) -> list[Message]:
        return self._call("fetch_thread", lambda: self.history[-limit:])

    async def describe_channel(self, channel: Channel) -> ChannelFacts:
        def describe() -> ChannelFacts:
            if channel.id not in self.channels:
                raise ForbiddenError("no such channel")
            return self.channels[channel.id]

        return self._call("describe", describe)

    async def read_history(self, channel: Channel, cursor: str | None, until: str | None) -> HistoryPage:
        """Two messages at a time, of `said`; a cursor is the id of the last one read."""

        def read() -> HistoryPage:
            said = [m for m in reversed(self.said) if m.thread.channel.id == channel.id]
            first = next((n for n, m in enumerate(said) if m.id == cursor), -1) + 1
            ends = next((n for n, m in enumerate(said) if m.id == until), len(said))
            page = tuple(said[first : min(first + 2, ends)])
            more = page[-1].id if page and first + 2 < ends else None
            return HistoryPage(messages=page, newest=said[0].id if said and not cursor else None, cursor=more)

        return self._call("read_history", read)

    # --- what happens inside ----------------------------------------------------------------------

    def _call(self, name: str, accept: Callable[[], T]) -> T:
        self.calls.append(name)
        faults = self._faults.get(name)
        if not faults:
            return accept()
        fault = faults.pop(0)
        if fault.accepted:
            accept()
        raise fault.error

    def _put(self, delivery: Delivery, text: str) -> str:
        self._next_id += 1
        message_id = f"m{self._next_id}"
        thread = delivery.target.thread
        self.visible[message_id] = VisibleMessage(
            message_id, thread.channel.id, thread.id, delivery.effect_id, [text], delivery.target.reply_handle
        )
        self.accepted.set()
        return message_id


class InMemoryStream:
    """The first message of a reply while it is being written."""

    def __init__(self, adapter: InMemoryAdapter, delivery: Delivery, on_posted: OnPosted) -> None:
        self._adapter = adapter
        self._delivery = delivery
        self._on_posted = on_posted
        self._message_id: str | None = None

    async def write(self, text_so_far: str) -> None:
        await self._show("stream", text_so_far)

    async def close(self, rendered: Rendered) -> str:
        return await self._show("close", str(rendered.body["text"]))

    async def _show(self, call: str, text: str) -> str:
        message_id = self._message_id
        if message_id is None:
            message_id = self._adapter._call(call, lambda: self._adapter._put(self._delivery, text))
            self._message_id = message_id
            await self._on_posted(message_id)
        else:
            shown = self._adapter.visible[message_id].texts
            self._adapter._call(call, lambda: shown.append(text))
        return message_id
