"""Faults that a test orders for the next calls of a method, and the record of all calls."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Literal

from bot.testing.slack.state import Json

Reset = Literal["before", "after"]


@dataclass
class Fault:
    """What happens instead of, or after, the real thing.

    `error`: Slack's code. `status`: an HTTP status with a body that is no JSON. `retry_after_seconds`:
    a 429. `reset`: the connection is cut before the call is accepted, or after. `delay_seconds` comes first.
    `held`: the call is accepted, and its answer kept back until this is set.
    """

    error: str | None = None
    status: int | None = None
    retry_after_seconds: float | None = None
    reset: Reset | None = None
    delay_seconds: float = 0.0
    held: asyncio.Event | None = None
    times: float = 1


@dataclass(frozen=True)
class ApiCall:
    """One call as it came in. `at` is the loop's time in seconds."""

    method: str
    body: Json
    at: float


class Faults:
    """Faults by method, first ordered first served."""

    def __init__(self) -> None:
        self._ordered: dict[str, deque[Fault]] = defaultdict(deque)

    def order(self, method: str, fault: Fault) -> None:
        self._ordered[method].append(fault)

    def order_for_good(self, method: str, fault: Fault) -> None:
        fault.times = math.inf
        self._ordered[method].append(fault)

    def clear(self) -> None:
        self._ordered.clear()

    def next(self, method: str) -> Fault | None:
        ordered = self._ordered.get(method)
        if not ordered:
            return None
        fault = ordered[0]
        fault.times -= 1
        if fault.times <= 0:
            ordered.popleft()
        return fault
