"""A web server on loopback that answers by path, knows conditional requests, and remembers what was asked."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class LoopbackSite:
    port: int = 0
    pages: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)
    """(path, status) in the order of the requests."""

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def page(self, path: str, body: str | bytes, media_type: str = "text/html; charset=utf-8") -> None:
        self.pages[path] = (body.encode() if isinstance(body, str) else body, media_type)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = request.split(" ")[1]
        body, media_type = self.pages.get(path, (b"", "text/plain"))
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        status = self.statuses.get(path, 200 if path in self.pages else 404)
        if status == 200 and f"if-none-match: {etag}".lower() in request.lower():
            status, body = 304, b""
        self.asked.append((path, status))
        if path in self.redirects:
            target = self.redirects[path].encode().decode("latin-1")
            writer.write(
                f"HTTP/1.1 302 X\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n".encode("latin-1")
            )
            writer.close()
            return
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {media_type}\r\netag: {etag}\r\ncontent-length: {len(body)}"
        writer.write(f"{head}\r\nconnection: close\r\n\r\n".encode() + body)
        writer.close()


@asynccontextmanager
async def open_site() -> AsyncIterator[LoopbackSite]:
    site = LoopbackSite()
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()
