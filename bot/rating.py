"""What happens to feedback: it finds its turn, and is folded into one rating."""

from __future__ import annotations

from uuid import UUID

import structlog

from bot.endings import ATTEMPTS_TO_FIND_THE_TURN, Ended, TurnNotRecordedYetError
from bot.metrics import Metrics
from core.inbox import Claim
from core.messages import FeedbackGiven, FeedbackWithdrawn
from core.ports import FeedbackStore, Outbox, TurnStore

log = structlog.get_logger(__name__)


class Rating:
    """Takes reactions and buttons in. Feedback is data for people: it never changes an answer."""

    def __init__(self, feedback: FeedbackStore, turns: TurnStore, outbox: Outbox, metrics: Metrics) -> None:
        self._feedback = feedback
        self._turns = turns
        self._outbox = outbox
        self._metrics = metrics

    async def take(self, claim: Claim, event: FeedbackGiven | FeedbackWithdrawn) -> Ended:
        """Fold one mark in. Raises TurnNotRecordedYetError while the turn may still appear."""
        if event.author.is_bot or event.author.is_self:
            return "ignored", "rated by a bot"
        turn_id = await self._turn_of(event)
        turn = await self._turns.get(turn_id) if turn_id is not None else None
        if turn is None:
            if claim.attempts < ATTEMPTS_TO_FIND_THE_TURN:
                raise TurnNotRecordedYetError
            return "ignored", "not under an answer of ours"
        place = turn.thread.channel
        if (place.platform, place.workspace) != (event.channel.platform, event.channel.workspace):
            return "ignored", "the answer belongs to another workspace"
        now = await self._feedback.apply(turn.id, event)
        counted = str(event.rating) if isinstance(event, FeedbackGiven) else "withdrawn"
        self._metrics.feedback.labels(place.platform, counted).inc()
        log.info(
            "feedback_recorded",
            turn_id=str(turn.id),
            trace_id=turn.trace_id,
            via=event.via,
            symbol=event.symbol,
            stands=now.rating if now is not None and now.withdrawn_at is None else None,
        )
        return "recorded", ""

    async def _turn_of(self, event: FeedbackGiven | FeedbackWithdrawn) -> UUID | None:
        if event.turn_id is not None:
            return event.turn_id
        if event.message_id is not None:
            return await self._outbox.turn_of_message(event.channel, event.message_id)
        return None
