"""One message of a reply made visible, once: what may have been posted is looked for, limits are waited out, and what
nobody can decide is left alone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import structlog

from bot.adapter import (
    Adapter,
    AdapterError,
    Delivery,
    ForbiddenError,
    MessageGoneError,
    RateLimitedError,
    UnauthorizedError,
    UnavailableError,
    UndecidableError,
)
from bot.early_text import EarlyText
from bot.metrics import Metrics
from bot.refusals import Refusals
from core.inbox import Claim
from core.messages import Channel
from core.ports import Effect, Outbox

ATTEMPTS = 4
LONGEST_WAIT_SECONDS = 60.0

log = structlog.get_logger(__name__)


class DeliveryPostponedError(Exception):
    """The platform cannot take the message now; worth another try after `after_seconds`."""

    def __init__(self, reason: str, after_seconds: float) -> None:
        super().__init__(reason)
        self.after_seconds = after_seconds


class DeliveryRefusedError(Exception):
    """The platform will not take the message, now or later: no permission, no channel."""


class AnswerLapsedError(Exception):
    """The question is too old by now: what is not visible yet is not posted any more."""


class Delivering:
    """Makes the messages of one reply visible, through whatever the platform does.

    `fresh`: no earlier attempt can have posted anything. From `post_until` on nothing new is posted.
    """

    def __init__(
        self,
        adapter: Adapter,
        outbox: Outbox,
        metrics: Metrics,
        refusals: Refusals,
        claim: Claim,
        channel: Channel,
        *,
        post_until: datetime,
        fresh: bool,
    ) -> None:
        self._adapter = adapter
        self._outbox = outbox
        self._metrics = metrics
        self._refusals = refusals
        self._claim = claim
        self._channel = channel
        self._post_until = post_until
        self._fresh = fresh

    def require_welcome(self) -> None:
        """Raises what posting would, where it is known that the platform refuses us: nothing is called."""
        if rest := self._refusals.token_rests_seconds(self._adapter.platform, self._token):
            raise DeliveryPostponedError("the token is refused", after_seconds=rest)
        if self._refusals.rests(self._channel):
            raise DeliveryRefusedError("left alone after refusals")

    def is_too_late(self) -> bool:
        """Whether the question is too old for anything new."""
        return datetime.now(UTC) >= self._post_until

    async def show_whole(self, effect: Effect, delivery: Delivery, early: EarlyText | None) -> str:
        """Make the message visible in its final form, once; returns its id. `early`: what is shown of it already, if it
        may have been streamed.

        Raises UndecidableError, MessageGoneError, and what waiting longer is no use for: DeliveryPostponedError,
        DeliveryRefusedError, AnswerLapsedError."""
        stream = early.take_stream() if early is not None else None
        was_begun = effect.state in ("sending", "ambiguous")
        may_be_posted = was_begun and (not self._fresh or (early is not None and early.failed))
        message_id = effect.message_id or (early.message_id if early is not None else None)
        attempt, waited_seconds = 1, 0.0
        while True:
            try:
                if stream is not None:
                    return await stream.close(delivery.rendered)
                is_first_try = attempt == 1 and not waited_seconds
                just_planned = early is not None and is_first_try and effect.state == "sending"
                return await self._post_once(delivery, message_id, may_be_posted, just_planned=just_planned)
            except (UndecidableError, MessageGoneError):
                raise
            except AdapterError as error:
                may_be_posted = may_be_posted or stream is not None or _may_have_worked(error)
                stream = None
                if early is not None:
                    message_id = message_id or early.message_id
                unsure = effect if may_be_posted and message_id is None else None
                waited_seconds += await self._wait_or_give_up(error, attempt, waited_seconds, unsure)
                attempt += not isinstance(error, RateLimitedError)

    def note_error(self, error: AdapterError) -> None:
        """A call about the channel failed."""
        self._refusals.note(self._channel, self._token, error)
        name = type(error).__name__
        log.warning("delivery_failed", error=name, detail=str(error)[:200])
        self._metrics.delivery_errors.labels(self._adapter.platform, name).inc()
        if _may_have_worked(error):
            self._metrics.ambiguous.labels(self._adapter.platform).inc()

    def note_success(self) -> None:
        """A call about the channel worked."""
        self._refusals.note_success(self._channel, self._token)

    # --- inside -------------------------------------------------------------------------------------

    async def _post_once(
        self, delivery: Delivery, message_id: str | None, may_be_posted: bool, just_planned: bool
    ) -> str:
        if message_id is None and may_be_posted:
            known = await self._outbox.message_ids(delivery.target.thread)
            delivery = delivery.model_copy(update={"known_message_ids": frozenset(known)})
            message_id = await self._adapter.find_posted(delivery)
            log.info("post_reconciled", found=message_id is not None, part=delivery.part)
        if message_id is None:
            if self.is_too_late():
                raise AnswerLapsedError
            if not just_planned:
                await self._outbox.set_state(self._claim, delivery.effect_id, "sending")
            return await self._adapter.post(delivery)
        await self._adapter.edit(delivery, message_id)
        return message_id

    async def _wait_or_give_up(
        self, error: AdapterError, attempt: int, waited_seconds: float, unsure: Effect | None
    ) -> float:
        """Returns the seconds that it waited. To be asked for patience is no failed attempt. `unsure`: the
        effect, if it may be visible all the same; should nobody come back to it, that is what is recorded."""
        self.note_error(error)
        if isinstance(error, ForbiddenError):
            raise DeliveryRefusedError(type(error).__name__) from error
        if isinstance(error, UnauthorizedError):
            # Operators can give us another token; until then not a single call.
            rest = self._refusals.token_rests_seconds(self._adapter.platform, self._token)
            raise DeliveryPostponedError(type(error).__name__, after_seconds=rest) from error
        is_last = attempt == ATTEMPTS
        wait: float = 0.5 * 2**attempt
        if isinstance(error, RateLimitedError):
            is_last, wait = False, error.retry_after_seconds
        if is_last or waited_seconds + wait > LONGEST_WAIT_SECONDS:
            if unsure is not None:
                await self._outbox.set_state(self._claim, unsure.id, "ambiguous")
            raise DeliveryPostponedError(type(error).__name__, after_seconds=wait) from error
        await asyncio.sleep(wait)
        return wait

    @property
    def _token(self) -> str:
        """What the token that we send with serves: one workspace, or the whole platform."""
        capabilities = self._adapter.capabilities
        return self._channel.workspace if capabilities.token_per_workspace else ""


def _may_have_worked(error: AdapterError) -> bool:
    return isinstance(error, UnavailableError) and error.maybe_accepted
