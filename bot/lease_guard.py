"""How long an item is ours, by our own clock: the last look before anything leaves.

The database refuses what a worker writes after its lease. A platform does not: a process that was stopped
for longer than its lease must notice by itself, before its next call and without asking anybody.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from uuid import UUID

from bot.adapter import (
    Adapter,
    Capabilities,
    ChannelFacts,
    Delivery,
    HistoryPage,
    OnPosted,
    Rendered,
    ReplyStream,
    ReplyTarget,
    Sink,
)
from core.answers import Answer
from core.errors import LeaseLostError
from core.messages import Channel, Message

CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the process, or the whole machine, is asleep."""


def lease_clock() -> float:
    """Seconds on the clock that leases are measured by."""
    return time.clock_gettime(CLOCK)


class LeaseRanOutError(LeaseLostError):
    """By our own clock: somebody else may have taken over, and the database knows."""


class ItemLease:
    """Ours until then, counted from before the database was asked: never longer than it thinks."""

    def __init__(self, until: float) -> None:
        self._until = until

    def extend(self, until: float) -> None:
        """The database has prolonged it."""
        self._until = max(self._until, until)

    def has_run_out(self) -> bool:
        """Whether somebody else may have taken over."""
        return lease_clock() >= self._until

    def require(self) -> None:
        """Raises LeaseRanOutError when somebody else may have taken over."""
        if self.has_run_out():
            raise LeaseRanOutError("the lease has run out by our own clock")


class LeasedStream:
    """A ReplyStream that writes nothing once the lease has run out."""

    def __init__(self, stream: ReplyStream, lease: ItemLease) -> None:
        self._stream = stream
        self._lease = lease

    async def write(self, text_so_far: str) -> None:
        self._lease.require()
        await self._stream.write(text_so_far)

    async def close(self, rendered: Rendered) -> str:
        self._lease.require()
        return await self._stream.close(rendered)


class LeasedAdapter:
    """An Adapter that posts and changes nothing once the lease has run out: such calls raise LeaseRanOutError."""

    def __init__(self, adapter: Adapter, lease: ItemLease) -> None:
        self._adapter = adapter
        self._lease = lease

    @property
    def platform(self) -> str:
        return self._adapter.platform

    @property
    def capabilities(self) -> Capabilities:
        return self._adapter.capabilities

    async def open(self) -> None:
        await self._adapter.open()

    async def start(self, sink: Sink) -> None:
        await self._adapter.start(sink)

    def is_receiving(self) -> bool:
        return self._adapter.is_receiving()

    async def aclose(self) -> None:
        await self._adapter.aclose()

    def render_answer(self, answer: Answer, turn_id: UUID) -> Sequence[Rendered]:
        return self._adapter.render_answer(answer, turn_id)

    def render_notice(self, text: str) -> Rendered:
        return self._adapter.render_notice(text)

    async def post(self, delivery: Delivery) -> str:
        self._lease.require()
        return await self._adapter.post(delivery)

    def open_stream(self, delivery: Delivery, on_posted: OnPosted) -> ReplyStream:
        return LeasedStream(self._adapter.open_stream(delivery, on_posted), self._lease)

    async def find_posted(self, delivery: Delivery) -> str | None:
        return await self._adapter.find_posted(delivery)

    async def edit(self, delivery: Delivery, message_id: str) -> None:
        self._lease.require()
        await self._adapter.edit(delivery, message_id)

    async def delete(self, channel: Channel, message_id: str) -> None:
        await self._adapter.delete(channel, message_id)

    async def show_status(self, target: ReplyTarget, text: str) -> None:
        if not self._lease.has_run_out():
            await self._adapter.show_status(target, text)

    async def fetch_thread(self, message: Message, limit: int) -> list[Message]:
        return await self._adapter.fetch_thread(message, limit)

    async def describe_channel(self, channel: Channel) -> ChannelFacts:
        return await self._adapter.describe_channel(channel)

    async def read_history(self, channel: Channel, cursor: str | None, until: str | None) -> HistoryPage:
        return await self._adapter.read_history(channel, cursor, until)
