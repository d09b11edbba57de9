"""Feedback without a database: the same promises, within one process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from core.answers import Feedback
from core.feedback import Marks, fold_mark, standing_feedback
from core.messages import FeedbackGiven, FeedbackWithdrawn

Key = tuple[UUID, str]


class InMemoryFeedbackStore:
    """Implements core.ports.FeedbackStore."""

    def __init__(self) -> None:
        self._marks: dict[Key, Marks] = {}
        self._standing: dict[Key, Feedback] = {}
        self._untraced: list[Key] = []
        self._forgotten: set[UUID] = set()

    async def apply(self, turn_id: UUID, event: FeedbackGiven | FeedbackWithdrawn) -> Feedback | None:
        if turn_id in self._forgotten:
            return None
        key = (turn_id, event.author.id)
        before = self._marks.get(key, ())
        after = fold_mark(before, event)
        standing = standing_feedback(
            after,
            turn_id=turn_id,
            platform=event.channel.platform,
            workspace=event.channel.workspace,
            author=event.author.id,
        )
        if after != before:
            self._marks[key] = after
            if standing is not None:
                self._standing[key] = standing
                self._untraced = [*(other for other in self._untraced if other != key), key]
        return standing

    async def of_turn(self, turn_id: UUID) -> list[Feedback]:
        return [one for one in self._ordered() if one.turn_id == turn_id]

    async def untraced(self, limit: int) -> list[Feedback]:
        return [self._standing[key] for key in self._untraced[:limit]]

    async def mark_traced(self, feedback: Sequence[Feedback]) -> None:
        as_read = {(one.turn_id, one.author): one for one in feedback}
        self._untraced = [key for key in self._untraced if as_read.get(key) != self._standing[key]]

    async def export(self) -> AsyncIterator[Feedback]:
        for one in self._ordered():
            yield one

    def _ordered(self) -> list[Feedback]:
        return sorted(self._standing.values(), key=lambda one: (one.at, one.turn_id, one.author))

    # --- for the other doubles ------------------------------------------------------------------

    def forget_turn(self, turn_id: UUID) -> None:
        """Drop what was thought of the turn, and refuse what comes later."""
        self._forgotten.add(turn_id)
        self._untraced = [key for key in self._untraced if key[0] != turn_id]
        for stored in (self._marks, self._standing):
            for key in [key for key in stored if key[0] == turn_id]:
                del stored[key]

    def keys(self, platform: str, workspace: str, *, author: str | None = None) -> set[Key]:
        """What was rated in a workspace, by one author or by all."""
        return {
            key
            for key, one in self._standing.items()
            if (one.platform, one.workspace) == (platform, workspace) and author in (None, one.author)
        }

    def drop(self, keys: set[Key]) -> None:
        """Forget these ratings; their turns stay."""
        self._untraced = [key for key in self._untraced if key not in keys]
        for stored in (self._marks, self._standing):
            for key in keys & set(stored):
                del stored[key]

    def is_forgotten(self, turn_id: UUID) -> bool:
        return turn_id in self._forgotten
