"""What happens to a deletion: the message, and everything that came of it, is gone."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import structlog

from bot.adapter import (
    Adapter,
    Delivery,
    ForbiddenError,
    MessageGoneError,
    Rendered,
    ReplyTarget,
    UnauthorizedError,
)
from bot.endings import ATTEMPTS_TO_FIND_THE_TURN, Ended, TurnNotRecordedYetError
from core.inbox import Claim
from core.messages import Author, MessageDeleted, Thread
from core.ports import Effect, Outbox, TurnStore

NOBODY = Author(id="")

log = structlog.get_logger(__name__)


class Forgetting:
    """Erases what derives from a deleted message: a question with our reply to it, or a reply of ours that
    somebody removed, with its question's turn."""

    def __init__(self, adapters: Mapping[str, Adapter], turns: TurnStore, outbox: Outbox) -> None:
        self._adapters = adapters
        self._turns = turns
        self._outbox = outbox

    async def take(self, claim: Claim, event: MessageDeleted) -> Ended:
        """Erase first, then remove what is visible. Raises AdapterError when that is worth another try, and
        TurnNotRecordedYetError for a reply of ours whose turn may still appear.

        The erased record still knows the ids of our posts, so a repeated attempt removes what is left.
        """
        answered = await self._outbox.turn_of_message(event.channel, event.message_id)
        question_id = event.message_id if answered is None else await self._question_of(claim, answered)
        if question_id is None:
            return "recorded", "a reply whose turn is gone already"
        effects = await self._turns.forget_message(event.channel, question_id)
        removed = 0
        if self._adapters[event.channel.platform].capabilities.deletes:
            for effect in effects:
                removed += await self._remove(claim, effect, question_id)
        if effects:
            log.info("message_forgotten", replies_removed=removed)
        return "recorded", f"{removed} replies removed"

    async def _question_of(self, claim: Claim, turn_id: UUID) -> str | None:
        """The message that a turn answers; None when the turn has been forgotten."""
        turn = await self._turns.get(turn_id)
        if turn is not None:
            return turn.question_message_id
        if claim.attempts < ATTEMPTS_TO_FIND_THE_TURN:
            raise TurnNotRecordedYetError
        return None

    async def _remove(self, claim: Claim, effect: Effect, question_id: str) -> int:
        adapter = self._adapters[effect.channel.platform]
        message_id = effect.message_id or await self._find(adapter, effect, question_id)
        if message_id is None:
            return 0
        try:
            await adapter.delete(effect.channel, message_id)
        except MessageGoneError:
            return 0
        except (ForbiddenError, UnauthorizedError) as error:
            log.warning("reply_not_removed", error=type(error).__name__)
            return 0
        # The platform tells us of this removal too: then nobody need look for its turn.
        await self._outbox.set_state(claim, effect.id, "removed", message_id)
        return 1

    async def _find(self, adapter: Adapter, effect: Effect, question_id: str) -> str | None:
        """A post that was accepted by the platform just before its worker was cut off."""
        thread = Thread(channel=effect.channel, id=effect.thread_id)
        target = ReplyTarget(thread=thread, question_message_id=question_id, asker=NOBODY)
        known = await self._outbox.message_ids(thread)
        delivery = Delivery(
            effect_id=effect.id,
            turn_id=effect.turn_id,
            # Only what is surely this effect: the next question of the thread may be being answered.
            part=max(effect.part, 1),
            target=target,
            rendered=Rendered(body=effect.body or {}),
            known_message_ids=frozenset(known),
        )
        try:
            return await adapter.find_posted(delivery)
        except (ForbiddenError, UnauthorizedError, MessageGoneError) as error:
            log.warning("reply_not_looked_for", error=type(error).__name__)
            return None
