"""How fast we may speak in one place: what a platform says about its limits holds for everything we send there."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

PACED_SECONDS = 1.0
PACED_FOR_SECONDS = 60.0


class SendBudget:
    """The turns to send, by place (a channel, say, or a method of a workspace).

    Nothing waits until the platform refuses a call for coming too soon. Then no call goes out before the
    time that the platform named, and after it one at a time, `paced_seconds` apart, until nothing has been
    refused for `paced_for_seconds`. Posts, edits and everything else sent to the place share its turns.

    What must be sent waits, in the order of asking (`turn`). What may as well be shown later, a text that is
    still being written, takes a turn only when nobody else wants it, and is otherwise told when to come
    back (`seconds_until_free`).
    """

    def __init__(
        self, *, paced_seconds: float = PACED_SECONDS, paced_for_seconds: float = PACED_FOR_SECONDS
    ) -> None:
        self._paced_seconds = paced_seconds
        self._paced_for_seconds = paced_for_seconds
        self._paces: dict[Hashable, _Pace] = {}

    async def turn(self, *places: Hashable) -> None:
        """Return when it is our turn in each of the places. May be cancelled: nothing is taken then."""
        for place in places:
            pace = self._pace_of(place)
            if pace is not None:
                await pace.wait(self._paced_seconds)

    def seconds_until_free(self, *places: Hashable) -> float:
        """0: the turn is taken. Otherwise how long to wait before asking again."""
        paces = [pace for place in places if (pace := self._pace_of(place)) is not None]
        wait = max((pace.seconds_until_free(self._paced_seconds) for pace in paces), default=0.0)
        if wait <= 0:
            for pace in paces:
                pace.not_before = _now() + self._paced_seconds
        return max(wait, 0.0)

    def note_refusal(self, place: Hashable, retry_after_seconds: float) -> None:
        """The platform asks for patience: nothing goes to the place before that."""
        pace = self._paces.setdefault(place, _Pace())
        pace.not_before = max(pace.not_before, _now() + retry_after_seconds)
        pace.paced_until = pace.not_before + self._paced_for_seconds

    def _pace_of(self, place: Hashable) -> _Pace | None:
        pace = self._paces.get(place)
        if pace is not None and pace.waiting == 0 and pace.paced_until < _now():
            del self._paces[place]
            return None
        return pace


class _Pace:
    """What is known of one place. `waiting`: how many want a turn."""

    def __init__(self) -> None:
        self.not_before = 0.0
        self.paced_until = 0.0
        self.waiting = 0
        self._queue = asyncio.Lock()

    async def wait(self, paced_seconds: float) -> None:
        self.waiting += 1
        try:
            async with self._queue:  # first come, first served
                while (wait := self.not_before - _now()) > 0:  # noqa: ASYNC110 - it moves on while we wait
                    await asyncio.sleep(wait)
                self.not_before = _now() + paced_seconds
        finally:
            self.waiting -= 1

    def seconds_until_free(self, paced_seconds: float) -> float:
        wait = self.not_before - _now()
        return max(wait, 0.0) + paced_seconds if self.waiting else wait


def _now() -> float:
    return asyncio.get_running_loop().time()
