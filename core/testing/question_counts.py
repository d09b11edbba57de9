"""Question counts in memory, for tests. The clock gives seconds since the epoch; days are those of UTC."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from core.limits import QuestionCount

Person = tuple[str, str, str]


class InMemoryQuestionCounter:
    """Implements core.limits.QuestionCounter."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._known: dict[Person, tuple[int, int, int, int]] = {}

    async def count(
        self, platform: str, workspace: str, person: str, *, asked_at: datetime, per_minute: int | None
    ) -> QuestionCount:
        now = int(self._clock())
        minute, day = min(now, int(asked_at.timestamp())) // 60, now // 86_400
        last_minute, in_minute, last_day, in_day = self._known.get(
            (platform, workspace, person), (minute, 0, day, 0)
        )
        in_minute = in_minute if last_minute >= minute else 0
        in_day = in_day if last_day == day else 0
        if last_minute > minute or per_minute is None or in_minute < per_minute or not in_day:
            in_day += 1
        in_minute += last_minute <= minute
        self._known[platform, workspace, person] = (max(minute, last_minute), in_minute, day, in_day)
        return QuestionCount(in_minute=in_minute if last_minute <= minute else 0, in_day=in_day)
