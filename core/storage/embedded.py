"""The embedded Postgres: started when nobody gives a DATABASE_URL, shared by every process that uses
the same THREADLORE_HOME, stopped by the last of them to leave.

Two lock files say all there is to know, and both are released by the kernel when their holders die:
`lock` is held by the server itself (it inherits the descriptor, and so do its children), so that a
held lock means a server that lives or is being started; `users` is held, shared, by every process
that uses the server. A process that is killed leaves the server running: the next one finds it, and
stops it when it leaves as the last.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import socket
import time
from pathlib import Path
from urllib.parse import quote

import structlog

from core.errors import SettingsError, StorageUnavailableError
from core.storage.cluster import Cluster, open_cluster

START_SECONDS = 120.0
STOP_SECONDS = 30.0
LOOK_AGAIN_SECONDS = 0.02
LOOK_AFTER_SECONDS = 1.0
START_ATTEMPTS = 3

log = structlog.get_logger(__name__)


class EmbeddedPostgres:
    """A running server, started again should it die. `url` is for SQLAlchemy; `home` has its data."""

    def __init__(self, cluster: Cluster, url: str, membership: int, *, durable: bool) -> None:
        self.home = cluster.home
        self.url = url
        self._cluster = cluster
        self._durable = durable
        self._membership: int | None = membership
        self._watch = asyncio.create_task(self._keep_running(), name="embedded postgres")

    async def stop(self) -> None:
        """Leave; the last process to leave stops the server. Safe to call twice."""
        membership, self._membership = self._membership, None
        if membership is None:
            return
        if not self._watch.done():
            self._watch.cancel()
            await asyncio.wait([self._watch])
        try:
            if _lock(membership, fcntl.LOCK_EX):
                await _stop_server(self._cluster)
        finally:
            os.close(membership)

    async def _keep_running(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AFTER_SECONDS)
            try:
                if (lock := _server_lock(self._cluster)) is not None:
                    os.close(lock)
                    log.warning("embedded_postgres_died", folder=str(self._cluster.data))
                    await _ensure_running(self._cluster, self._durable)
            except (StorageUnavailableError, OSError) as error:
                log.error("embedded_postgres_cannot_be_started", error=str(error))


async def start_embedded_postgres(home: Path, *, durable: bool = True) -> EmbeddedPostgres:
    """Start the server below `home`, or join it if it runs already.

    Not `durable`: for throw-away data, faster, and lost if the machine (not the process) dies.
    Raises SettingsError for a folder that cannot be used, StorageUnavailableError if it does not start.
    """
    try:
        cluster = open_cluster(home)
        membership = await _join(cluster)
    except OSError as error:
        raise SettingsError(
            "THREADLORE_HOME",
            f"{error.filename or home} cannot be used: {error.strerror}.",
            "Set THREADLORE_HOME to a folder that this user may write to, or set DATABASE_URL.",
        ) from error
    try:
        await _ensure_running(cluster, durable)
        return EmbeddedPostgres(cluster, _url(cluster), membership, durable=durable)
    except BaseException:
        os.close(membership)
        raise


async def _join(cluster: Cluster) -> int:
    """Count as a user from now on; waits while the last one is stopping the server."""
    descriptor = os.open(cluster.users_file, os.O_RDWR)
    deadline = time.monotonic() + START_SECONDS
    while not _lock(descriptor, fcntl.LOCK_SH):
        if time.monotonic() > deadline:
            os.close(descriptor)
            raise StorageUnavailableError(f"another process has kept {cluster.users_file} locked")
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
    return descriptor


async def _ensure_running(cluster: Cluster, durable: bool) -> None:
    deadline = time.monotonic() + START_SECONDS
    starts = 0
    while not _accepts(cluster):
        lock = _server_lock(cluster)
        if lock is not None:
            try:
                if starts == START_ATTEMPTS:
                    raise StorageUnavailableError(
                        f"the embedded PostgreSQL does not start:\n{cluster.log_tail()}"
                    )
                starts += 1
                await _start_server(cluster, lock, durable)
            finally:
                os.close(lock)
        if time.monotonic() > deadline:
            raise StorageUnavailableError(f"the embedded PostgreSQL is not ready:\n{cluster.log_tail()}")
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


async def _start_server(cluster: Cluster, lock: int, durable: bool) -> None:
    """With the lock held nothing of an earlier server lives, so whatever it left behind is stale."""
    began = time.monotonic()
    cluster.trim_log()
    if not cluster.is_initialised:
        shutil.rmtree(cluster.draft, ignore_errors=True)
        cluster.draft.mkdir(mode=0o700)
        cluster.account.own(cluster.draft)
        options = () if durable else ("--no-sync",)
        await cluster.run("initdb", cluster.draft, cluster.initdb_options(*options), lock)
        cluster.draft.rename(cluster.data)
        log.info("embedded_postgres_initialised", folder=str(cluster.data))
    cluster.clear_way()
    await cluster.run("pg_ctl", cluster.data, cluster.start_options(durable), lock)
    log.info("embedded_postgres_launched", seconds=round(time.monotonic() - began, 3))


async def _stop_server(cluster: Cluster) -> None:
    for how, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, STOP_SECONDS)):
        deadline = time.monotonic() + seconds
        signalled = False
        while time.monotonic() < deadline:
            lock = _server_lock(cluster)
            if lock is not None:
                cluster.remove_socket_folder()
                os.close(lock)
                log.info("embedded_postgres_stopped", folder=str(cluster.data))
                return
            if not signalled and (pid := cluster.server_pid()) is not None:
                # The lock is held, so the pid in the file is that of a live server, not a reused one.
                os.kill(pid, how)
                signalled = True
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
    log.warning("embedded_postgres_did_not_stop", folder=str(cluster.data))


def _accepts(cluster: Cluster) -> bool:
    """Whether the server says that it is ready and somebody listens on its socket."""
    folder = cluster.live_socket_folder()
    if folder is None:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(folder / cluster.SOCKET_NAME))
        except OSError:
            return False
    return True


def _server_lock(cluster: Cluster) -> int | None:
    """The server's lock as an open descriptor, if nobody holds it."""
    descriptor = os.open(cluster.lock_file, os.O_RDWR)
    if _lock(descriptor, fcntl.LOCK_EX):
        return descriptor
    os.close(descriptor)
    return None


def _lock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _url(cluster: Cluster) -> str:
    folder = cluster.live_socket_folder() or cluster.data
    return f"postgresql+asyncpg://postgres@/postgres?host={quote(str(folder), safe='/')}"
