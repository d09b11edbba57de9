"""A throw-away PostgreSQL that can be stopped and started at will; nothing starts it again by itself."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import time
from pathlib import Path
from typing import Literal

from core.storage.cluster import Cluster, open_cluster

START_SECONDS = 60.0
LOOK_AGAIN_SECONDS = 0.01

How = Literal["fast", "immediate"]
"""`fast` ends every connection and writes all down; `immediate` is a crash that the log must make up for."""


class Postgres:
    """One server on the embedded binaries, with its data flushed to disk as in production."""

    def __init__(self, home: Path) -> None:
        self._cluster: Cluster = open_cluster(home)
        self._pid: int | None = None

    @property
    def socket(self) -> str:
        """Where it listens."""
        folder = self._cluster.live_socket_folder() or self._cluster.data
        return str(folder / self._cluster.SOCKET_NAME)

    async def start(self) -> None:
        """Return once it takes connections."""
        cluster = self._cluster
        lock = self._take_lock()
        if lock is None:
            raise RuntimeError("a server lives on this data")
        try:
            if not cluster.is_initialised:
                cluster.draft.mkdir(mode=0o700)
                cluster.account.own(cluster.draft)
                await cluster.run("initdb", cluster.draft, cluster.initdb_options("--no-sync"), lock)
                cluster.draft.rename(cluster.data)
            cluster.clear_way()
            await cluster.run("pg_ctl", cluster.data, cluster.start_options(durable=True), lock)
        finally:
            os.close(lock)
        await self._until_ready()
        self._pid = cluster.server_pid()

    async def _until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._cluster.live_socket_folder() is not None:
                try:
                    _, writer = await asyncio.open_unix_connection(self.socket)
                    writer.close()
                    return
                except OSError:
                    pass
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        raise RuntimeError(f"PostgreSQL did not start:\n{self._cluster.log_tail()}")

    async def stop(self, how: How = "fast") -> None:
        """Return once it is gone. Safe to call when it is stopped."""
        pid, self._pid = self._pid, None
        if pid is None:
            return
        os.kill(pid, signal.SIGINT if how == "fast" else signal.SIGQUIT)
        deadline = time.monotonic() + START_SECONDS
        while (lock := self._take_lock()) is None:
            if time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not stop:\n{self._cluster.log_tail()}")
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        self._cluster.remove_socket_folder()
        os.close(lock)

    def _take_lock(self) -> int | None:
        """The lock that the server and all its children hold for as long as they live; None: they do."""
        lock = os.open(self._cluster.lock_file, os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock
