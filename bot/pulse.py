"""Whether the loops of a worker go round, as opposed to whether they exist, and how late the event loop is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

LOOK_SECONDS = 0.1


class Pulse:
    """Each loop says when it begins a round; one that has not for too long is stuck."""

    def __init__(self, longest_round_seconds: float) -> None:
        self._longest_round_seconds = longest_round_seconds
        self._began: dict[str, float] = {}

    def beat(self, loop: str) -> None:
        """A round begins."""
        self._began[loop] = time.monotonic()

    def stuck(self) -> set[str]:
        """The loops whose round has taken too long."""
        now = time.monotonic()
        return {loop for loop, began in self._began.items() if now - began > self._longest_round_seconds}


async def watch_event_loop(note_lag: Callable[[float], None]) -> None:
    """For ever: tell by how many seconds a task of ten a second came too late to its turn. What holds it up holds
    up everything else in the process."""
    while True:
        due = time.monotonic() + LOOK_SECONDS
        await asyncio.sleep(LOOK_SECONDS)
        note_lag(max(0.0, time.monotonic() - due))
