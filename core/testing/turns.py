"""Turns without a database: the same promises, within one process."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from core.answers import Turn, turn_id_of
from core.inbox import Claim
from core.messages import Channel, Event, MessageDeleted, MessageEdited, MessageHeard, MessagePosted, Thread
from core.ports import Effect, Forgotten, Recollection
from core.testing.feedback import InMemoryFeedbackStore
from core.testing.inbox import InMemoryInbox, Item
from core.testing.outbox import InMemoryOutbox
from core.testing.positions import InMemoryChannelPositions

Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class Summary:
    """The running summary of a thread; `through` is the position of the last turn that it covers."""

    text: str
    turns: int
    through: int


class InMemoryTurnStore:
    """Implements core.ports.TurnStore; forgets in the other doubles too."""

    def __init__(
        self,
        inbox: InMemoryInbox,
        outbox: InMemoryOutbox,
        feedback: InMemoryFeedbackStore,
        positions: InMemoryChannelPositions | None = None,
        *,
        traces_again_seconds: float = 600.0,
    ) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self._feedback = feedback
        self._positions = positions or InMemoryChannelPositions()
        self._turns: dict[UUID, tuple[int, Turn]] = {}
        self._summaries: dict[Key, Summary] = {}
        self._recorded = 0
        self._traces_again_seconds = traces_again_seconds
        self._traces: dict[UUID, tuple[float, bool]] = {}

    async def record(self, claim: Claim, turn: Turn) -> None:
        self._inbox.require_held(claim)
        self._recorded += 1
        position = self._turns[turn.id][0] if turn.id in self._turns else self._recorded
        self._turns[turn.id] = (position, turn)

    async def get(self, turn_id: UUID) -> Turn | None:
        return self._turns[turn_id][1] if turn_id in self._turns else None

    async def takes_part(self, thread: Thread) -> bool:
        return bool(self._remembered(thread))

    async def recent_threads(self, platform: str, *, limit: int) -> list[Thread]:
        newest = sorted(self._turns.values(), key=lambda entry: entry[0], reverse=True)
        threads = [turn.thread for _, turn in newest if turn.thread.channel.platform == platform]
        return list(dict.fromkeys(threads[:limit]))

    async def recall(self, thread: Thread, *, limit: int) -> Recollection:
        summary = self._summaries.get(thread.key, Summary("", 0, -1))
        newer = [
            (position, turn) for position, turn in self._remembered(thread) if position > summary.through
        ]
        return Recollection(
            summary=summary.text,
            summary_turns=summary.turns,
            turns=tuple((turn.id, turn.question, turn.answer.text) for _, turn in newer[-limit:]),
        )

    async def remember_summary(
        self, thread: Thread, summary: str, through: UUID, *, base: Recollection | None = None
    ) -> bool:
        needed = [through]
        if base is not None:
            stored = self._summaries.get(thread.key)
            if (stored.turns if stored else 0) != base.summary_turns:
                return False
            ids = [turn_id for turn_id, _, _ in base.turns]
            needed = ids[: ids.index(through) + 1] if through in ids else needed
        known = {turn.id for _, turn in self._turns.values() if turn.thread.key == thread.key}
        if not known.issuperset(needed):
            return False
        last = max(self._turns[turn_id][0] for turn_id in needed)
        covered = sum(position <= last for position, _ in self._remembered(thread))
        self._summaries[thread.key] = Summary(summary, covered, last)
        return True

    async def forget_message(self, channel: Channel, message_id: str) -> list[Effect]:
        turn_id = turn_id_of(channel, message_id)
        self._inbox.cancel(channel, message_id)
        position, turn = self._turns.pop(turn_id, (0, None))
        if turn is not None:
            self._traces[turn_id] = (time.monotonic(), True)
            self._unsay(turn.thread, position)
            summary = self._summaries.get(turn.thread.key)
            if summary is not None and summary.through >= position:
                del self._summaries[turn.thread.key]
        self._feedback.forget_turn(turn_id)
        return self._outbox.forget_turn(turn_id)

    def _unsay(self, thread: Thread, position: int) -> None:
        """A later question was searched for in words that may be the forgotten one's."""
        for turn_id, (place, turn) in self._turns.items():
            is_later = turn.thread.key == thread.key and place > position
            if is_later and turn.query.lower() != turn.question.lower():
                unsaid = turn.model_copy(update={"query": turn.question, "spans": ()})
                self._turns[turn_id] = (place, unsaid)
                self._traces[turn_id] = (time.monotonic(), True)

    async def forget_author(self, platform: str, workspace: str, author: str) -> Forgotten:
        turns = [turn for turn in self._in(platform, workspace) if turn.author.id == author]
        events = self._inbox.open_events(platform, workspace, lambda event: author_of(event) == author)
        rated = self._feedback.keys(platform, workspace, author=author)
        return await self._erase(turns, events, rated)

    async def forget_thread(self, thread: Thread) -> Forgotten:
        place = thread.channel
        turns = [t for t in self._in(place.platform, place.workspace) if t.thread.key == thread.key]
        events = self._inbox.open_events(
            place.platform,
            place.workspace,
            lambda event: (
                isinstance(event, MessagePosted | MessageEdited) and event.message.thread.key == thread.key
            ),
        )
        forgotten = await self._erase(turns, events, set())
        self._summaries.pop(thread.key, None)
        self._positions.forget_thread(thread)
        return forgotten

    async def forget_workspace(self, platform: str, workspace: str) -> Forgotten:
        events = self._inbox.open_events(platform, workspace, lambda event: True)
        rated = self._feedback.keys(platform, workspace)
        forgotten = await self._erase(self._in(platform, workspace), events, rated)
        self._summaries = {
            key: value for key, value in self._summaries.items() if key[:2] != (platform, workspace)
        }
        self._positions.forget_workspace(platform, workspace)
        return forgotten

    def _in(self, platform: str, workspace: str) -> list[Turn]:
        turns = [turn for _, turn in self._turns.values()]
        return [
            t
            for t in turns
            if (t.thread.channel.platform, t.thread.channel.workspace) == (platform, workspace)
        ]

    async def _erase(
        self, turns: Sequence[Turn], items: Sequence[Item], rated: set[tuple[UUID, str]]
    ) -> Forgotten:
        ratings = {
            (one.turn_id, one.author) for turn in turns for one in await self._feedback.of_turn(turn.id)
        }
        messages = {(turn.thread.channel, turn.question_message_id) for turn in turns}
        for item in items:
            if isinstance(item.event, MessagePosted | MessageEdited):
                messages.add((item.event.message.thread.channel, item.event.message.id))
        effects: list[Effect] = []
        for channel, message_id in messages:
            effects += await self.forget_message(channel, message_id)
        for item in items:
            if item.event is not None:
                item.end("cancelled", "erased")
                item.fence += 1
        self._feedback.drop(rated)
        return Forgotten(
            turns=len(turns), feedback=len(ratings | rated), events=len(items), effects=tuple(effects)
        )

    async def traces_to_forget(self, limit: int) -> list[UUID]:
        due = sorted((due, turn_id) for turn_id, (due, _) in self._traces.items() if due <= time.monotonic())
        return [turn_id for _, turn_id in due[:limit]]

    async def mark_traces_forgotten(self, turn_ids: Collection[UUID]) -> None:
        for turn_id in turn_ids:
            _, is_first = self._traces.pop(turn_id, (0.0, False))
            if is_first:
                self._traces[turn_id] = (time.monotonic() + self._traces_again_seconds, False)

    async def is_deleted(self, channel: Channel, message_id: str) -> bool:
        return self._feedback.is_forgotten(turn_id_of(channel, message_id))

    async def export(self) -> AsyncIterator[Turn]:
        for _, turn in sorted(self._turns.values(), key=lambda stored: stored[0]):
            yield turn

    def _remembered(self, thread: Thread) -> list[tuple[int, Turn]]:
        stored = sorted(self._turns.values(), key=lambda stored: stored[0])
        return [
            (position, turn)
            for position, turn in stored
            if turn.thread.key == thread.key and turn.outcome in ("answered", "abstained")
        ]


def author_of(event: Event) -> str | None:
    """Who said or rated; a deletion has no author."""
    if isinstance(event, MessageDeleted):
        return None
    if isinstance(event, MessagePosted | MessageHeard | MessageEdited):
        return event.message.author.id
    return event.author.id
