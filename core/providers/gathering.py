"""Calls that cost little more for many than for one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Gathering(Generic[T, R]):
    """One call after the other: what is asked for while one is under way goes together into the next, `most` at a
    time. `call` gives a result for each item, in their order; what it raises, everybody who waits for it gets."""

    def __init__(self, call: Callable[[Sequence[T]], Awaitable[Sequence[R]]], *, most: int) -> None:
        self._call = call
        self._most = most
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._calling: asyncio.Task[None] | None = None

    async def ask(self, item: T) -> R:
        """The result for one item."""
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, result))
        if self._calling is None:
            self._calling = asyncio.create_task(self._call_until_nobody_waits(), name="gathered calls")
        return await result

    async def _call_until_nobody_waits(self) -> None:
        try:
            while self._waiting:
                taken, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                # Whoever gave up meanwhile is left out.
                if wanted := [(item, result) for item, result in taken if not result.done()]:
                    await self._call_for(wanted)
        finally:
            self._calling = None

    async def _call_for(self, wanted: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            found = await self._call([item for item, _ in wanted])
        except Exception as error:
            for _, result in wanted:
                if not result.done():
                    result.set_exception(error)
            return
        for (_, result), one in zip(wanted, found, strict=True):
            if not result.done():
                result.set_result(one)
