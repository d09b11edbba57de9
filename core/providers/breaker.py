"""When to leave a failing model alone. Pure but for the clock it is given; one breaker per model and process."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import structlog

FAILURES_UNTIL_OPEN = 5
FAILURES_WITHIN_SECONDS = 30.0
SECONDS_BETWEEN_PROBES = 10.0

OnChange = Callable[[str, bool], None]
"""Told the model's name, and whether it is left alone from now on."""

log = structlog.get_logger(__name__)


class CircuitBreaker:
    """Closed: every call goes out. After 5 failures within 30 s without a success between them it opens:
    one call every 10 s goes out as a probe, the others are refused at once. One success closes it.

    Each process learns for itself: what it saves is the waiting of its own turns.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        probe_seconds: float = SECONDS_BETWEEN_PROBES,
        on_change: OnChange = lambda name, is_open: None,
    ) -> None:
        self._name = name
        self._clock = clock
        self._probe_seconds = probe_seconds
        self._on_change = on_change
        self._failures: deque[float] = deque(maxlen=FAILURES_UNTIL_OPEN)
        self._next_probe: float | None = None

    @property
    def is_open(self) -> bool:
        return self._next_probe is not None

    def admit(self) -> bool:
        """Whether a call may go out now; an admitted call while open is the probe."""
        if self._next_probe is None:
            return True
        now = self._clock()
        if now < self._next_probe:
            return False
        self._next_probe = now + self._probe_seconds
        return True

    def note_success(self) -> None:
        """A call came to its proper end."""
        self._failures.clear()
        if self._next_probe is not None:
            self._next_probe = None
            log.info("model_is_back", model=self._name)
            self._on_change(self._name, False)

    def note_failure(self) -> None:
        """A call failed through the provider's fault."""
        now = self._clock()
        self._failures.append(now)
        if self._next_probe is not None or len(self._failures) < FAILURES_UNTIL_OPEN:
            return
        if now - self._failures[0] <= FAILURES_WITHIN_SECONDS:
            self._next_probe = now + self._probe_seconds
            log.warning("model_left_alone", model=self._name, probe_in_seconds=self._probe_seconds)
            self._on_change(self._name, True)
