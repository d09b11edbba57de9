"""The end of a question that cannot be answered: whoever asked is told, by the same road as an answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import structlog

from bot.adapter import Adapter, ReplyTarget
from bot.delivery import AnswerLapsedError, Reply
from bot.lease_guard import ItemLease, LeasedAdapter
from bot.metrics import Metrics
from bot.refusals import Refusals
from core import notices
from core.answers import turn_id_for
from core.inbox import Claim
from core.messages import Event, MessageEdited, MessagePosted
from core.ports import Outbox, TurnStore

log = structlog.get_logger(__name__)


class GivingUp:
    """Tells askers that there will be no answer. Safe to repeat after a crash."""

    def __init__(
        self,
        adapters: Mapping[str, Adapter],
        turns: TurnStore,
        outbox: Outbox,
        metrics: Metrics,
        refusals: Refusals,
        *,
        answer_max_age_seconds: float = 3600.0,
    ) -> None:
        self._adapters = adapters
        self._turns = turns
        self._outbox = outbox
        self._metrics = metrics
        self._refusals = refusals
        self._answer_max_age = timedelta(seconds=answer_max_age_seconds)

    async def tell(self, claim: Claim, lease: ItemLease) -> bool:
        """Show a plain notice under the question; False if there is nothing to say.

        Takes the place of an answer that is half shown, and leaves a whole one alone. Nothing is recorded:
        a question that is queued again is answered. Like answers, a notice is not posted when the question is
        too old. Raises what the delivery raises.
        """
        event = claim.event
        if not isinstance(event, MessagePosted | MessageEdited) or not await self._is_for_us(claim, event):
            return False
        message = event.message
        since = message.at if isinstance(event, MessagePosted) else claim.received_at
        target = ReplyTarget(
            thread=message.thread,
            question_message_id=message.id,
            asker=message.author,
            reply_handle=event.reply_handle if isinstance(event, MessagePosted) else None,
            only_author_sees=isinstance(event, MessagePosted) and event.only_author_sees,
        )
        adapter = LeasedAdapter(self._adapters[message.thread.channel.platform], lease)
        reply = Reply(
            adapter,
            self._outbox,
            self._metrics,
            claim,
            target,
            turn_id_for(message),
            refusals=self._refusals,
            post_until=since + self._answer_max_age,
            fresh=False,
        )
        try:
            reply.require_welcome()
            await reply.finish_with_notice(notices.BROKEN)
        except AnswerLapsedError:
            log.warning("notice_not_posted_too_late", received_at=claim.received_at.isoformat())
            return False
        finally:
            await reply.abandon()
        return True

    async def _is_for_us(self, claim: Claim, event: Event) -> bool:
        if not isinstance(event, MessagePosted | MessageEdited) or claim.deleted:
            return False
        message = event.message
        if message.author.is_bot or message.author.is_self or event.addressing is None:
            return False
        return event.addressing != "thread" or await self._turns.takes_part(message.thread)
