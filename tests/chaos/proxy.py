"""A TCP proxy that misbehaves on demand: before Postgres, before a platform or a model, and, with several
ways on, as the load balancer before replicas."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Self

CHUNK_BYTES = 65536
DRIP_SECONDS = 0.05

Mode = Literal["pass", "stall", "drip", "refuse"]
Address = tuple[str, int] | str
"""(host, port), or the path of a Unix socket."""


@dataclass(eq=False)
class Link:
    """One connection through the proxy."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter

    def cut(self) -> None:
        """A reset on both sides: nothing that was under way arrives."""
        for writer in (self.near, self.far):
            with contextlib.suppress(RuntimeError):
                writer.transport.abort()


class Proxy:
    """Listens on a free port; `upstreams` says, for each new connection, where it may lead, best first.

    `mode`: `pass` on everything; `stall`, keep connections and swallow what comes, as a half-open link does;
    `drip`, one byte at a time; `refuse` new connections. `answers_lost` cuts each connection when the far end
    begins to answer: the request was carried out, and its sender is not told.
    """

    def __init__(self, upstreams: Callable[[], Sequence[Address]]) -> None:
        self._upstreams = upstreams
        self._server: asyncio.Server | None = None
        self._links: set[Link] = set()
        self._turn = 0
        self._passing = asyncio.Event()
        self._mode: Mode = "pass"
        self.answers_lost = 0
        self.port = 0
        self._passing.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._passing.set()
        if self._server is not None:
            self._server.close()
        self.cut()

    @property
    def mode(self) -> Mode:
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._mode = mode
        if mode == "stall":
            self._passing.clear()
        else:
            self._passing.set()

    def cut(self) -> int:
        """Reset every connection; how many there were."""
        links = list(self._links)
        for link in links:
            link.cut()
        return len(links)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened = None if self._mode == "refuse" else await self._open()
        if opened is None:
            writer.transport.abort()
            return
        link = Link(writer, opened[1])
        self._links.add(link)
        try:
            forward = asyncio.create_task(self._pump(reader, link.far, link, answers=False))
            back = asyncio.create_task(self._pump(opened[0], writer, link, answers=True))
            await asyncio.wait({forward, back}, return_when=asyncio.FIRST_COMPLETED)
            for pump in (forward, back):
                pump.cancel()
            await asyncio.gather(forward, back, return_exceptions=True)
        finally:
            self._links.discard(link)
            for side in (link.near, link.far):
                side.close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """The first way that accepts, taking turns."""
        ways = list(self._upstreams())
        self._turn += 1
        for number in range(len(ways)):
            way = ways[(self._turn + number) % len(ways)]
            with contextlib.suppress(OSError):
                if isinstance(way, str):
                    return await asyncio.open_unix_connection(way)
                return await asyncio.open_connection(*way)
        return None

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: Link, *, answers: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 if self._mode == "drip" else CHUNK_BYTES):
                await self._passing.wait()
                if answers and self.answers_lost > 0:
                    self.answers_lost -= 1
                    link.cut()
                    return
                if self._mode == "drip":
                    await asyncio.sleep(DRIP_SECONDS)
                writer.write(data)
                await writer.drain()
