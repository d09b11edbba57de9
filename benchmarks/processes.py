"""The bots under measurement as processes: start, wait until they answer, read their CPU and memory, stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

READY_SECONDS = 120.0


class BotProcess:
    """One bot. `server_of` names the data folder of an embedded Postgres that works for it."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        server_of: Path | None = None,
    ) -> None:
        self._command = [sys.executable, "-m", module, *arguments]
        clean = {"PATH", "HOME", "LANG", "LD_LIBRARY_PATH"}
        self._environment = {name: os.environ[name] for name in clean if name in os.environ} | dict(
            environment
        )
        self._server_of = server_of
        self._process: asyncio.subprocess.Process | None = None
        self.started_at = 0.0

    async def start(self) -> None:
        self.started_at = time.monotonic()
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )

    async def wait_for_line(self, text: str) -> float:
        """Seconds from the start until a line of output holds the text."""
        process = self._running()
        assert process.stdout is not None
        async with asyncio.timeout(READY_SECONDS):
            while text not in (await process.stdout.readline()).decode():
                if process.returncode is not None:
                    raise RuntimeError(f"{' '.join(self._command)} ended with {process.returncode}")
        return time.monotonic() - self.started_at

    def cpu_seconds(self) -> float:
        """User and system time of the bot itself so far."""
        times = psutil.Process(self._running().pid).cpu_times()
        return float(times.user + times.system)

    def server_cpu_seconds(self) -> float:
        """The same for its Postgres, all of its processes."""
        total = 0.0
        for process in self._server_processes():
            try:
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
            except psutil.NoSuchProcess:
                continue
        return total

    def memory_megabytes(self) -> float:
        """Resident memory of the bot itself."""
        return float(psutil.Process(self._running().pid).memory_info().rss / 2**20)

    async def settled_memory_megabytes(self) -> float:
        """The same, once it has not grown for two seconds."""
        most, since = self.memory_megabytes(), time.monotonic()
        while time.monotonic() - since < 2.0:
            await asyncio.sleep(0.1)
            if self.memory_megabytes() > most + 0.5:
                most, since = self.memory_megabytes(), time.monotonic()
        return most

    async def stop(self) -> None:
        process = self._running()
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(30):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("not started")
        return self._process

    def _server_processes(self) -> list[psutil.Process]:
        if self._server_of is None:
            return []
        pid_file = self._server_of / "postgres" / "data" / "postmaster.pid"
        server = psutil.Process(int(pid_file.read_text().splitlines()[0]))
        return [server, *server.children(recursive=True)]
