"""The sockets of the loopback Slack: at most ten, each greeted, refreshed, gone half-open or cut on order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from bot.testing.slack.limits import CONNECTIONS
from bot.testing.slack.state import Json


@dataclass(eq=False)
class Link:
    """One Socket Mode connection. `half_open`: what we send is lost on the way, and nobody notices here;
    `asked_to_go`: it was told that it is being replaced, and still gets its share of events until it is
    `closing`."""

    response: web.WebSocketResponse
    half_open: bool = False
    asked_to_go: bool = False
    closing: bool = False
    waiting_for_ack: dict[str, asyncio.Future[None]] = field(default_factory=dict)


class Links:
    """Every connection of the app, over all its processes. `changed` is called after each change."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.open: list[Link] = []
        self.most_open = CONNECTIONS
        self.most_at_once = 0
        self.refused = 0
        self.greeted = 0
        self.pings_answered = 0
        self.greets = True
        self._changed = changed
        self._opened = asyncio.Event()
        self._next = 0
        self._closing: set[asyncio.Task[None]] = set()

    # --- what an app sees ---------------------------------------------------------------------------

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One connection, from hello to its end."""
        response = web.WebSocketResponse(autoping=False, autoclose=False)
        await response.prepare(request)
        if len(self.open) >= self.most_open:
            self.refused += 1
            await response.send_json({"type": "disconnect", "reason": "too_many_websockets"})
            await response.close()
            return response
        link = Link(response)
        self.open.append(link)
        self.most_at_once = max(self.most_at_once, len(self.open))
        try:
            if self.greets:
                await self._greet(link)
            await self._listen(link)
        finally:
            self._drop(link)
        return response

    async def _greet(self, link: Link) -> None:
        await link.response.send_json(
            {
                "type": "hello",
                "num_connections": len(self.open),
                "connection_info": {"app_id": "A0LOOPBACK"},
                "debug_info": {"host": "loopback", "approximate_connection_time": 18060},
            }
        )
        self.greeted += 1
        self._opened.set()
        self._changed()

    async def _listen(self, link: Link) -> None:
        while True:
            frame = await link.response.receive()
            if frame.type is WSMsgType.TEXT:
                self._take_ack(link, json.loads(frame.data))
            elif frame.type is WSMsgType.PING:
                if not link.half_open:
                    self.pings_answered += 1
                    await link.response.pong(frame.data)
            elif frame.type is not WSMsgType.PONG:
                if not link.half_open:
                    await link.response.close()
                return

    def _take_ack(self, link: Link, answer: Json) -> None:
        """An envelope is acknowledged over the connection that brought it, or not at all."""
        ack = link.waiting_for_ack.get(answer.get("envelope_id", ""))
        if ack is not None and not ack.done():
            ack.set_result(None)

    def _drop(self, link: Link) -> None:
        self.open.remove(link)
        for ack in link.waiting_for_ack.values():
            if not ack.done():
                ack.set_exception(ConnectionError("the connection is gone"))
        if not self.open:
            self._opened.clear()
        self._changed()

    async def send(self, envelope: Json, ack_seconds: float) -> None:
        """To one connection after the other, in turn; returns once it was acknowledged.

        Raises TimeoutError, ConnectionError."""
        await self._opened.wait()
        links = [link for link in self.open if not link.closing]
        if not links:
            raise ConnectionError("no socket is open")
        self._next = (self._next + 1) % len(links)
        link = links[self._next]
        ack: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        link.waiting_for_ack[envelope["envelope_id"]] = ack
        try:
            async with asyncio.timeout(ack_seconds):
                if not link.half_open:
                    await link.response.send_json(envelope)
                await ack
        finally:
            del link.waiting_for_ack[envelope["envelope_id"]]

    # --- what a test orders -------------------------------------------------------------------------

    def go_half_open(self) -> None:
        """From here on nothing reaches the app over the connections that are open now; no end is sent."""
        for link in self.open:
            link.half_open = True

    async def ask_to_reconnect(self, reason: str, *, close_after_seconds: float | None = None) -> None:
        """What Slack says about hourly, some time before it closes a connection."""
        for link in tuple(self.open):
            link.asked_to_go = True
            await link.response.send_json(
                {"type": "disconnect", "reason": reason, "debug_info": {"host": "loopback"}}
            )
            if close_after_seconds is not None:
                task = asyncio.create_task(self._close_later(link, close_after_seconds))
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)

    async def _close_later(self, link: Link, seconds: float) -> None:
        await asyncio.sleep(seconds)
        link.closing = True
        if link.waiting_for_ack:
            await asyncio.wait(link.waiting_for_ack.values())
        await link.response.close()

    async def cut(self, count: int | None = None) -> None:
        """Close the oldest `count` connections, or every one, without a word."""
        await asyncio.gather(*(link.response.close() for link in tuple(self.open)[:count]))

    async def aclose(self) -> None:
        """Close what is open."""
        for task in tuple(self._closing):
            task.cancel()
        for link in tuple(self.open):
            link.half_open = False
        await self.cut()
