"""The stores of the road together, and the steps that contract tests take again and again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from core.answers import Turn
from core.inbox import Claim, Inbox
from core.listening import ChannelPositions, RecentThreads
from core.messages import Event, Message
from core.ports import FeedbackStore, Outbox, TurnStore
from core.testing.making import make_message, make_posted

LONG_LEASE = timedelta(minutes=5).total_seconds()


class Turns(TurnStore, RecentThreads, Protocol):
    """Both ports of the stores of turns."""


@dataclass
class Road:
    """The stores, and the steps that tests take again and again."""

    inbox: Inbox
    outbox: Outbox
    turns: Turns
    feedback: FeedbackStore
    positions: ChannelPositions

    async def claim(self, *, limit: int = 10, lease_seconds: float = LONG_LEASE) -> list[Claim]:
        return await self.inbox.claim(platforms=["console"], limit=limit, lease_seconds=lease_seconds)

    async def claim_event(self, event: Event | None = None) -> Claim:
        """Put an event in and claim it."""
        assert await self.inbox.put(event or make_posted())
        (claim,) = await self.claim()
        return claim

    async def record(self, turn: Turn) -> Turn:
        """Take a turn through the inbox; its message counts as asked and answered."""
        claim = await self.claim_event(make_posted(_message_of(turn)))
        await self.turns.record(claim, turn)
        await self.inbox.finish(claim, "answered")
        return turn


def _message_of(turn: Turn) -> Message:
    return make_message(turn.question, thread=turn.thread, id=turn.question_message_id)
