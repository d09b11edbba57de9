"""The end of a question that cannot be answered: whoever asked is told, by the same road as an answer."""

from __future__ import annotations

import structlog

from bot.delivery import AnswerLapsedError
from bot.lease_guard import ItemLease
from bot.replies import Asking, Replies
from core import notices
from core.inbox import Claim
from core.messages import MessageEdited, MessagePosted
from core.ports import TurnStore

log = structlog.get_logger(__name__)


class GivingUp:
    """Tells askers that there will be no answer. Safe to repeat after a crash."""

    def __init__(self, replies: Replies, turns: TurnStore) -> None:
        self._replies = replies
        self._turns = turns

    async def tell(self, claim: Claim, lease: ItemLease) -> bool:
        """Show a plain notice under the question; False if there is nothing to say.

        Takes the place of an answer that is half shown, and leaves a whole one alone. Nothing is recorded:
        a question that is queued again is answered. Like answers, a notice is not posted when the question is
        too old. Raises what the delivery raises.
        """
        event = claim.event
        if not isinstance(event, MessagePosted | MessageEdited) or not await self._is_for_us(claim, event):
            return False
        reply = self._replies.open(claim, event, lease, fresh=False)
        try:
            reply.require_welcome()
            await reply.finish_with_notice(notices.BROKEN)
        except AnswerLapsedError:
            log.warning("notice_not_posted_too_late", received_at=claim.received_at.isoformat())
            return False
        finally:
            await reply.abandon()
        return True

    async def _is_for_us(self, claim: Claim, event: Asking) -> bool:
        message = event.message
        if claim.deleted or message.author.is_bot or message.author.is_self or event.addressing is None:
            return False
        return event.addressing != "thread" or await self._turns.takes_part(message.thread)
