"""The way out of one reply: outbox first, then the platform, so that nothing shows twice.

Every visible message is an outbox effect with a stable id. A row is `sending`, committed, before the
platform is called; what an earlier attempt may have posted is looked for before anything is posted again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from itertools import count
from uuid import UUID, uuid5

import structlog

from bot.adapter import (
    Adapter,
    AdapterError,
    Delivery,
    ForbiddenError,
    MessageGoneError,
    RateLimitedError,
    Rendered,
    ReplyTarget,
    UnauthorizedError,
    UnavailableError,
    UndecidableError,
)
from bot.early_text import USUAL_PATIENCE, EarlyText, Patience
from bot.metrics import Metrics
from bot.refusals import Refusals
from core import notices
from core.answers import Turn
from core.inbox import Claim
from core.ports import Effect, Outbox, Purpose

ATTEMPTS = 4
LONGEST_WAIT_SECONDS = 60.0

log = structlog.get_logger(__name__)


def effect_id_for(turn_id: UUID, purpose: Purpose, part: int) -> UUID:
    """The same message of the same reply has the same id in every process and after every crash."""
    return uuid5(turn_id, f"{purpose}/{part}")


class DeliveryPostponedError(Exception):
    """The platform cannot take the message now; worth another try after `after_seconds`."""

    def __init__(self, reason: str, after_seconds: float) -> None:
        super().__init__(reason)
        self.after_seconds = after_seconds


class DeliveryRefusedError(Exception):
    """The platform will not take the message, now or later: no permission, no channel."""


class AnswerLapsedError(Exception):
    """The question is too old by now: what is not visible yet is not posted any more."""


class Reply:
    """The visible reply to one turn, from the first life sign to the last part.

    `fresh` says that no earlier attempt can have posted anything; `replaces`, that a whole reply stands
    there already and is to be changed in place. `was_removed`: somebody has deleted it, which is their
    answer: nothing more is posted. `may_be_missing`: nobody can tell whether a part of it is visible.
    From `post_until` on nothing new is posted; what is visible is still finished.
    """

    def __init__(
        self,
        adapter: Adapter,
        outbox: Outbox,
        metrics: Metrics,
        claim: Claim,
        target: ReplyTarget,
        turn_id: UUID,
        *,
        refusals: Refusals,
        post_until: datetime,
        fresh: bool,
        replaces: bool = False,
        patience: Patience = USUAL_PATIENCE,
    ) -> None:
        self.adapter = adapter
        self._outbox = outbox
        self._metrics = metrics
        self._claim = claim
        self.target = target
        self._turn_id = turn_id
        self._refusals = refusals
        self._post_until = post_until
        self._fresh = fresh
        self._replaces = replaces
        self._shown: list[str] = []
        self.was_removed = False
        self.may_be_missing = False
        first = self._effect(Rendered(body={}), "answer", 0, state="sending")
        self._early = EarlyText(
            adapter,
            outbox,
            claim,
            first,
            self._delivery(first, Rendered(body={})),
            self._count,
            patience,
        )

    def require_welcome(self) -> None:
        """Raises what posting would, where it is known that the platform refuses us: nothing is called."""
        if rest := self._refusals.token_rests_seconds(self.adapter.platform, self._token):
            raise DeliveryPostponedError("the token is refused", after_seconds=rest)
        if self._refusals.rests(self.target.thread.channel):
            raise DeliveryRefusedError("left alone after refusals")

    def is_too_late(self) -> bool:
        """Whether the question is too old for anything new."""
        return datetime.now(UTC) >= self._post_until

    def show(self, text_so_far: str) -> None:
        """Show the answer as it stands. Does nothing where the platform or the attempt allows no stream."""
        if self._fresh and self.adapter.capabilities.streams:
            self._early.show(text_so_far)

    async def finish(self, turn: Turn) -> None:
        """Show the whole answer. Raises DeliveryPostponedError, DeliveryRefusedError, AnswerLapsedError,
        LeaseLostError."""
        rendered: Sequence[Rendered] = ()
        if turn.outcome in ("answered", "abstained") and turn.answer.text.strip():
            rendered = self.adapter.render_answer(turn.answer, turn.id)
        if rendered:
            await self._finish("answer", rendered)
        else:
            await self.finish_with_notice(turn.answer.text.strip() or notices.BROKEN)

    async def finish_with_notice(self, text: str) -> None:
        """Say this instead of an answer, in place of what is shown already. Raises as `finish` does."""
        await self._finish("notice", [self.adapter.render_notice(text)])

    async def _finish(self, purpose: Purpose, rendered: Sequence[Rendered]) -> None:
        await self._early.stop()
        if await self._finish_stream(rendered):
            return
        earlier = [] if self._fresh else await self._outbox.of_turn(self._turn_id)
        # A notice that follows a half-shown answer takes its place: the stream's effect stays the first.
        begun = self._early.planned or any(e.purpose == "answer" and e.part == 0 for e in earlier)
        first: Purpose = "answer" if begun else purpose
        # A part that an earlier, shorter answer did without is gone; its number is not used again.
        spent = {effect.part for effect in earlier if effect.state == "removed"} - {0}
        effects = await self._outbox.plan(self._claim, self._effects(rendered, purpose, first, spent))
        for effect, body in zip(effects, rendered, strict=True):
            if not self.was_removed:
                await self._deliver(effect, body)
        await self._remove_surplus(earlier, {effect.id for effect in effects})

    async def _finish_stream(self, rendered: Sequence[Rendered]) -> bool:
        """The short way of most replies: the stream is the whole of it, and its effect is planned already."""
        if not self._early.is_open or len(rendered) != 1:
            return False
        planned = self._effect(rendered[0], "answer", 0, state="sending")
        await self._deliver(planned, rendered[0])
        return True

    async def take_back(self) -> None:
        """Remove what this reply has shown: its question was deleted, and nobody else knows of it."""
        for message_id in dict.fromkeys([*self._shown, self._early.message_id]):
            if message_id is None:
                continue
            try:
                await self.adapter.delete(self.target.thread.channel, message_id)
            except AdapterError as error:
                self._count(error)

    async def abandon(self) -> None:
        """Stop showing text; what is visible stays as it is."""
        await self._early.settle()
        await self._early.stop()

    # --- the messages -----------------------------------------------------------------------------

    async def _deliver(self, effect: Effect, rendered: Rendered) -> None:
        if effect.state == "removed":
            self.was_removed = True
        if effect.state == "removed" or (effect.state == "sent" and not self._replaces):
            return
        try:
            message_id = await self._show_whole(effect, rendered)
        except UndecidableError as error:
            await self._leave_ambiguous(effect, error)
        except MessageGoneError:
            await self._leave_alone(effect)
        except AnswerLapsedError:
            await self._outbox.set_state(self._claim, effect.id, "planned")
            raise
        else:
            self._refusals.note_success(effect.channel, self._token)
            self._shown.append(message_id)
            await self._early.settle()
            await self._outbox.set_state(self._claim, effect.id, "sent", message_id, body=rendered.body)

    async def _show_whole(self, effect: Effect, rendered: Rendered) -> str:
        """Make the message visible in its final form, once; returns its id."""
        delivery = self._delivery(effect, rendered)
        is_first = effect.part == 0
        stream = self._early.take_stream() if is_first else None
        was_begun = effect.state in ("sending", "ambiguous")
        may_be_posted = was_begun and (not self._fresh or (is_first and self._early.failed))
        message_id = effect.message_id or (self._early.message_id if is_first else None)
        attempt, waited_seconds = 1, 0.0
        while True:
            try:
                if stream is not None:
                    return await stream.close(rendered)
                just_planned = is_first and attempt == 1 and not waited_seconds and effect.state == "sending"
                return await self._post_once(delivery, message_id, may_be_posted, just_planned=just_planned)
            except (UndecidableError, MessageGoneError):
                raise
            except AdapterError as error:
                may_be_posted = may_be_posted or stream is not None or _may_have_worked(error)
                stream = None
                if is_first:
                    message_id = message_id or self._early.message_id
                unsure = effect if may_be_posted and message_id is None else None
                waited_seconds += await self._wait_or_give_up(error, attempt, waited_seconds, unsure)
                attempt += not isinstance(error, RateLimitedError)

    async def _post_once(
        self, delivery: Delivery, message_id: str | None, may_be_posted: bool, just_planned: bool
    ) -> str:
        if message_id is None and may_be_posted:
            known = await self._outbox.message_ids(delivery.target.thread)
            delivery = delivery.model_copy(update={"known_message_ids": frozenset(known)})
            message_id = await self.adapter.find_posted(delivery)
            log.info("post_reconciled", found=message_id is not None, part=delivery.part)
        if message_id is None:
            if self.is_too_late():
                raise AnswerLapsedError
            if not just_planned:
                await self._outbox.set_state(self._claim, delivery.effect_id, "sending")
            return await self.adapter.post(delivery)
        await self.adapter.edit(delivery, message_id)
        return message_id

    async def _leave_ambiguous(self, effect: Effect, error: UndecidableError) -> None:
        """It may be visible, and whether it is cannot be found out: posting it again could show it twice."""
        self.may_be_missing = True
        self._metrics.ambiguous.labels(self.adapter.platform).inc()
        await self._early.settle()
        await self._outbox.set_state(self._claim, effect.id, "ambiguous")
        log.error("post_undecidable", part=effect.part, detail=str(error))

    async def _leave_alone(self, effect: Effect) -> None:
        self.was_removed = True
        await self._early.settle()
        await self._outbox.set_state(self._claim, effect.id, "removed")
        log.info("reply_was_removed", part=effect.part)

    async def _remove_surplus(self, earlier: Sequence[Effect], current: set[UUID]) -> None:
        """A new answer may be shorter than the one it replaces."""
        for effect in earlier:
            if effect.id in current or effect.message_id is None or effect.state == "removed":
                continue
            # First the state: the platform tells us of the removal, and it must not look like somebody else's.
            await self._outbox.set_state(self._claim, effect.id, "removed")
            try:
                await self.adapter.delete(effect.channel, effect.message_id)
            except MessageGoneError:
                continue
            except AdapterError as error:
                self._count(error)
                await self._outbox.set_state(self._claim, effect.id, "sent")

    async def _wait_or_give_up(
        self, error: AdapterError, attempt: int, waited_seconds: float, unsure: Effect | None
    ) -> float:
        """Returns the seconds that it waited. To be asked for patience is no failed attempt. `unsure`: the
        effect, if it may be visible all the same; should nobody come back to it, that is what is recorded."""
        self._count(error)
        if isinstance(error, ForbiddenError):
            raise DeliveryRefusedError(type(error).__name__) from error
        if isinstance(error, UnauthorizedError):
            # Operators can give us another token; until then not a single call.
            rest = self._refusals.token_rests_seconds(self.adapter.platform, self._token)
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

    # --- values -----------------------------------------------------------------------------------

    def _effects(
        self, rendered: Sequence[Rendered], purpose: Purpose, first: Purpose, spent: Collection[int]
    ) -> list[Effect]:
        parts = (part for part in count() if part not in spent)
        return [
            self._effect(body, purpose if part else first, part, state="planned" if part else "sending")
            for part, body in zip(parts, rendered, strict=False)
        ]

    def _effect(self, rendered: Rendered, purpose: Purpose, part: int, *, state: str) -> Effect:
        return Effect(
            id=effect_id_for(self._turn_id, purpose, part),
            turn_id=self._turn_id,
            channel=self.target.thread.channel,
            thread_id=self.target.thread.id,
            purpose=purpose,
            part=part,
            state="sending" if state == "sending" else "planned",
            body=rendered.body or None,
        )

    def _delivery(self, effect: Effect, rendered: Rendered) -> Delivery:
        return Delivery(
            effect_id=effect.id,
            turn_id=self._turn_id,
            part=effect.part,
            target=self.target,
            rendered=rendered,
        )

    @property
    def _token(self) -> str:
        """What the token that we send with serves: one workspace, or the whole platform."""
        capabilities = self.adapter.capabilities
        return self.target.thread.channel.workspace if capabilities.token_per_workspace else ""

    def _count(self, error: AdapterError) -> None:
        self._refusals.note(self.target.thread.channel, self._token, error)
        name = type(error).__name__
        log.warning("delivery_failed", error=name, detail=str(error)[:200])
        self._metrics.delivery_errors.labels(self.adapter.platform, name).inc()
        if isinstance(error, UnavailableError) and error.maybe_accepted:
            self._metrics.ambiguous.labels(self.adapter.platform).inc()


def _may_have_worked(error: AdapterError) -> bool:
    return isinstance(error, UnavailableError) and error.maybe_accepted
