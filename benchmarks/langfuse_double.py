"""`python -m benchmarks.langfuse_double`: a loopback Langfuse in a process of its own, which yields to every other.

What it does with a batch of traces then delays neither the bot under measurement nor its loopback Slack and model: a
real Langfuse has a machine of its own. Prints its address; for each line in, `STATE TRACES`, a line out as soon as it
is in that state and as many traces have arrived since its start. Requests that hang when the state changes are served
in the new one. Ends with its input.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from typing import Literal, Self

from core.testing.langfuse_server import LangfuseServer

State = Literal["works", "fails", "hangs"]

ARRIVAL_SECONDS = 90.0
"""Longer than Threadlore's longest pause between two attempts."""

FAULTS: dict[str, tuple[int | None, float]] = {
    "works": (None, 0.0),
    "fails": (500, 0.0),
    "hangs": (None, 30.0),
}
"""The status and the delay in seconds of every answer."""


class LangfuseProcess:
    """The process as its parent sees it, running from entering to leaving."""

    def __init__(self) -> None:
        self.url = ""
        self._process: Process | None = None

    async def __aenter__(self) -> Self:
        command = [sys.executable, "-m", "benchmarks.langfuse_double"]
        self._process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
        self.url = await self._read(self._process)
        return self

    async def __aexit__(self, *error: object) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()

    async def be(self, state: State, *, with_traces: int = 0) -> None:
        """Returns when that is its state and so many traces are there. Raises RuntimeError if they do not come."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.write(f"{state} {with_traces}\n".encode())
        await self._read(process)

    async def _read(self, process: Process) -> str:
        assert process.stdout is not None
        line = await process.stdout.readline()
        if not line:
            raise RuntimeError("the loopback Langfuse has ended")
        return line.decode().strip()


async def until_arrived(server: LangfuseServer, traces: int) -> None:
    await server.wait_for(lambda: len({trace for trace, _ in server.observations}) >= traces, ARRIVAL_SECONDS)


async def main() -> None:
    os.nice(19)
    async with LangfuseServer() as server:
        print(server.url, flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            state, traces = line.split()
            server.break_with, server.delay_seconds = FAULTS[state]
            await until_arrived(server, int(traces))
            print(state, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
