"""Parses documents of untrusted formats (PDF, Word, Excel, PowerPoint, HTML) in a child process with limits on memory, CPU, time and
output. One child serves many documents, one after the other; a document that breaks it costs only itself."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress
from typing import Any

import structlog

from core.errors import SourceError
from core.knowledge.documents import Document
from core.knowledge.loading import fingerprint
from core.knowledge.loading.child import OUT_OF_MEMORY, TOO_MUCH_TEXT
from core.knowledge.sources import Content
from core.messages import Frozen

log = structlog.get_logger(__name__)


class ParsingLimits(Frozen):
    """What one document may cost."""

    memory_bytes: int = 512 * 2**20
    cpu_seconds: int = 30
    wall_seconds: float = 60.0
    output_bytes: int = 32 * 2**20
    documents_per_child: int = 500


class _BrokenError(Exception):
    """The child ended before it had replied."""


class DocumentParser:
    """Starts its child with the first document; `rest` ends it."""

    def __init__(self, limits: ParsingLimits | None = None) -> None:
        self._limits = limits or ParsingLimits()
        self._turn = asyncio.Lock()
        self._child: asyncio.subprocess.Process | None = None
        self._parsed = 0

    async def parse(self, content: Content, uri: str, *, slicing: str = "") -> Document:
        """The document; `slicing` goes into its content hash. Raises SourceError, also for one that costs more than it may."""
        async with self._turn:
            child = await self._running()
            try:
                async with asyncio.timeout(self._limits.wall_seconds):
                    reply = await self._ask(child, content, uri)
            except TimeoutError as error:
                await self._kill()
                log.warning("parsing_took_too_long", uri=uri)
                seconds = f"{self._limits.wall_seconds:g} seconds"
                raise SourceError(uri, f"The document takes longer than {seconds} to be read.") from error
            except (_BrokenError, OSError) as error:
                code = await self._ended(child)
                log.warning("parser_ended", uri=uri, code=code)
                raise SourceError(uri, _reason_of(code, self._limits)) from error
            except asyncio.CancelledError:
                await self._kill()  # its reply would be taken for that of the next document
                raise
            self._parsed += 1
            if self._parsed >= self._limits.documents_per_child or reply.get("reason") == OUT_OF_MEMORY:
                await self._kill()
        if "reason" in reply:
            raise SourceError(uri, str(reply["reason"]))
        return Document(uri=uri, content_hash=fingerprint(content.data, slicing), **reply)

    async def rest(self) -> None:
        """End the child after the document that it is at; the next document starts another."""
        async with self._turn:
            await self._kill()

    async def _kill(self) -> None:
        child, self._child, self._parsed = self._child, None, 0
        if child is not None:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    async def _running(self) -> asyncio.subprocess.Process:
        if self._child is None:
            limits = self._limits
            self._child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "core.knowledge.loading.child"),
                *(str(limits.memory_bytes), str(limits.cpu_seconds), str(limits.output_bytes)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                # Nothing of our settings: what a document may do to the child, it cannot read them there.
                env={"PYTHONPATH": os.pathsep.join(entry or "." for entry in sys.path)},
                start_new_session=True,
            )
        return self._child

    async def _ask(self, child: asyncio.subprocess.Process, content: Content, uri: str) -> dict[str, Any]:
        assert child.stdin is not None  # noqa: S101 - both are pipes
        assert child.stdout is not None  # noqa: S101
        request = {"uri": uri, **content.for_loading(), "size": len(content.data)}
        del request["data"]
        child.stdin.write(json.dumps(request).encode() + b"\n" + content.data)
        await child.stdin.drain()
        try:
            size = int(json.loads(await child.stdout.readline() or b"{}").get("size", -1))
            if size < 0:
                raise _BrokenError
            if size > self._limits.output_bytes:
                await self._kill()
                return {"reason": TOO_MUCH_TEXT}
            reply: dict[str, Any] = json.loads(await child.stdout.readexactly(size))
        except (ValueError, asyncio.IncompleteReadError) as error:
            raise _BrokenError from error
        return reply

    async def _ended(self, child: asyncio.subprocess.Process) -> int:
        """Its exit code, once it is gone for certain."""
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await child.wait()
        await self._kill()
        return child.returncode or 0


def _reason_of(code: int, limits: ParsingLimits) -> str:
    if -code == 24:  # SIGXCPU
        return f"The document takes more than {limits.cpu_seconds} seconds of computing to be read."
    return "The document breaks the program that reads it."
