"""One contract for every tracer: our double, and Langfuse's real SDK against the loopback server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from core.answers import Answer, Feedback, Span, TokenUse, Turn, trace_id_for
from core.messages import Author, Channel, Thread
from core.providers.tracing import LangfuseTracer
from core.testing.langfuse_server import LangfuseServer
from core.testing.tracer import RecordingTracer

AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


def make_turn(question: str = "How long is a lease?") -> Turn:
    turn_id = uuid4()
    return Turn(
        id=turn_id,
        trace_id=trace_id_for(turn_id),
        thread=Thread(channel=Channel(platform="web", workspace="W", id="C"), id="T"),
        question_message_id="M",
        author=Author(id="U"),
        question=question,
        query=question,
        answer=Answer(text="Thirty seconds. [1]"),
        outcome="answered",
        model="fake:model",
        use=TokenUse(input_tokens=10, output_tokens=5, cost_usd=0.001),
        spans=(Span(name="search", started_seconds=0.1, ended_seconds=0.2),),
        asked_at=AT,
        answered_at=AT + timedelta(seconds=2),
    )


def make_feedback(turn_id: UUID, author: str = "U", **changes: object) -> Feedback:
    given: dict[str, object] = {
        "turn_id": turn_id,
        "platform": "web",
        "workspace": "W",
        "author": author,
        "rating": 1,
        "via": "button",
        "at": AT,
    }
    return Feedback.model_validate(given | changes)


class RecordingSubject:
    def __init__(self) -> None:
        self.tracer = RecordingTracer()

    def break_it(self) -> None:
        self.tracer.reachable = False

    def heal(self) -> None:
        self.tracer.reachable = True

    async def trace_ids(self, expected: int) -> set[str]:
        return {turn.trace_id for turn in self.tracer.turns}

    def scores(self) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {}
        for feedback in self.tracer.scores.values():
            found.setdefault(trace_id_for(feedback.turn_id), []).append(feedback.rating)
        return found


class LangfuseSubject:
    def __init__(self, server: LangfuseServer) -> None:
        self.server = server
        # The SDK keeps one client per public key for the life of the process.
        self.tracer = LangfuseTracer(public_key=f"pk-lf-{uuid4()}", secret_key="sk-lf-x", base_url=server.url)

    def break_it(self) -> None:
        self.server.break_with = 500

    def heal(self) -> None:
        self.server.break_with = None

    async def trace_ids(self, expected: int) -> set[str]:
        def found() -> set[str]:
            return {trace for trace, _ in self.server.observations}

        await self.server.wait_for(lambda: len(found()) >= expected)
        return found()

    def scores(self) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {}
        for score in self.server.scores.values():
            found.setdefault(score["traceId"], []).append(score["value"])
        return found


Subject = RecordingSubject | LangfuseSubject


@pytest_asyncio.fixture(params=["recording", "langfuse"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    if request.param == "recording":
        yield RecordingSubject()
        return
    async with LangfuseServer() as server:
        langfuse = LangfuseSubject(server)
        yield langfuse
        server.break_with, server.delay_seconds = None, 0
        await langfuse.tracer.aclose(1)  # its SDK may still rest after a failure, for longer


async def test_every_recorded_turn_arrives_under_its_trace_id(subject: Subject) -> None:
    turns = [make_turn() for _ in range(3)]
    for turn in turns:
        subject.tracer.record_turn(turn)
    assert await subject.trace_ids(3) == {turn.trace_id for turn in turns}


async def test_recording_takes_no_time_and_never_raises_when_nothing_can_be_reached(subject: Subject) -> None:
    subject.break_it()
    began = time.perf_counter()
    for _ in range(100):
        subject.tracer.record_turn(make_turn())
    assert time.perf_counter() - began < 20, "a request for each would take longer"
    assert subject.tracer.enabled


async def test_feedback_becomes_one_score_per_author_and_turn(subject: Subject) -> None:
    turn_id = uuid4()
    up, other = make_feedback(turn_id), make_feedback(turn_id, author="V", rating=-1)
    assert await subject.tracer.deliver_feedback([up, other]) == [up, other]
    assert sorted(subject.scores()[trace_id_for(turn_id)]) == [-1, 1]
    assert await subject.tracer.deliver_feedback([up]) == [up]
    assert sorted(subject.scores()[trace_id_for(turn_id)]) == [-1, 1]


async def test_a_change_of_mind_replaces_the_score(subject: Subject) -> None:
    turn_id = uuid4()
    await subject.tracer.deliver_feedback([make_feedback(turn_id)])
    changed = make_feedback(turn_id, rating=-1, comment="wrong", at=AT + timedelta(days=1))
    assert await subject.tracer.deliver_feedback([changed]) == [changed]
    assert subject.scores() == {trace_id_for(turn_id): [-1]}


async def test_withdrawn_feedback_removes_the_score_also_twice(subject: Subject) -> None:
    turn_id = uuid4()
    await subject.tracer.deliver_feedback([make_feedback(turn_id)])
    withdrawn = make_feedback(turn_id, withdrawn_at=AT)
    assert await subject.tracer.deliver_feedback([withdrawn]) == [withdrawn]
    assert subject.scores() == {}
    assert await subject.tracer.deliver_feedback([withdrawn]) == [withdrawn]


async def test_feedback_that_did_not_arrive_is_not_reported_and_arrives_later(subject: Subject) -> None:
    feedback = make_feedback(uuid4())
    subject.break_it()
    assert await subject.tracer.deliver_feedback([feedback]) == []
    subject.heal()
    assert await subject.tracer.deliver_feedback([feedback]) == [feedback]
    assert len(subject.scores()) == 1


async def test_a_forgotten_turn_is_gone_with_its_scores_and_the_others_stay(subject: Subject) -> None:
    gone, stays = make_turn("CANARY?"), make_turn()
    for turn in (gone, stays):
        subject.tracer.record_turn(turn)
    await subject.trace_ids(2)
    await subject.tracer.deliver_feedback([make_feedback(gone.id), make_feedback(stays.id)])
    assert await subject.tracer.forget_turns([gone.id])
    assert await subject.trace_ids(1) == {stays.trace_id}
    assert set(subject.scores()) == {stays.trace_id}
    assert await subject.tracer.forget_turns([gone.id]), "twice does no harm"


async def test_what_could_not_be_forgotten_is_said_and_forgotten_later(subject: Subject) -> None:
    turn = make_turn()
    subject.tracer.record_turn(turn)
    await subject.trace_ids(1)
    subject.break_it()
    assert not await subject.tracer.forget_turns([turn.id])
    subject.heal()
    assert await subject.tracer.forget_turns([turn.id])
    assert await subject.trace_ids(0) == set()


async def test_a_turn_that_is_forgotten_before_it_was_sent_is_never_sent() -> None:
    async with LangfuseServer() as server:
        subject = LangfuseSubject(server)
        subject.break_it()
        gone = make_turn("CANARY?")
        subject.tracer.record_turn(gone)
        await server.wait_for(lambda: bool(server.requests))
        await subject.tracer.forget_turns([gone.id])
        subject.heal()
        stays = make_turn()
        subject.tracer.record_turn(stays)
        assert await subject.trace_ids(1) == {stays.trace_id}
        await subject.tracer.aclose(1)
        assert not any(b"CANARY?" in body for body in server.bodies)


async def test_closing_is_bounded(subject: Subject) -> None:
    if isinstance(subject, LangfuseSubject):
        subject.server.delay_seconds = 30
    subject.tracer.record_turn(make_turn())
    await asyncio.wait_for(subject.tracer.aclose(0.3), 25)
