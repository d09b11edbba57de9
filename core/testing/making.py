"""Made-up values of the road for tests, with sensible defaults for everything that a test does not name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID, uuid5

from core.answers import Answer, Citation, Outcome, Passage, Span, TokenUse, Turn, trace_id_for, turn_id_for
from core.messages import (
    Addressing,
    Author,
    Channel,
    FeedbackGiven,
    FeedbackWithdrawn,
    Message,
    MessageDeleted,
    MessageEdited,
    MessagePosted,
    Rating,
    Thread,
    Via,
)
from core.ports import Effect, EffectState, Purpose

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
_numbers = count(1)


def make_number() -> int:
    """A number that no other call in this process has got."""
    return next(_numbers)


def make_channel(
    id: str = "C1", *, platform: str = "console", workspace: str = "W1", private: bool = False
) -> Channel:
    return Channel(platform=platform, workspace=workspace, id=id, private=private)


def make_thread(id: str = "T1", *, channel: Channel | None = None) -> Thread:
    return Thread(channel=channel or make_channel(), id=id)


def make_author(id: str = "U1", *, is_bot: bool = False, is_self: bool = False) -> Author:
    return Author(id=id, name=f"Name of {id}", is_bot=is_bot, is_self=is_self)


def make_message(
    text: str = "How do I get a badge?", *, thread: Thread | None = None, id: str | None = None
) -> Message:
    number = make_number()
    return Message(
        id=id or f"m{number}",
        thread=thread or make_thread(),
        author=make_author(),
        text=text,
        at=START + timedelta(seconds=number),
    )


def make_posted(
    message: Message | None = None, *, delivery_id: str | None = None, addressing: Addressing = "mention"
) -> MessagePosted:
    return MessagePosted(
        delivery_id=delivery_id or f"d{make_number()}",
        message=message or make_message(),
        addressing=addressing,
    )


def make_edited(message: Message) -> MessageEdited:
    return MessageEdited(delivery_id=f"d{make_number()}", message=message, addressing="mention")


def make_deleted(message: Message) -> MessageDeleted:
    return MessageDeleted(
        delivery_id=f"d{make_number()}",
        channel=message.thread.channel,
        message_id=message.id,
        at=message.at + timedelta(minutes=1),
    )


def make_given(
    rating: Rating = 1,
    *,
    turn_id: UUID | None = None,
    author: Author | None = None,
    via: Via = "reaction",
    symbol: str | None = None,
    comment: str | None = None,
    at: datetime = START,
) -> FeedbackGiven:
    default_symbol = "button" if via == "button" else {1: "thumbsup", -1: "thumbsdown"}[rating]
    return FeedbackGiven(
        delivery_id=f"d{make_number()}",
        channel=make_channel(),
        author=author or make_author(),
        rating=rating,
        via=via,
        symbol=symbol or default_symbol,
        comment=comment,
        turn_id=turn_id,
        at=at,
    )


def make_withdrawn(
    symbol: str = "thumbsup",
    *,
    turn_id: UUID | None = None,
    author: Author | None = None,
    via: Via = "reaction",
    at: datetime = START,
) -> FeedbackWithdrawn:
    return FeedbackWithdrawn(
        delivery_id=f"d{make_number()}",
        channel=make_channel(),
        author=author or make_author(),
        via=via,
        symbol=symbol,
        turn_id=turn_id,
        at=at,
    )


def make_passage(rank: int = 1) -> Passage:
    return Passage(
        chunk_id=rank,
        document_id=rank,
        title=f"Document {rank}",
        uri=f"docs/{rank}.md",
        heading_path=("Badges", "Getting one"),
        text="Badges are handed out at the front desk.",
        rank=rank,
        score=1.0 / rank,
        similarity=0.5,
        dense_rank=rank,
    )


def make_turn(
    message: Message | None = None, *, answer: str = "At the front desk [1].", outcome: Outcome = "answered"
) -> Turn:
    message = message or make_message()
    turn_id = turn_id_for(message)
    citation = Citation(
        n=1, chunk_id=1, document_id=1, title="Document 1", uri="docs/1.md", quote="at the front desk"
    )
    return Turn(
        id=turn_id,
        trace_id=trace_id_for(turn_id),
        thread=message.thread,
        question_message_id=message.id,
        author=message.author,
        question=message.text,
        query=message.text.lower(),
        answer=Answer(text=answer, citations=(citation,)),
        outcome=outcome,
        passages=(make_passage(),),
        model="extractive",
        prompts=("answer/1",),
        use=TokenUse(input_tokens=10, output_tokens=5, cost_usd=0.001),
        spans=(Span(name="search", started_seconds=0.0, ended_seconds=0.5, facts={"passages": 1}),),
        asked_at=message.at,
        answered_at=message.at + timedelta(seconds=2),
    )


def make_effect(
    message: Message,
    *,
    part: int = 0,
    purpose: Purpose = "answer",
    state: EffectState = "planned",
    body: dict[str, object] | None = None,
) -> Effect:
    turn_id = turn_id_for(message)
    return Effect(
        id=uuid5(turn_id, f"{purpose}/{part}"),
        turn_id=turn_id,
        channel=message.thread.channel,
        thread_id=message.thread.id,
        purpose=purpose,
        part=part,
        state=state,
        body=body if body is not None else {"text": "At the front desk."},
    )
