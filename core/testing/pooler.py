"""A pooler in front of a Postgres, as PgBouncer is in transaction mode: a client has a server only until its
transaction is over, and the next one may get another."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import Self

STARTUP = struct.Struct("!I")
HEAD = struct.Struct("!cI")
NO_TLS = 80877103
READY, IDLE, QUERY, SYNC, LEAVE = b"Z", b"I", b"Q", b"S", b"X"
REFUSED = b"SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: %s\0\0"

Server = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Frame = tuple[bytes, bytes]


class TransactionPooler:
    """Listens on a free port of 127.0.0.1, before the server at this socket, which must let its user in without
    a password.

    `lets_settings_through` off refuses every setting that a client brings along, as PgBouncer does.
    """

    def __init__(self, socket: str, *, lets_settings_through: bool = True) -> None:
        self._socket = socket
        self._lets_settings_through = lets_settings_through
        self._idle: list[Server] = []
        self._listening: asyncio.Server | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        self._listening = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._listening.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._listening is not None:
            self._listening.close()
        for _, writer in self._idle:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            startup = await _read_startup(reader, writer)
            brought = [name for name in (b"statement_timeout", b"hnsw.") if name in startup]
            if brought and not self._lets_settings_through:
                body = REFUSED % brought[0]
                writer.write(HEAD.pack(b"E", len(body) + 4) + body)
            else:
                # The first server says who it is; it goes to the pool like every other.
                self._idle.append(await self._connect(startup, writer))
                await self._take_turns(reader, writer, startup)
        writer.close()

    async def _take_turns(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, startup: bytes
    ) -> None:
        """Until the client leaves: a server for it from its first word to the end of the transaction."""
        server: Server | None = None
        answered: asyncio.Task[Frame] | None = None
        unanswered = 0
        asked = asyncio.create_task(_read_frame(reader))
        while True:
            waiting = {asked} if answered is None else {asked, answered}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                kind, frame = asked.result()
                if server is None:
                    server = self._idle.pop() if self._idle else await self._connect(startup)
                    answered = asyncio.create_task(_read_frame(server[0]))
                server[1].write(frame)
                unanswered += kind in (QUERY, SYNC)
                asked = asyncio.create_task(_read_frame(reader))
            if server is not None and answered is not None and answered.done():
                kind, frame = answered.result()
                writer.write(frame)
                unanswered -= kind == READY
                if kind == READY and frame[5:6] == IDLE and not unanswered:
                    self._idle.append(server)
                    server = answered = None
                else:
                    answered = asyncio.create_task(_read_frame(server[0]))

    async def _connect(self, startup: bytes, writer: asyncio.StreamWriter | None = None) -> Server:
        """Log in at the server; `writer` is told how that goes."""
        server = await asyncio.open_unix_connection(self._socket)
        server[1].write(startup)
        await _pass_until_ready(server[0], writer)
        return server


async def _read_startup(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    while True:
        (length,) = STARTUP.unpack(head := await reader.readexactly(4))
        body = await reader.readexactly(length - 4)
        if STARTUP.unpack(body[:4])[0] != NO_TLS:
            return head + body
        writer.write(b"N")


async def _read_frame(reader: asyncio.StreamReader) -> Frame:
    """The next frame and its kind. Raises ConnectionResetError when the client takes its leave."""
    kind, length = HEAD.unpack(head := await reader.readexactly(5))
    if kind == LEAVE:
        raise ConnectionResetError("the client leaves")
    return kind, head + await reader.readexactly(length - 4)


async def _pass_until_ready(server: asyncio.StreamReader, writer: asyncio.StreamWriter | None) -> None:
    """Hand on what the server says to the login."""
    kind = b""
    while kind != READY:
        kind, frame = await _read_frame(server)
        if writer is not None:
            writer.write(frame)
