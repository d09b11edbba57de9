"""Opens the visible reply to a question, for whoever has something to say there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from bot.adapter import Adapter, Capabilities, ReplyTarget
from bot.early_text import USUAL_PATIENCE, Patience
from bot.lease_guard import ItemLease, LeasedAdapter
from bot.metrics import Metrics
from bot.refusals import Refusals
from bot.reply import Reply
from core.answers import turn_id_for
from core.inbox import Claim
from core.messages import Channel, MessageEdited, MessagePosted
from core.ports import Outbox

Asking = MessagePosted | MessageEdited
"""The events that may ask something."""


class Replies:
    """Where and how long something may be said. `answer_max_age_seconds`: an older question gets nothing new."""

    def __init__(
        self,
        adapters: Mapping[str, Adapter],
        outbox: Outbox,
        metrics: Metrics,
        refusals: Refusals,
        *,
        answer_max_age_seconds: float = 3600.0,
        patience: Patience = USUAL_PATIENCE,
    ) -> None:
        self.patience = patience
        self._adapters = adapters
        self._outbox = outbox
        self._metrics = metrics
        self._refusals = refusals
        self._answer_max_age = timedelta(seconds=answer_max_age_seconds)

    def open(
        self, claim: Claim, event: Asking, lease: ItemLease, *, fresh: bool, replaces: bool = False
    ) -> Reply:
        """The reply to what the event asks; `fresh` and `replaces` as in Reply. Nothing is shown yet."""
        channel = event.message.thread.channel
        return Reply(
            LeasedAdapter(self._adapters[channel.platform], lease),
            self._outbox,
            self._metrics,
            claim,
            target_of(event),
            turn_id_for(event.message),
            refusals=self._refusals,
            post_until=self.post_until(claim, event),
            fresh=fresh,
            replaces=replaces,
            patience=self.patience,
        )

    def post_until(self, claim: Claim, event: Asking) -> datetime:
        """When the question is too old for anything new. An edit bears the time of the first text, and none of
        its own: what counts is when it reached us."""
        asked_at = event.message.at if isinstance(event, MessagePosted) else claim.received_at
        return asked_at + self._answer_max_age

    def capabilities_in(self, channel: Channel) -> Capabilities:
        """What can be done there."""
        return self._adapters[channel.platform].capabilities


def target_of(event: Asking) -> ReplyTarget:
    """Where and to whom the reply goes."""
    message = event.message
    return ReplyTarget(
        thread=message.thread,
        question_message_id=message.id,
        asker=message.author,
        reply_handle=event.reply_handle,
        only_author_sees=isinstance(event, MessagePosted) and event.only_author_sees,
    )
