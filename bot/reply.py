"""The way out of one reply: outbox first, then the platform, so that nothing shows twice.

Every visible message is an outbox effect with a stable id. A row is `sending`, committed, before the
platform is called; what an earlier attempt may have posted is looked for before anything is posted again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import count
from uuid import UUID, uuid5

import structlog

from bot.adapter import (
    Adapter,
    AdapterError,
    Delivery,
    MessageGoneError,
    Rendered,
    ReplyTarget,
    UndecidableError,
)
from bot.delivery import AnswerLapsedError, Delivering
from bot.early_text import USUAL_PATIENCE, EarlyText, Patience
from bot.metrics import Metrics
from bot.refusals import Refusals
from core import notices
from core.answers import Turn
from core.inbox import Claim
from core.ports import Effect, Outbox, Purpose

log = structlog.get_logger(__name__)


def effect_id_for(turn_id: UUID, purpose: Purpose, part: int) -> UUID:
    """The same message of the same reply has the same id in every process and after every crash."""
    return uuid5(turn_id, f"{purpose}/{part}")


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
        self._fresh = fresh
        self._replaces = replaces
        self._shown: list[str] = []
        self.was_removed = False
        self.may_be_missing = False
        self._delivering = Delivering(
            adapter,
            outbox,
            metrics,
            refusals,
            claim,
            target.thread.channel,
            post_until=post_until,
            fresh=fresh,
        )
        first = self._effect(Rendered(body={}), "answer", 0, state="sending")
        self._early = EarlyText(
            adapter,
            outbox,
            claim,
            first,
            self._delivery(first, Rendered(body={})),
            self._delivering.note_error,
            patience,
        )

    def require_welcome(self) -> None:
        """Raises what posting would, where it is known that the platform refuses us: nothing is called."""
        self._delivering.require_welcome()

    def is_too_late(self) -> bool:
        """Whether the question is too old for anything new."""
        return self._delivering.is_too_late()

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
                self._delivering.note_error(error)

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
            message_id = await self._delivering.show_whole(
                effect, self._delivery(effect, rendered), self._early if effect.part == 0 else None
            )
        except UndecidableError as error:
            await self._leave_ambiguous(effect, error)
        except MessageGoneError:
            await self._leave_alone(effect)
        except AnswerLapsedError:
            await self._outbox.set_state(self._claim, effect.id, "planned")
            raise
        else:
            self._delivering.note_success()
            self._shown.append(message_id)
            await self._early.settle()
            await self._outbox.set_state(self._claim, effect.id, "sent", message_id, body=rendered.body)

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
                self._delivering.note_error(error)
                await self._outbox.set_state(self._claim, effect.id, "sent")

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
