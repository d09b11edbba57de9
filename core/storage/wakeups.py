"""Tells workers, here and in other processes, that the inbox may hold something to claim. Only a hint:
polling finds the work anyway, so nothing here may delay, fail or be waited for."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import asyncpg  # type: ignore[import-untyped]
import structlog
from sqlalchemy.engine import URL

CHANNEL = "threadlore_inbox"
COALESCE_SECONDS = 0.02
RECONNECT_SECONDS = 5.0
CONNECT_SECONDS = 5.0

log = structlog.get_logger(__name__)


class InboxWakeups:
    """An event for this process, kept in step with the others by NOTIFY on a connection of its own."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._something = asyncio.Event()
        self._something.set()
        self._untold = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def clear(self) -> None:
        """Call before looking: what comes after this is not missed."""
        self._something.clear()

    def wake_here(self) -> None:
        """Wake the waiters of this process."""
        self._something.set()

    def wake_everywhere(self) -> None:
        """Wake the waiters of this process at once and those of the others soon."""
        self._something.set()
        self._untold.set()
        self._connect_in_background()

    def wake_later(self, after_seconds: float) -> None:
        """Wake the waiters of this process when a delayed item becomes due."""
        asyncio.get_running_loop().call_later(max(0.0, after_seconds), self._something.set)

    async def wait(self, timeout_seconds: float) -> None:
        """Return when woken, or after the timeout."""
        self._connect_in_background()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._something.wait()

    async def aclose(self) -> None:
        """Give the connection back."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _connect_in_background(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._stay_connected(), name="inbox wake-ups")

    async def _stay_connected(self) -> None:
        while True:
            try:
                await self._tell_and_listen()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.info("wakeup_connection_lost", error=type(error).__name__)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _tell_and_listen(self) -> None:
        """Until the connection is lost: pass on what others say, and say what happened here."""
        connection = await self._connect()
        lost = asyncio.Event()

        def end(_: object) -> None:
            lost.set()
            self._untold.set()

        def hear(_: object, sender: int, channel: str, payload: object) -> None:
            if sender != ourselves:
                self._something.set()

        ourselves = connection.get_server_pid()
        connection.add_termination_listener(end)
        try:
            await connection.add_listener(CHANNEL, hear)
            self._something.set()
            while not lost.is_set():
                await self._untold.wait()
                self._untold.clear()
                if not lost.is_set():
                    await connection.execute("select pg_notify($1, '')", CHANNEL)
                    await asyncio.sleep(COALESCE_SECONDS)
        finally:
            connection.terminate()

    async def _connect(self) -> asyncpg.Connection:
        url = self._url
        return await asyncpg.connect(
            host=url.host or url.query.get("host"),
            port=url.port,
            user=url.username,
            password=url.password,
            database=url.database,
            ssl=url.query.get("ssl"),
            timeout=CONNECT_SECONDS,
            server_settings={"application_name": "threadlore-wakeups"},
        )
