"""The folder of the embedded Postgres: what lies where, and how its programs are called in it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shlex
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from core.errors import SettingsError, StorageUnavailableError
from core.storage.postgres_binaries import PostgresBinaries, find_postgres_binaries, share_binaries
from core.storage.server_account import ServerAccount, choose_account, nearest_folder, owner_of_nearest
from core.storage.server_memory import choose_shared_buffers

LONGEST_SOCKET_PATH = 100
LONGEST_LOG_BYTES = 1_000_000
OWN_DESCRIPTORS = "/proc/self/fd"
SIGNS_OF_THE_SHELL = frozenset('$`"\\')


@dataclass(frozen=True)
class Cluster:
    """One data folder with its locks and its log, and the programs and the user that serve it."""

    SOCKET_NAME: ClassVar[str] = ".s.PGSQL.5432"

    home: Path
    folder: Path
    account: ServerAccount
    binaries: PostgresBinaries

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def draft(self) -> Path:
        """Where initdb works; renamed to `data` once complete, so that `data` always is."""
        return self.folder / "data.new"

    @property
    def lock_file(self) -> Path:
        return self.folder / "lock"

    @property
    def users_file(self) -> Path:
        return self.folder / "users"

    @property
    def log_file(self) -> Path:
        return self.folder / "log"

    @property
    def pid_file(self) -> Path:
        return self.data / "postmaster.pid"

    @property
    def is_initialised(self) -> bool:
        return (self.data / "PG_VERSION").exists()

    def server_pid(self) -> int | None:
        lines = self._pid_lines()
        return int(lines[0]) if lines and lines[0].isdigit() else None

    def live_socket_folder(self) -> Path | None:
        """Where the server listens, if its file says that it is ready; the file may be stale."""
        lines = self._pid_lines()
        if len(lines) < 8 or lines[7] != "ready":
            return None
        return self.data if lines[4].startswith(OWN_DESCRIPTORS) else Path(lines[4])

    def _pid_lines(self) -> list[str]:
        try:
            return [line.strip() for line in self.pid_file.read_text().splitlines()]
        except FileNotFoundError:
            return []

    def log_tail(self) -> str:
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-10:])

    def trim_log(self) -> None:
        if self.log_file.stat().st_size > LONGEST_LOG_BYTES:
            os.truncate(self.log_file, 0)

    # --- calling the programs -------------------------------------------------------------------

    async def run(self, program: str, data: Path, options: Sequence[str], lock: int) -> None:
        """Run one program on the data; its children inherit the lock. Output goes to the log."""
        with self._as_seen_by_server(data) as (seen, descriptors), self.log_file.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                self.binaries.program(program),
                *(option.replace("{data}", seen) for option in options),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env={name: value for name, value in os.environ.items() if not name.startswith("PG")},
                umask=0o077,
                pass_fds=(lock, *descriptors),
                start_new_session=True,
                **self.account.process_options(),
            )
            try:
                code = await process.wait()
            except BaseException:
                process.kill()
                await process.wait()
                raise
        if code != 0:
            raise StorageUnavailableError(f"{program} ended with {code}:\n{self.log_tail()}")

    @contextmanager
    def _as_seen_by_server(self, data: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
        """The path of the data for the server's user, and descriptors that must be inherited for it.

        Below a folder that only root may enter, the server gets the open data folder itself and
        reaches it through its own descriptor: no folder above needs another mode. So it does where the
        path holds signs that mean something to the shell through which pg_ctl starts the server.
        """
        if self.account.can_reach(data) and not SIGNS_OF_THE_SHELL & set(str(data)):
            yield str(data), ()
            return
        descriptor = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield f"{OWN_DESCRIPTORS}/{descriptor}", (descriptor,)
        finally:
            os.close(descriptor)

    def initdb_options(self, *more: str) -> list[str]:
        return [
            "--pgdata={data}",
            "--username=postgres",
            "--auth-local=trust",
            "--auth-host=reject",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            *more,
        ]

    def start_options(self, durable: bool) -> list[str]:
        """For pg_ctl. Only a socket, in a folder that only the server's user (and root) may enter."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": self._quoted_socket_folder(),
            "unix_socket_permissions": "0700",
            "port": "5432",
            "max_connections": "200",
            "shared_buffers": choose_shared_buffers(),
            "timezone": "UTC",
            "log_checkpoints": "off",
            "jit": "off",
            "wal_level": "minimal",
            "max_wal_senders": "0",
        }
        if not durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return ["start", "--silent", "--no-wait", "--pgdata={data}", "--options", shlex.join(arguments)]

    # --- the socket -----------------------------------------------------------------------------

    def _quoted_socket_folder(self) -> str:
        folder = self._socket_folder()
        if folder == self.data:
            return "{data}"
        return str(folder)

    def _socket_folder(self) -> Path:
        """The data folder, or a short one where the path of a socket would be too long."""
        fits = len(os.fsencode(self.data / self.SOCKET_NAME)) <= LONGEST_SOCKET_PATH
        if fits and not set(str(self.data)) & set(',"'):
            return self.data
        digest = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:12]
        name = f"threadlore-{self.account.uid}-{digest}"
        for parent in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 (made private below)
            folder = parent / name
            if (
                len(os.fsencode(folder / self.SOCKET_NAME)) <= LONGEST_SOCKET_PATH
                and parent.is_dir()
                and self.account.can_reach(parent)
            ):
                return folder
        raise SettingsError(
            "THREADLORE_HOME",
            f"The path {self.home} is too long for a socket.",
            "Set THREADLORE_HOME to a shorter path.",
        )

    def clear_way(self) -> None:
        """Before a start, with the lock held: remove what a dead server left, make the socket's folder.

        PostgreSQL itself would judge by process ids, which others may have by now.
        """
        folder = self._socket_folder()
        if folder != self.data:
            self._make_private(folder)
        for stale in (self.pid_file, folder / self.SOCKET_NAME, folder / f"{self.SOCKET_NAME}.lock"):
            stale.unlink(missing_ok=True)

    def remove_socket_folder(self) -> None:
        """After a stop: leave nothing in the temporary folder."""
        folder = self._socket_folder()
        if folder != self.data:
            with suppress(OSError):  # somebody put something there, or it is gone
                folder.rmdir()

    def _make_private(self, folder: Path) -> None:
        try:
            folder.mkdir(mode=0o700)
            self.account.own(folder)
        except FileExistsError:
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != self.account.uid:
                raise SettingsError(
                    "THREADLORE_HOME",
                    f"The socket folder {folder} belongs to somebody else.",
                    "Set THREADLORE_HOME to a shorter path.",
                ) from None
            folder.chmod(0o700)


