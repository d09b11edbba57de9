"""One connection of Socket Mode: envelopes in, acknowledgements out, and a pulse.

Slack's own client closes a connection before it opens the next one, answers over whichever connection is
there by then, and tries again without a pause when it is refused. So only the envelopes' form is Slack's
library's here; the connection is ours, and bot.slack.sockets replaces it when it is time.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
import structlog
from aiohttp import WSMsgType
from slack_bolt.response import BoltResponse
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from bot.adapter import UnavailableError

MOST_UNANSWERED_PINGS = 4
_CLOSE_SECONDS = 1.0

Ending = Literal["asked", "deaf", "cut"]
"""Slack asked for another connection, no ping was answered any more, or the connection broke."""

Take = Callable[[SocketModeRequest], Awaitable[BoltResponse]]
"""Handles one envelope; only a response with status 200 is acknowledged."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class SocketTimes:
    """How patient we are, in seconds. A deaf connection is known as such after `MOST_UNANSWERED_PINGS`
    intervals and given up one later; at most `most_opens` connections are asked for in each
    `opens_window_seconds`."""

    ping_interval_seconds: float = 10.0
    greeting_seconds: float = 15.0
    drain_seconds: float = 30.0
    first_pause_seconds: float = 2.0
    longest_pause_seconds: float = 30.0
    opens_window_seconds: float = 60.0
    most_opens: int = 6

    @property
    def longest_silence_seconds(self) -> float:
        """The age of the last pong from which on a connection counts as deaf."""
        return self.ping_interval_seconds * MOST_UNANSWERED_PINGS


class SocketRefusedError(UnavailableError):
    """Slack let us in and sent us away again. `reason` is its word, `too_many_websockets` say."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the socket was refused: {reason}", maybe_accepted=False)
        self.reason = reason


class SlackSocket:
    """Opened once, ended once. After `ended` it may go on reading for a while: see `drain`."""

    def __init__(self, session: aiohttp.ClientSession, take: Take, times: SocketTimes) -> None:
        self._session = session
        self._take = take
        self._times = times
        self._link: aiohttp.ClientWebSocketResponse | None = None
        self._greeted: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._pong_at = time.monotonic()
        self._tasks: list[asyncio.Task[None]] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self.heard_at = time.time()
        """When Slack last answered us, in seconds of the wall clock."""
        self.opened_at = self.heard_at
        self.ended = asyncio.Event()
        self.ending: Ending | None = None

    async def open(self, url: str, proxy: str | None) -> int:
        """Connect and wait for Slack's hello; returns how many connections the app has now.

        Raises SocketRefusedError, UnavailableError.
        """
        try:
            async with asyncio.timeout(self._times.greeting_seconds):
                self._link = await self._session.ws_connect(
                    url, autoping=False, proxy=proxy, timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_SECONDS)
                )
                self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._beat())]
                return await asyncio.shield(self._greeted)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise UnavailableError("the socket was not greeted in time", maybe_accepted=False) from error
        finally:
            if not self._was_greeted():
                await self.aclose()
                self._greeted.cancel()

    def _was_greeted(self) -> bool:
        greeted = self._greeted
        return greeted.done() and not greeted.cancelled() and greeted.exception() is None

    def hears(self) -> bool:
        """Whether Slack answers our pings: nothing else tells a quiet connection from a deaf one."""
        if self._link is None or self._link.closed or self.ending in ("deaf", "cut"):
            return False
        return time.monotonic() - self._pong_at < self._times.longest_silence_seconds

    async def drain(self, seconds: float) -> None:
        """Read on until Slack closes or the time is over, finish what is under way, and close."""
        try:
            if self._tasks and self.hears():
                await asyncio.wait(self._tasks[:1], timeout=seconds)
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=self._times.greeting_seconds)
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Close at once; what is under way ends unacknowledged, and Slack brings it again."""
        self._end("cut")
        for task in (*self._tasks, *self._under_way):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._under_way, return_exceptions=True)
        if self._link is not None:
            await self._link.close()

    # --- in -----------------------------------------------------------------------------------------

    async def _read(self) -> None:
        assert self._link is not None  # noqa: S101 - opened before
        try:
            while True:
                frame = await self._link.receive()
                if frame.type is WSMsgType.TEXT:
                    self._take_message(json.loads(frame.data))
                elif frame.type is WSMsgType.PONG:
                    self._pong_at, self.heard_at = time.monotonic(), time.time()
                elif frame.type is WSMsgType.PING:
                    await self._link.pong(frame.data)
                elif frame.type is not WSMsgType.BINARY:
                    break
        except (aiohttp.ClientError, OSError, RuntimeError, ValueError) as error:
            log.info("slack_socket_broke", error=type(error).__name__)
        finally:
            if not self._greeted.done():
                self._greeted.set_exception(SocketRefusedError("closed"))
            self._end("cut")

    def _take_message(self, message: Mapping[str, Any]) -> None:
        kind = message.get("type")
        if kind == "hello":
            if not self._greeted.done():
                self._greeted.set_result(int(message.get("num_connections") or 1))
        elif kind == "disconnect":
            reason = str(message.get("reason") or "unknown")
            log.info("slack_socket_to_be_replaced", reason=reason)
            if not self._greeted.done():
                self._greeted.set_exception(SocketRefusedError(reason))
            self._end("asked")
        else:
            request = SocketModeRequest.from_dict(dict(message))
            if request is not None:
                task = asyncio.create_task(self._handle(request))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)

    # --- out ----------------------------------------------------------------------------------------

    async def _handle(self, request: SocketModeRequest) -> None:
        """Acknowledged over the connection that it came from; any other does not know it."""
        assert self._link is not None  # noqa: S101 - it came from there
        response = await self._take(request)
        if response.status != 200:
            return
        payload = json.loads(response.body) if response.body else None
        ack = SocketModeResponse(envelope_id=request.envelope_id, payload=payload)
        try:
            await self._link.send_str(json.dumps(ack.to_dict()))
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            log.info("slack_ack_not_sent", error=type(error).__name__)  # Slack brings it again

    async def _beat(self) -> None:
        """Ping; after a pause of the whole process the pongs that wait are read before they are missed."""
        assert self._link is not None  # noqa: S101 - opened before
        unanswered = 0
        while unanswered < MOST_UNANSWERED_PINGS:
            pinged_at = time.monotonic()
            try:
                async with asyncio.timeout(self._times.ping_interval_seconds):
                    await self._link.ping(b"threadlore")
            except (aiohttp.ClientError, OSError, RuntimeError):
                pass  # it counts as unanswered
            await asyncio.sleep(self._times.ping_interval_seconds)
            unanswered = 0 if self._pong_at >= pinged_at else unanswered + 1
        self._end("deaf")

    def _end(self, ending: Ending) -> None:
        """A connection that was asked to go and then breaks is broken; what was deaf stays deaf."""
        if self.ending is None or (self.ending == "asked" and ending != "asked"):
            self.ending = ending
        self.ended.set()
