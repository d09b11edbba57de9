"""The port to a tracing system, as a Protocol like those of core.ports. The real one is in core/providers, its
double in core/testing; both pass the same contract tests."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol
from uuid import UUID

from core.answers import Feedback, Turn


class Tracer(Protocol):
    """Sends what happened to a tracing system, off the path: never slow, never raising."""

    @property
    def enabled(self) -> bool: ...

    def record_turn(self, turn: Turn) -> None:
        """Queue the turn as one trace with a span per step."""
        ...

    async def deliver_feedback(self, feedback: Sequence[Feedback]) -> list[Feedback]:
        """Send each as an idempotent score of its turn's trace (a withdrawn one is removed);
        returns those that arrived."""
        ...

    async def forget_turns(self, turn_ids: Collection[UUID]) -> bool:
        """Remove the traces of these turns with their scores, also what is still queued here. Asking again
        does no harm. False: not reached, to be asked again."""
        ...

    async def aclose(self, timeout_seconds: float) -> None:
        """Flush what is queued, for at most that long."""
        ...
