"""The asking side of the web and the console: put a question on the road and follow it to its answer.

What happens in this process is heard through the mailbox; the outbox is read as well, so that an answer
given by a worker elsewhere arrives all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID, uuid4

from pydantic import ValidationError

from bot.mailbox import (
    BODIES,
    AnswerBody,
    Letterbox,
    MailboxAdapter,
    NoticeBody,
    Posted,
    StatusShown,
    TextWritten,
)
from core.answers import Answer, Outcome, Passage, Turn, trace_id_for, turn_id_for
from core.errors import StorageUnavailableError
from core.messages import Author, Channel, Frozen, Message, MessagePosted, Thread
from core.ports import Effect

FIRST_POLL_SECONDS = 0.25
SLOWEST_POLL_SECONDS = 1.0
RECORD_WAIT_SECONDS = 2.0
"""The turn is recorded about when its answer is posted; readers of the record wait this long for it."""
RECORD_POLL_SECONDS = 0.05


class PostedEffects(Protocol):
    """What an asker reads of the outbox."""

    async def of_turn(self, turn_id: UUID) -> list[Effect]: ...


class RecordedTurns(Protocol):
    """What an asker reads of the turns."""

    async def get(self, turn_id: UUID) -> Turn | None: ...


class Answered(Frozen):
    """The end of a turn, as it is told to whoever asked.

    A notice (the model failed, the question was too long) is an abstention with the reason on record.
    """

    turn_id: UUID
    trace_id: str
    thread: str
    answer: Answer
    outcome: Outcome
    passages: tuple[Passage, ...] = ()


class NotAnsweredInTimeError(Exception):
    """Nothing final came before the deadline; the turn may still be under way."""

    def __init__(self, turn_id: UUID) -> None:
        super().__init__(f"turn {turn_id} has no answer yet")
        self.turn_id = turn_id


Progress = StatusShown | TextWritten | Answered


def make_question(
    channel: Channel, author: Author, text: str, *, thread: str | None = None, at: datetime | None = None
) -> Message:
    """A new message with an id of our own; without `thread` it begins one."""
    message_id = uuid4().hex
    return Message(
        id=message_id,
        thread=Thread(channel=channel, id=thread or message_id),
        author=author,
        text=text,
        at=at or datetime.now(UTC),
    )


class Asker:
    """Asks through one adapter. `timeout_seconds` counts from the question to the end of its answer."""

    def __init__(
        self, adapter: MailboxAdapter, *, outbox: PostedEffects, turns: RecordedTurns, timeout_seconds: float
    ) -> None:
        self._adapter = adapter
        self._outbox = outbox
        self._turns = turns
        self._timeout_seconds = timeout_seconds

    async def ask(self, question: Message, *, with_passages: bool = False) -> AsyncIterator[Progress]:
        """Store the question, then tell how it goes: status and text as they come, Answered at the end.

        Raises, before it returns, AdapterError and what the inbox raises when it cannot store; the
        iterator raises NotAnsweredInTimeError.
        """
        box = self._adapter.mailbox.subscribe(question.id)
        await self._adapter.receive(
            MessagePosted(
                delivery_id=f"{self._adapter.platform}/{question.id}", message=question, addressing="direct"
            )
        )
        return self._report(question, box, with_passages)

    async def _report(
        self, question: Message, box: Letterbox, with_passages: bool
    ) -> AsyncIterator[Progress]:
        turn_id = turn_id_for(question)
        deadline = asyncio.get_running_loop().time() + self._timeout_seconds
        async for news in self._follow(box, turn_id, deadline):
            if isinstance(news, AnswerBody | NoticeBody):
                yield await self._conclude(question, turn_id, news, with_passages)
                return
            yield news

    async def _follow(
        self, box: Letterbox, turn_id: UUID, deadline: float
    ) -> AsyncIterator[StatusShown | TextWritten | AnswerBody | NoticeBody]:
        pause = FIRST_POLL_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            news = await box.take(pause)
            for event in news:
                yield event.body if isinstance(event, Posted) else event
            if news:
                # Somebody in this process is at work and will tell us: reading the store can wait.
                pause = SLOWEST_POLL_SECONDS
                continue
            body = await self._read_posted(turn_id)
            if body is not None:
                yield body
            pause = min(pause * 1.5, SLOWEST_POLL_SECONDS)
        raise NotAnsweredInTimeError(turn_id)

    async def _read_posted(self, turn_id: UUID) -> AnswerBody | NoticeBody | None:
        try:
            effects = await self._outbox.of_turn(turn_id)
        except StorageUnavailableError:
            return None  # it comes back, or the deadline ends this
        for effect in effects:
            if effect.state == "sent" and effect.body is not None:
                try:
                    return BODIES.validate_python(effect.body)
                except ValidationError:
                    continue  # an open stream's effect has no final body yet
        return None

    async def _wait_for_record(self, turn_id: UUID) -> Turn | None:
        deadline = asyncio.get_running_loop().time() + RECORD_WAIT_SECONDS
        while (turn := await self._turns.get(turn_id)) is None:
            if asyncio.get_running_loop().time() >= deadline:
                return None
            await asyncio.sleep(RECORD_POLL_SECONDS)
        return turn

    async def _conclude(
        self, question: Message, turn_id: UUID, body: AnswerBody | NoticeBody, with_passages: bool
    ) -> Answered:
        passages: tuple[Passage, ...] = ()
        if isinstance(body, AnswerBody):
            answer = body.answer
            outcome: Outcome = "abstained" if answer.abstained else "answered"
            if with_passages:
                turn = await self._wait_for_record(turn_id)
                passages = turn.passages if turn else ()
        else:
            turn = await self._wait_for_record(turn_id)
            outcome = turn.outcome if turn and turn.outcome in ("failed", "refused") else "failed"
            reason = (turn.answer.reason if turn else None) or outcome
            answer = Answer(text=body.text, abstained=True, reason=reason)
        return Answered(
            turn_id=turn_id,
            trace_id=trace_id_for(turn_id),
            thread=question.thread.id,
            answer=answer,
            outcome=outcome,
            passages=passages,
        )