def open_cluster(home: Path) -> Cluster:
    """Make the folders and files that are missing. Raises SettingsError and OSError."""
    home = home.expanduser().absolute()
    folder = home / "postgres"
    data = folder / "data"
    account = choose_account(data if data.exists() else folder)
    cluster = Cluster(home, folder, account, _binaries_for(data, account))
    made = [path for path in (home, folder) if not path.exists()]
    # Root in a folder of the account's: all that is made must stay usable by the account alone.
    hand_over = owner_of_nearest(home) == account.uid
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    for file in (cluster.lock_file, cluster.users_file, cluster.log_file):
        if not file.exists():
            made.append(file)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    if hand_over:
        for path in made:
            account.own(path)
    return cluster


def _binaries_for(data: Path, account: ServerAccount) -> PostgresBinaries:
    version = data / "PG_VERSION"
    binaries = find_postgres_binaries(int(version.read_text()) if version.exists() else None)
    if not account.can_reach(nearest_folder(data)) and not sys.platform.startswith("linux"):
        raise SettingsError(
            "THREADLORE_HOME",
            f"{account.name}, who would run PostgreSQL, cannot reach {data.parent}.",
            "Start Threadlore as an ordinary user, or set THREADLORE_HOME to another folder.",
        )
    return share_binaries(binaries, account)
