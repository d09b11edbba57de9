"""Processes of `threadlore` that begin warm: forked by tests/processes/fork_server.py, otherwise as if started
from the command line."""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


class ForkServer:
    """The one warm parent that this process uses; it ends with this process, whatever becomes of that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "tests.processes.fork_server", str(theirs.fileno())],
                cwd=ROOT,
                # Numerical libraries begin threads when they are imported, and threads do not survive a fork.
                env=kept | {"OPENBLAS_NUM_THREADS": "1"},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )

    def fork(self, order: Mapping[str, object], descriptors: Sequence[int]) -> tuple[int, int]:
        """The child's pid and a descriptor of it. Blocks; the first time for as long as the imports take."""
        with self._lock:
            socket.send_fds(self._control, [json.dumps(order).encode()], descriptors)
            answer, process, *_ = socket.recv_fds(self._control, 64, 1)
        if not answer:
            raise RuntimeError("the fork server has ended")
        return int(answer), process[0]

    def close(self) -> None:
        """End it, and every child that still runs."""
        self._control.close()
        self._process.wait()


@cache
def find_fork_server() -> ForkServer:
    """The fork server of this process, started at the first need."""
    server = ForkServer()
    atexit.register(server.close)
    return server


class ForkedProcess:
    """What tests use of asyncio.subprocess.Process, for a child of the fork server."""

    def __init__(
        self, pid: int, process: int, stdin: int | None, outputs: Sequence[asyncio.StreamReader | None]
    ) -> None:
        self.pid = pid
        self.stdout, self.stderr = outputs
        self._process = process
        self._stdin = stdin
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def returncode(self) -> int | None:
        """As for any process: negative is the signal that ended it, None while it runs."""
        return self._ended.result() if self._ended.done() else None

    def send_signal(self, signal_number: int) -> None:
        """Raises ProcessLookupError once `returncode` is known; nothing happens if it ended just now."""
        if self.returncode is not None:
            raise ProcessLookupError(self.pid)
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, signal_number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    async def communicate(self, text: bytes = b"") -> tuple[bytes, bytes]:
        """Write to its stdin, and read both outputs to their ends."""
        if self._stdin is not None:
            pipe, self._stdin = os.fdopen(self._stdin, "wb", buffering=0), None
            transport, _ = await asyncio.get_running_loop().connect_write_pipe(asyncio.BaseProtocol, pipe)
            transport.write(text)
            transport.close()
        out, err = await asyncio.gather(*map(_read_all, (self.stdout, self.stderr)))
        await self.wait()
        return out, err

    def watch(self, told: int) -> None:
        """Learn from this pipe how it ended."""
        asyncio.get_running_loop().add_reader(told, self._note_end, told)

    def _note_end(self, told: int) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(told)
        # Nothing was written if the fork server itself ended, which takes its children along.
        status = int(os.read(told, 16) or -signal.SIGKILL)
        os.close(told)
        os.close(self._process)
        self._ended.set_result(status)


async def start_forked(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
) -> ForkedProcess:
    """`python -m bot` with these arguments. A stream is DEVNULL, PIPE, or a descriptor to write to."""
    told, tells = os.pipe()
    ours: list[int | None] = []
    theirs: list[int] = []
    for stream, wanted in enumerate((stdin, stdout, stderr)):
        own, other = _open_stream(wanted, is_input=not stream)
        ours.append(own)
        theirs.append(other)
    order = {"arguments": arguments, "environment": dict(environment), "folder": str(folder)}
    try:
        pid, process = await asyncio.to_thread(find_fork_server().fork, order, (*theirs, tells))
    finally:
        for descriptor in (*theirs, tells):
            os.close(descriptor)
    outputs = [await _read_pipe(descriptor) for descriptor in ours[1:]]
    forked = ForkedProcess(pid, process, ours[0], outputs)
    forked.watch(told)
    return forked


def _open_stream(wanted: int, *, is_input: bool) -> tuple[int | None, int]:
    """Our end, if there is one, and the child's."""
    if wanted == subprocess.PIPE:
        reads, writes = os.pipe()
        return (writes, reads) if is_input else (reads, writes)
    return None, os.open(os.devnull, os.O_RDWR) if wanted == subprocess.DEVNULL else os.dup(wanted)


async def _read_pipe(descriptor: int | None) -> asyncio.StreamReader | None:
    if descriptor is None:
        return None
    reader = asyncio.StreamReader()
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


async def _read_all(reader: asyncio.StreamReader | None) -> bytes:
    return b"" if reader is None else await reader.read()
