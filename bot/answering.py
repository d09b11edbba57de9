"""What happens to a posted or edited message: is it for us, what is the answer, show it, record it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator, Sequence
from datetime import UTC, datetime
from uuid import UUID

import structlog

from bot.adapter import Adapter, AdapterError
from bot.delivery import AnswerLapsedError, DeliveryRefusedError
from bot.endings import Ended
from bot.lease_guard import ItemLease
from bot.metrics import Metrics
from bot.replies import Asking, Replies
from bot.reply import Reply
from core import notices
from core.answers import Turn, trace_id_for, turn_id_for
from core.assistant import Assistant, Question
from core.errors import LeaseLostError, StorageError
from core.inbox import Claim
from core.limits import QuestionLimits, Refusal
from core.logs import bind
from core.messages import Message, MessageEdited, MessagePosted
from core.ports import Outbox, TurnStore
from core.traces import Tracer

EARLIER_MESSAGES = 20
"""How much of a thread is read when we are summoned into the middle of it."""
PART_UNKNOWN = "a part may or may not be visible"
THINKING = "is looking it up…"

log = structlog.get_logger(__name__)


class Answering:
    """Turns messages into visible replies and recorded turns. Safe to repeat after a crash."""

    def __init__(
        self,
        replies: Replies,
        assistant: Assistant,
        turns: TurnStore,
        outbox: Outbox,
        tracer: Tracer,
        metrics: Metrics,
        *,
        limits: QuestionLimits | None = None,
    ) -> None:
        self._replies = replies
        self._assistant = assistant
        self._turns = turns
        self._outbox = outbox
        self._tracer = tracer
        self._metrics = metrics
        self._limits = limits
        self._aside: set[asyncio.Task[None]] = set()

    async def take_posted(self, claim: Claim, event: MessagePosted, lease: ItemLease) -> Ended:
        """Answer a new message, or say why it is not for us."""
        message = event.message
        if message.author.is_self or message.author.is_bot:
            return "ignored", "written by a bot"
        if claim.deleted:
            return "cancelled", "deleted before it was answered"
        if claim.attempts == 1 and await self._turns.get(turn_id_for(message)) is not None:
            return "ignored", "its edit came first and was answered"
        if event.addressing == "thread" and not await self._turns.takes_part(message.thread):
            return "ignored", "in a thread that is not ours"
        refusal = await self._judge(claim, event)
        if refusal and not refusal.tell and event.addressing != "command":
            # The notice of this minute has told the asker. A command is shown as under way until it is answered.
            return "refused", refusal.reason
        return await self._reply(claim, event, lease, refusal=refusal)

    async def take_edited(self, claim: Claim, event: MessageEdited, lease: ItemLease) -> Ended:
        """Answer anew, in place, when the question of a turn has changed; answer if it is for us only now."""
        message = event.message
        if message.author.is_self or message.author.is_bot or event.addressing is None:
            return "ignored", "not for us"
        if claim.deleted:
            return "cancelled", "deleted before it was answered"
        known = await self._turns.get(turn_id_for(message))
        if known is not None and known.question == message.text:
            return "ignored", "the question is the same"
        if known is None and event.addressing == "thread":
            return "ignored", "not a question of ours"
        if not self._replies.capabilities_in(message.thread.channel).edits:
            return "ignored", "the platform cannot change a reply"
        refusal = await self._judge(claim, event)
        if refusal and (known is not None or not refusal.tell):
            return "refused", refusal.reason  # an answer that stands there stays
        return await self._reply(claim, event, lease, refusal=refusal, replaces=known is not None)

    async def _reply(
        self,
        claim: Claim,
        event: Asking,
        lease: ItemLease,
        *,
        refusal: Refusal | None,
        replaces: bool = False,
    ) -> Ended:
        turn_id = turn_id_for(event.message)
        fresh = claim.attempts == 1 and not replaces  # nobody has worked on it before us
        turn, replaces = (None, replaces) if fresh or replaces else await self._look_back(turn_id)
        reply = self._replies.open(claim, event, lease, fresh=fresh, replaces=replaces)
        with bind(turn_id=str(turn_id), trace_id=trace_id_for(turn_id)):
            try:
                reply.require_welcome()
                if refusal is not None:
                    turn = await self._turn_down(claim, event.message, refusal)
                if turn is None and reply.is_too_late():
                    return await self._close_too_late(reply, nothing_half_shown=fresh or replaces)
                return await self._show(claim, event, reply, turn)
            except (LeaseLostError, asyncio.CancelledError):
                # The heartbeat may learn of a deletion before we do, and cancels us then.
                await self._take_back_if_deleted(event.message, reply)
                raise
            except AnswerLapsedError:
                log.warning("answer_not_posted_too_late", received_at=claim.received_at.isoformat())
                return "expired", "the question is older than answers may be"
            except DeliveryRefusedError as error:
                self._metrics.silent_endings.labels(reply.adapter.platform).inc()
                return "failed", f"the platform refused the reply: {error}"
            finally:
                await reply.abandon()

    async def _show(self, claim: Claim, event: Asking, reply: Reply, turn: Turn | None) -> Ended:
        """Show the turn; where it is not known yet, think first."""
        with contextlib.ExitStack() as while_waiting:
            if turn is None:
                while_waiting.enter_context(self._show_status_soon(reply))
                turn = await self._think(claim, event, reply)
            await reply.finish(turn)
        if reply.was_removed:
            await self._turns.forget_message(event.message.thread.channel, event.message.id)
            return "cancelled", "the reply was removed by somebody"
        self._account(claim, turn)
        return turn.outcome, PART_UNKNOWN if reply.may_be_missing else turn.answer.reason or ""

    async def _close_too_late(self, reply: Reply, *, nothing_half_shown: bool) -> Ended:
        """Nothing new is posted, and no model is asked; what is half shown gets an end."""
        if nothing_half_shown:
            raise AnswerLapsedError
        await reply.finish_with_notice(notices.TOO_LATE)
        return "expired", "closed with a notice"

    async def _look_back(self, turn_id: UUID) -> tuple[Turn | None, bool]:
        """The turn, if an earlier attempt has recorded it; without one, whether a notice was shown that
        there would be no answer: nothing else is whole before there is a turn."""
        turn = await self._turns.get(turn_id)
        effects = await self._outbox.of_turn(turn_id) if turn is None else []
        return turn, any(effect.state == "sent" for effect in effects)

    async def _take_back_if_deleted(self, message: Message, reply: Reply) -> None:
        """What was shown and not yet recorded when the question was deleted is known to nobody else."""
        with contextlib.suppress(StorageError):
            await reply.abandon()
        with contextlib.suppress(StorageError):
            if await self._turns.is_deleted(message.thread.channel, message.id):
                await reply.take_back()

    async def _judge(self, claim: Claim, event: Asking) -> Refusal | None:
        """Whether the question is one too many of its author. Counted once, however often it is tried, and
        not at all when it is too old to be answered."""
        channel = event.message.thread.channel
        if (
            self._limits is None
            or claim.attempts > 1
            or not self._replies.capabilities_in(channel).knows_people
        ):
            return None
        if datetime.now(UTC) >= self._replies.post_until(claim, event):
            return None
        refusal = await self._limits.admit(event.message)
        if refusal is not None:
            self._metrics.too_many.labels(channel.platform, refusal.limit).inc()
        return refusal

    async def _turn_down(self, claim: Claim, message: Message, refusal: Refusal) -> Turn:
        """The recorded turn that says so, without any thinking."""
        turn = self._assistant.refuse(_question_of(message), refusal.notice, refusal.reason)
        await self._turns.record(claim, turn)
        return turn

    async def _think(self, claim: Claim, event: Asking, reply: Reply) -> Turn:
        message, earlier = event.message, list[Message]()
        midway = isinstance(event, MessagePosted) and event.summoned_midway
        if midway and reply.adapter.capabilities.thread_history:
            earlier = await self._read_thread(reply.adapter, message)
        turn = await self._assistant.answer(_question_of(message, earlier), reply.show)
        await self._turns.record(claim, turn)
        return turn

    async def _read_thread(self, adapter: Adapter, message: Message) -> list[Message]:
        if await self._turns.takes_part(message.thread):
            return []  # what was said since we joined is in the thread's own memory
        try:
            return await adapter.fetch_thread(message, EARLIER_MESSAGES)
        except AdapterError as error:
            log.warning("thread_not_read", error=type(error).__name__)
            return []

    @contextlib.contextmanager
    def _show_status_soon(self, reply: Reply) -> Iterator[None]:
        """A sign of life, unless the answer is there first."""
        if not reply.adapter.capabilities.status:
            yield
            return
        timer = asyncio.get_running_loop().call_later(
            self._replies.patience.status, lambda: self._do_aside(self._show_status(reply))
        )
        try:
            yield
        finally:
            timer.cancel()

    async def _show_status(self, reply: Reply) -> None:
        try:
            await reply.adapter.show_status(reply.target, THINKING)
        except AdapterError as error:
            log.info("status_not_shown", error=type(error).__name__)

    def _account(self, claim: Claim, turn: Turn) -> None:
        """What follows from a shown answer: trace, figures, one log line, the thread's summary."""
        platform = turn.thread.channel.platform
        seconds = (datetime.now(UTC) - claim.received_at).total_seconds()
        self._metrics.turn_seconds.labels(platform).observe(seconds)
        self._metrics.tokens.labels(turn.model, "in").inc(turn.use.input_tokens)
        self._metrics.tokens.labels(turn.model, "out").inc(turn.use.output_tokens)
        self._metrics.cost.labels(turn.model).inc(turn.use.cost_usd or 0)
        if turn.outcome == "answered" and turn.answer.reason:
            self._metrics.quoted.labels(turn.answer.reason).inc()
        self._tracer.record_turn(turn)
        log.info(
            "turn_ended",
            platform=platform,
            outcome=turn.outcome,
            reason=turn.answer.reason,
            citations=len(turn.answer.citations),
            passages=len(turn.passages),
            model=turn.model,
            input_tokens=turn.use.input_tokens,
            output_tokens=turn.use.output_tokens,
            seconds=round(seconds, 3),
            steps={span.name: round(span.ended_seconds - span.started_seconds, 4) for span in turn.spans},
        )
        self._do_aside(self._assistant.remember(turn.thread))

    def _do_aside(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)

    async def aclose(self) -> None:
        """Leave no task behind; what is cut short is made up for after the next turn."""
        for task in self._aside:
            task.cancel()
        await asyncio.gather(*self._aside, return_exceptions=True)


def _question_of(message: Message, earlier: Sequence[Message] = ()) -> Question:
    return Question(
        turn_id=turn_id_for(message),
        message_id=message.id,
        thread=message.thread,
        author=message.author,
        text=message.text,
        asked_at=message.at,
        earlier=tuple(earlier),
    )
