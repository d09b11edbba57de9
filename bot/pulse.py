"""Whether the loops of a worker go round, as opposed to whether they exist."""

from __future__ import annotations

import time


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
