"""The embedded Postgres: shared by processes, stopped by the last, restarted after any death."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from core.errors import SettingsError
from core.storage.cluster import open_cluster
from core.storage.database import Database
from core.storage.embedded import EmbeddedPostgres, start_embedded_postgres

USER_OF_THE_SERVER = """
import asyncio, sys
from pathlib import Path
from core.storage.database import Database
from core.storage.embedded import start_embedded_postgres

async def main():
    server = await start_embedded_postgres(Path(sys.argv[1]), durable=False)
    database = Database(server.url)
    await database.ping()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await database.ping()
    await database.aclose()
    await server.stop()
    print("left", flush=True)

asyncio.run(main())
"""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root meets this")


async def start_user(home: Path) -> asyncio.subprocess.Process:
    """Another process that uses the server until told to leave."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        USER_OF_THE_SERVER,
        str(home),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


async def expect(process: asyncio.subprocess.Process, word: str) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while (line := await process.stdout.readline()).strip() != word.encode():
            assert line, f"the process ended before it said {word!r}"


async def leave(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")
    await expect(process, "left")
    assert await process.wait() == 0


async def until(condition: Callable[[], bool], within_seconds: float = 30.0) -> None:
    deadline = time.monotonic() + within_seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.02)


async def ping(server: EmbeddedPostgres) -> None:
    database = Database(server.url)
    try:
        await database.ping()
    finally:
        await database.aclose()


def server_pid(home: Path) -> int:
    pid = open_cluster(home).server_pid()
    assert pid is not None
    return pid


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that is dead and unburied does not."""
    return psutil.pid_exists(pid) and bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)


async def test_processes_that_start_at_once_share_one_server_and_the_last_stops_it(tmp_path: Path) -> None:
    users = [await start_user(tmp_path) for _ in range(4)]
    for user in users:
        await expect(user, "ready")
    pid = server_pid(tmp_path)
    for user in users[:-1]:
        await leave(user)
        assert is_alive(pid)
    await leave(users[-1])
    assert not is_alive(pid)


async def test_stopping_twice_does_no_harm_and_a_later_start_finds_the_data(tmp_path: Path) -> None:
    server = await start_embedded_postgres(tmp_path, durable=False)
    await server.stop()
    await server.stop()
    again = await start_embedded_postgres(tmp_path, durable=False)
    await ping(again)
    await again.stop()


async def test_a_killed_user_leaves_a_server_that_the_next_one_uses_and_stops(tmp_path: Path) -> None:
    user = await start_user(tmp_path)
    await expect(user, "ready")
    pid = server_pid(tmp_path)
    user.kill()
    await user.wait()
    assert is_alive(pid)
    server = await start_embedded_postgres(tmp_path, durable=False)
    assert server_pid(tmp_path) == pid
    await ping(server)
    await server.stop()
    assert not is_alive(pid)


async def test_a_killed_server_is_started_again_from_its_stale_pid_file(tmp_path: Path) -> None:
    server = await start_embedded_postgres(tmp_path, durable=False)
    pid = server_pid(tmp_path)
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not is_alive(pid))
    again = await start_embedded_postgres(tmp_path, durable=False)
    assert server_pid(tmp_path) != pid
    await ping(again)
    await again.stop()
    await server.stop()
    assert not is_alive(pid)


async def test_a_pid_file_that_names_a_living_stranger_is_stale_all_the_same(tmp_path: Path) -> None:
    server = await start_embedded_postgres(tmp_path, durable=False)
    pid_file = open_cluster(tmp_path).pid_file
    content = pid_file.read_text()
    await server.stop()
    pid_file.write_text("\n".join([str(os.getpid()), *content.splitlines()[1:]]) + "\n")
    again = await start_embedded_postgres(tmp_path, durable=False)
    await ping(again)
    await again.stop()


async def test_an_interrupted_first_start_is_finished(tmp_path: Path) -> None:
    draft = tmp_path / "postgres" / "data.new"
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").write_text("18\n")
    (draft / "half").write_text("half a cluster")
    server = await start_embedded_postgres(tmp_path, durable=False)
    await ping(server)
    await server.stop()
    assert not draft.exists()


async def test_a_path_too_long_for_a_socket_gets_a_short_private_folder(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 30)
    server = await start_embedded_postgres(home, durable=False)
    folder = open_cluster(home).live_socket_folder()
    assert folder is not None
    assert not folder.is_relative_to(home)
    assert folder.stat().st_mode & 0o077 == 0
    joined = await start_embedded_postgres(home, durable=False)
    await ping(joined)
    await joined.stop()
    await server.stop()
    assert not folder.exists()


async def test_a_path_with_spaces_quotes_and_signs_works(tmp_path: Path) -> None:
    server = await start_embedded_postgres(tmp_path / "it's a $HOME, 100% & ünïcode", durable=False)
    await ping(server)
    await server.stop()


@needs_root
async def test_root_serves_from_below_a_folder_that_only_root_may_enter(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = await start_embedded_postgres(closed / "home", durable=False)
    await ping(server)
    assert psutil.Process(server_pid(closed / "home")).uids().real != 0
    assert closed.stat().st_mode & 0o777 == 0o700
    await server.stop()


def run_as(name: str, action: Callable[[], None]) -> int:
    """Exit code of a child that does it as another user: 0, or 1 if it raised."""
    child = os.fork()
    if child == 0:
        entry = pwd.getpwnam(name)
        code = 1
        try:
            os.setgroups([])
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
            action()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@needs_root
async def test_an_ordinary_user_serves_and_root_and_others_are_told_apart(tmp_path: Path) -> None:
    open_folder = Path("/tmp") / f"threadlore-test-{os.getpid()}"
    home = open_folder / "home"
    open_folder.mkdir(mode=0o755)
    shutil.chown(open_folder, "nobody")

    async def start_and_stop() -> None:
        server = await start_embedded_postgres(home, durable=False)
        await ping(server)
        await server.stop()

    def as_nobody() -> None:
        asyncio.run(start_and_stop())

    def as_another() -> None:
        with pytest.raises(SettingsError, match="THREADLORE_HOME"):
            asyncio.run(start_and_stop())

    try:
        assert await asyncio.to_thread(run_as, "nobody", as_nobody) == 0
        assert await asyncio.to_thread(run_as, "daemon", as_another) == 0
        await start_and_stop()
        assert (home / "postgres" / "data").owner() == "nobody"
        assert await asyncio.to_thread(run_as, "nobody", as_nobody) == 0
    finally:
        shutil.rmtree(open_folder)


async def test_a_folder_that_cannot_be_made_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="THREADLORE_HOME"):
        await start_embedded_postgres(tmp_path / "file" / "home")
