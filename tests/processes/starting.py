"""How tests start `threadlore`: on its true command line, or forked from a warm parent, which costs a tenth."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tests.processes.forking import ROOT, start_forked


class Process(Protocol):
    """A process that a test has started: what asyncio's and a forked one have in common."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    @property
    def stdout(self) -> asyncio.StreamReader | None: ...
    def send_signal(self, signal: int, /) -> None: ...
    def kill(self) -> None: ...
    async def wait(self) -> int: ...
    async def communicate(self, text: bytes = b"", /) -> tuple[bytes, bytes]: ...


async def start_threadlore(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    stdin: int = subprocess.DEVNULL,
    stderr: int = subprocess.PIPE,
    is_cold: bool = False,
) -> Process:
    """`threadlore ...` in this folder with this environment, its output in a pipe. `is_cold`: an interpreter of
    its own, as for an operator; otherwise it has been forked after the imports."""
    if not is_cold:
        return await start_forked(
            arguments, environment=environment, folder=folder, stdin=stdin, stderr=stderr
        )
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        *arguments,
        env={**environment, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=stderr,
    )
