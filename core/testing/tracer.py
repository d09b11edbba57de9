"""A tracer that keeps what it is given, in place of a tracing system."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from core.answers import Feedback, Turn


class RecordingTracer:
    """Implements core.traces.Tracer. `turns` as recorded; `scores` as they stand, by turn and author.

    While `reachable` is false nothing arrives: turns are counted in `lost`, feedback is not accepted.
    """

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.scores: dict[tuple[UUID, str], Feedback] = {}
        self.reachable = True
        self.lost = 0
        self.closed = False

    @property
    def enabled(self) -> bool:
        return True

    def record_turn(self, turn: Turn) -> None:
        if self.reachable:
            self.turns.append(turn)
        else:
            self.lost += 1

    async def deliver_feedback(self, feedback: Sequence[Feedback]) -> list[Feedback]:
        if not self.reachable:
            return []
        for item in feedback:
            key = (item.turn_id, f"{item.platform}/{item.workspace}/{item.author}")
            if item.withdrawn_at is not None:
                self.scores.pop(key, None)
            else:
                self.scores[key] = item
        return list(feedback)

    async def forget_turns(self, turn_ids: Collection[UUID]) -> bool:
        if not self.reachable:
            return False
        self.turns = [turn for turn in self.turns if turn.id not in turn_ids]
        self.scores = {key: item for key, item in self.scores.items() if key[0] not in turn_ids}
        return True

    async def aclose(self, timeout_seconds: float) -> None:
        self.closed = True
