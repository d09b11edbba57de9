"""Keeps one of Slack's sockets open: the next one before the old one goes, with pauses when Slack refuses.

One to a process: two would hand us the events of a thread out of order. Slack spreads an app's events over
the sockets of all its processes, so a second process is the spare.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import aiohttp
import structlog

from bot.adapter import AdapterError, RateLimitedError
from bot.slack.socket import SlackSocket, SocketRefusedError, SocketTimes, Take
from core.errors import SettingsError

AskForAddress = Callable[[], Awaitable[str]]
"""One call of apps.connections.open. Raises SettingsError, AdapterError."""

OnHeard = Callable[[float | None], None]
"""Called when Slack can be heard again, with the time since when it could not (seconds of the wall clock);
None after the first greeting of this process."""

log = structlog.get_logger(__name__)


class SlackSockets:
    """`proxy` is an HTTP proxy's address. `on_heard` must return at once."""

    def __init__(
        self,
        ask_for_address: AskForAddress,
        take: Take,
        on_heard: OnHeard,
        times: SocketTimes,
        *,
        proxy: str | None = None,
    ) -> None:
        self._ask_for_address = ask_for_address
        self._take = take
        self._on_heard = on_heard
        self._times = times
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None
        self._current: SlackSocket | None = None
        self._pace = _Pace(times)
        self._first_try = asyncio.Event()
        self._trouble: Exception | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._draining: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Returns after the first hello, or after a first failure from which we go on trying.

        Raises SettingsError when Slack refuses the token.
        """
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        self._keeper = asyncio.create_task(self._keep())
        await self._first_try.wait()
        if isinstance(self._trouble, SettingsError):
            await self.aclose()
            raise self._trouble

    def hears(self) -> bool:
        """Whether the connection is alive, judged by the age of its last pong."""
        return self._current is not None and self._current.hears()

    def heard_until(self) -> datetime | None:
        """When the connection answered last; None while it is deaf."""
        if self._current is None or not self._current.hears():
            return None
        return datetime.fromtimestamp(self._current.heard_at, UTC)

    def why_deaf(self) -> str:
        """What to tell the operator while nothing is heard; "" while something is."""
        if self.hears():
            return ""
        if isinstance(self._trouble, SettingsError):
            return str(self._trouble)
        if isinstance(self._trouble, SocketRefusedError):
            return f"Slack refuses another socket ({self._trouble.reason})."
        if self._trouble is not None:
            return f"Slack opens no socket ({type(self._trouble).__name__})."
        return "Slack does not answer on its socket; it is being replaced."

    async def aclose(self) -> None:
        """Close what is open, after what is under way is acknowledged."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        for task in self._draining:
            task.cancel()
        await asyncio.gather(*self._draining, return_exceptions=True)
        if self._current is not None:
            await self._current.drain(0)
        if self._session is not None:
            await self._session.close()

    # --- inside -------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        while True:
            old = self._current
            new = self._current = await self._replace()
            if old is None:
                self._on_heard(None)
            else:
                if not old.hears():
                    self._on_heard(old.heard_at)
                self._drain(old)
            self._first_try.set()
            await new.ended.wait()
            if new.ending != "asked":
                silent_seconds = round(time.time() - new.heard_at, 1)
                log.warning("slack_socket_lost", how=new.ending, silent_seconds=silent_seconds)

    async def _replace(self) -> SlackSocket:
        """The next connection, however long it takes; the one that is there goes on meanwhile."""
        while True:
            try:
                return await self._open()
            except (SettingsError, AdapterError) as error:
                self._trouble = error
                log.warning("slack_socket_not_opened", error=type(error).__name__, why=_reason_of(error))
                if isinstance(error, SocketRefusedError) and self._current is not None:
                    await self._current.drain(0)  # it may be the one too many
                self._first_try.set()

    async def _open(self) -> SlackSocket:
        assert self._session is not None  # noqa: S101 - started
        await self._pace.wait()
        socket = SlackSocket(self._session, self._take, self._times)
        try:
            connections = await socket.open(await self._ask_for_address(), self._proxy)
        except RateLimitedError as error:
            self._pace.note_failure(error.retry_after_seconds)
            raise
        except (SettingsError, AdapterError):
            self._pace.note_failure()
            raise
        self._pace.note_greeting()
        self._trouble = None
        log.info("slack_socket_connected", connections=connections)
        return socket

    def _drain(self, socket: SlackSocket) -> None:
        task = asyncio.create_task(socket.drain(self._times.drain_seconds))
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)


class _Pace:
    """When the next connection may be asked for: longer pauses with every failure, each a bit at random,
    and never more than so many a minute."""

    def __init__(self, times: SocketTimes) -> None:
        self._times = times
        self._asked_at: deque[float] = deque(maxlen=times.most_opens)
        self._not_before = 0.0
        self._failures = 0

    async def wait(self) -> None:
        """Sleep until it may be, and count it."""
        not_before = self._not_before
        if len(self._asked_at) == self._times.most_opens:
            not_before = max(not_before, self._asked_at[0] + self._times.opens_window_seconds)
        await asyncio.sleep(max(0.0, not_before - time.monotonic()))
        self._asked_at.append(time.monotonic())

    def note_failure(self, at_least_seconds: float = 0.0) -> None:
        """Pause before the next one."""
        times = self._times
        ceiling = min(times.longest_pause_seconds, times.first_pause_seconds * 2.0 ** min(self._failures, 16))
        self._failures += 1
        pause = max(at_least_seconds, ceiling * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        self._not_before = time.monotonic() + pause

    def note_greeting(self) -> None:
        """Slack said hello: begin anew."""
        self._failures, self._not_before = 0, 0.0


def _reason_of(error: Exception) -> str | None:
    return error.reason if isinstance(error, SocketRefusedError) else None
