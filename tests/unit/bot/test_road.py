"""From an event to what people see, and back with their feedback: the real dispatcher on doubles."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from bot.adapter import (
    Capabilities,
    ForbiddenError,
    MessageGoneError,
    RateLimitedError,
    UnavailableError,
)
from bot.early_text import LONGEST_PLAN_SECONDS, Patience
from bot.testing.adapter import InMemoryAdapter
from core import notices
from core.answers import turn_id_for
from core.errors import ModelPermanentError
from core.inbox import Claim
from core.ports import Effect, ModelDelta, ModelRequest
from core.testing.inbox import InMemoryInbox
from core.testing.making import (
    make_author,
    make_deleted,
    make_given,
    make_posted,
    make_withdrawn,
)
from core.testing.models import Act, FakeChatModel
from core.testing.outbox import InMemoryOutbox
from tests.unit.bot.ground import ANSWER, Ground, ask_message


async def test_a_mention_is_answered_once_recorded_and_traced() -> None:
    ground = Ground()
    async with ground.running():
        turn = await ground.ask()
    assert ground.adapter.texts() == [ANSWER]
    assert turn.outcome == "answered"
    assert [t.id for t in ground.tracer.turns] == [turn.id]
    assert ground.adapter.statuses, "somebody who waits gets a life sign"
    (effect,) = await ground.outbox.of_turn(turn.id)
    assert (effect.state, effect.message_id) == ("sent", "m1")


async def test_the_same_message_delivered_twice_is_answered_once() -> None:
    ground, message = Ground(), ask_message()
    async with ground.running():
        await ground.ask(message)
        assert not await ground.adapter.say(make_posted(message))
    assert ground.adapter.texts() == [ANSWER]


async def test_a_long_answer_arrives_in_parts_and_in_order() -> None:
    long = " ".join(f"Badges number {n} are handed out at the front desk [1]." for n in range(30))
    ground = Ground(
        adapter=InMemoryAdapter("memory", limit=400), model=FakeChatModel(reply=lambda request: long)
    )
    async with ground.running():
        turn = await ground.ask()
    assert "".join(ground.adapter.texts()) == turn.answer.text
    assert len(ground.adapter.texts()) == len(await ground.outbox.of_turn(turn.id)) > 3


class SlowOutbox(InMemoryOutbox):
    """A disk that takes its time for every plan."""

    async def plan(self, claim: Claim, effects: Sequence[Effect]) -> list[Effect]:
        await asyncio.sleep(0.1)
        return await super().plan(claim, effects)


async def test_an_answer_that_is_quicker_than_its_plan_goes_out_as_soon_as_the_plan_is_made() -> None:
    ground = Ground()
    ground.outbox = SlowOutbox(ground.inbox)
    began = asyncio.get_running_loop().time()
    async with ground.running():
        await ground.ask()
    assert ground.adapter.texts() == [ANSWER]
    assert asyncio.get_running_loop().time() - began < LONGEST_PLAN_SECONDS / 2


async def test_an_answer_that_is_there_at_once_is_posted_once_with_nothing_shown_before() -> None:
    # More patient than any machine is slow.
    ground = Ground(patience=Patience(status=30.0, first_text=30.0))
    async with ground.running():
        await ground.ask()
    assert ground.adapter.statuses == []
    assert [call for call in ground.adapter.calls if call in ("post", "stream", "edit")] == ["post"]


async def test_an_answer_that_takes_its_time_is_shown_as_it_grows() -> None:
    slow = Act(text=ANSWER, delay_seconds=0.1, piece_seconds=0.1)
    ground = Ground(patience=Patience(status=0.05, first_text=0.15), model=FakeChatModel(slow))
    async with ground.running():
        await ground.ask()
    (message,) = ground.adapter.visible.values()
    assert len(message.texts) > 1
    assert message.texts[-1] == ANSWER
    assert ground.adapter.statuses


async def test_a_platform_without_streams_gets_one_post() -> None:
    ground = Ground(adapter=InMemoryAdapter("memory", Capabilities(edits=True)))
    async with ground.running():
        await ground.ask()
    assert ground.adapter.calls.count("post") == 1
    assert ground.adapter.texts() == [ANSWER]


@pytest.mark.parametrize("call", ["post", "stream", "close"])
async def test_a_post_whose_answer_was_lost_is_found_again_and_never_repeated(call: str) -> None:
    streams = call != "post"
    ground = Ground(adapter=InMemoryAdapter("memory", Capabilities(streams=streams, edits=True)))
    ground.adapter.fail_next(call, UnavailableError("reset", maybe_accepted=True), accepted=True)
    async with ground.running():
        await ground.ask()
    assert ground.adapter.texts() == [ANSWER]


@pytest.mark.parametrize("call", ["post", "stream", "close"])
async def test_a_post_that_never_arrived_is_made_again(call: str) -> None:
    streams = call != "post"
    ground = Ground(adapter=InMemoryAdapter("memory", Capabilities(streams=streams, edits=True)))
    ground.adapter.fail_next(call, UnavailableError("refused", maybe_accepted=True), accepted=False)
    async with ground.running():
        await ground.ask()
    assert ground.adapter.texts() == [ANSWER]


async def test_a_platform_that_asks_for_patience_gets_it() -> None:
    ground = Ground(adapter=InMemoryAdapter("memory", Capabilities()))
    ground.adapter.fail_next("post", RateLimitedError("slow down", retry_after_seconds=0.2))
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with ground.running():
        await ground.ask()
    assert loop.time() - began >= 0.2
    assert ground.adapter.texts() == [ANSWER]


async def test_a_place_that_may_not_be_written_to_ends_as_failed_without_another_try() -> None:
    ground = Ground(adapter=InMemoryAdapter("memory", Capabilities()))
    ground.adapter.fail_next("post", ForbiddenError("missing_access"))
    async with ground.running():
        await ground.ask()
    assert ground.ends() == ["failed"]
    assert ground.adapter.calls.count("post") == 1


async def test_a_reply_that_somebody_removed_while_it_was_written_is_left_alone_and_forgotten() -> None:
    ground, message = Ground(), ask_message()
    ground.adapter.fail_next("close", MessageGoneError("gone"))
    async with ground.running():
        await ground.adapter.say(make_posted(message))
        await ground.until_done()
    assert ground.adapter.calls.count("post") == 0
    assert await ground.turns.get(turn_id_for(message)) is None


async def test_when_the_model_fails_a_plain_notice_takes_the_place_of_the_half_shown_answer() -> None:
    broken = Act(text=ANSWER, error=ModelPermanentError("secret"), error_after_pieces=2)
    ground = Ground(model=FakeChatModel(broken))
    async with ground.running():
        turn = await ground.ask()
    assert turn.outcome == "failed"
    assert ground.adapter.texts() == [notices.MODEL_FAILED]


async def test_questions_in_one_thread_are_answered_in_the_order_asked() -> None:
    slow = FakeChatModel(
        *[Act(delay_seconds=0.05)] * 5,
        reply=lambda request: f"{request.question} Badges front desk handed [1].",
    )
    ground = Ground(model=slow, adapter=InMemoryAdapter("memory", Capabilities()))
    questions = [ask_message(f"Question {n}?") for n in range(5)]
    async with ground.running():
        for question in questions:
            await ground.adapter.say(make_posted(question))
        await ground.until_done(5)
    assert [text.split("?")[0] for text in ground.adapter.texts()] == [f"Question {n}" for n in range(5)]


class AnswersTogether(FakeChatModel):
    """Answers nobody before so many have asked."""

    def __init__(self, parties: int) -> None:
        super().__init__(*[ANSWER] * parties)
        self._all_here = asyncio.Barrier(parties)

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelDelta]:
        await self._all_here.wait()
        async for delta in super().stream(request):
            yield delta


async def test_questions_in_different_threads_are_answered_at_the_same_time() -> None:
    ground = Ground(model=AnswersTogether(6), turn_timeout_seconds=60.0)
    async with ground.running():
        for n in range(6):
            await ground.adapter.say(make_posted(ask_message(thread=f"T{n}")))
        await ground.until_done(6)
    assert ground.ends() == ["answered"] * 6


@pytest.mark.parametrize("who", [make_author(is_bot=True), make_author(is_self=True)])
async def test_bots_are_not_answered(who: object) -> None:
    ground = Ground()
    message = ask_message().model_copy(update={"author": who})
    async with ground.running():
        await ground.adapter.say(make_posted(message))
        await ground.until_done()
    assert ground.adapter.texts() == []
    assert ground.ends() == ["ignored"]


async def test_a_thread_is_followed_without_a_mention_once_we_take_part() -> None:
    ground = Ground()
    async with ground.running():
        await ground.adapter.say(make_posted(ask_message("Anybody here?"), addressing="thread"))
        await ground.until_done()
        assert ground.adapter.texts() == []
        await ground.ask(ask_message("Where do I get a badge?"))
        await ground.ask(ask_message("And a second one?"), addressing="thread")
    assert ground.adapter.texts() == [ANSWER, ANSWER]


async def test_what_was_said_before_the_summons_reaches_the_model() -> None:
    ground = Ground()
    ground.adapter.history = [ask_message("We lost three badges yesterday.")]
    async with ground.running():
        await ground.ask(summoned_midway=True)
    assert "We lost three badges yesterday." in ground.model.requests[-1].user


async def test_an_emoji_under_the_answer_becomes_feedback_and_a_score() -> None:
    ground = Ground()
    async with ground.running():
        turn = await ground.ask()
        place = turn.thread.channel
        up = make_given(1).model_copy(update={"channel": place, "message_id": "m1"})
        await ground.adapter.say(up)
        await ground.until_done(2)
        assert await ground.rating_of(turn.id) == [1]
        await ground.until(lambda: ground.tracer.scores)
        down = make_given(-1, at=up.at.replace(minute=1)).model_copy(
            update={"channel": place, "message_id": "m1"}
        )
        await ground.adapter.say(down)
        await ground.until_done(3)
        assert await ground.rating_of(turn.id) == [-1]
        gone = [
            make_withdrawn(symbol, at=up.at.replace(minute=2)).model_copy(
                update={"channel": place, "message_id": "m1"}
            )
            for symbol in ("thumbsdown", "thumbsup")
        ]
        for event in gone:
            await ground.adapter.say(event)
        await ground.until_done(5)
        assert await ground.rating_of(turn.id) == []
        await ground.until(lambda: not ground.tracer.scores)


async def test_the_feedback_of_bots_does_not_count() -> None:
    ground = Ground()
    async with ground.running():
        turn = await ground.ask()
        await ground.adapter.say(
            make_given(1, author=make_author("B", is_bot=True)).model_copy(
                update={"channel": turn.thread.channel, "message_id": "m1"}
            )
        )
        await ground.until_done(2)
    assert await ground.rating_of(turn.id) == []


async def test_nobody_rates_an_answer_of_another_workspace() -> None:
    ground = Ground()
    async with ground.running():
        turn = await ground.ask()
        elsewhere = turn.thread.channel.model_copy(update={"workspace": "W2"})
        await ground.adapter.say(make_given(1, turn_id=turn.id).model_copy(update={"channel": elsewhere}))
        await ground.until_done(2)
    assert await ground.rating_of(turn.id) == []


async def test_a_worker_that_leaves_hands_its_work_over() -> None:
    half = Act(text=ANSWER, behaviour="stall")
    ground = Ground(model=FakeChatModel(half, reply=lambda request: ANSWER))
    message = ask_message()
    async with ground.running():
        await ground.adapter.say(make_posted(message))
        await ground.until(lambda: ground.adapter.visible)
    assert [item.state for item in ground.inbox.items] == ["queued"]
    async with ground.running():
        await ground.until_done()
    assert ground.adapter.texts() == [ANSWER]


async def test_what_no_longer_fits_the_memory_becomes_a_summary() -> None:
    ground = Ground()
    async with ground.running():
        for n in range(12):
            await ground.ask(ask_message(f"Where is badge number {n} handed out, please tell me?"))
        message = ask_message()
        await ground.until(lambda: any(r.task == "summarise" for r in ground.model.requests))
    assert (await ground.turns.recall(message.thread, limit=50)).summary


async def test_a_stream_begun_just_before_its_question_was_deleted_does_not_stay() -> None:
    ground = Ground(model=FakeChatModel(Act(text=ANSWER, behaviour="stall")), lease_seconds=0.6)
    message = ask_message()
    async with ground.running():
        await ground.adapter.say(make_posted(message))
        await ground.until(lambda: ground.adapter.visible)
        await ground.adapter.say(make_deleted(message))
        await ground.until(lambda: not ground.adapter.visible)


class CountingInbox(InMemoryInbox):
    """Counts how often a worker asks whether there is something to do."""

    waits = 0

    async def wait(self, timeout_seconds: float) -> None:
        self.waits += 1
        await super().wait(timeout_seconds)


async def test_a_worker_with_no_room_left_waits_for_room() -> None:
    ground = Ground(
        model=FakeChatModel(Act(text=ANSWER, delay_seconds=0.5), reply=lambda _: ANSWER), concurrency=1
    )
    ground.use_inbox(CountingInbox())
    async with ground.running():
        await ground.adapter.say(make_posted(ask_message(thread="T1")))
        await ground.until(lambda: ground.model.requests)
        await ground.adapter.say(make_posted(ask_message(thread="T2")))
        await ground.until_done(2)
    assert isinstance(ground.inbox, CountingInbox)
    assert ground.inbox.waits < 60


async def test_one_person_cannot_fill_a_worker() -> None:
    ground = Ground(model=FakeChatModel(*[Act(behaviour="hang")] * 7), concurrency=8)
    async with ground.running():
        for number in range(20):
            await ground.adapter.say(make_posted(ask_message(thread=f"busy-{number}")))
        await ground.until(lambda: len(ground.model.requests) == 7)
        other = ask_message(thread="other").model_copy(update={"author": make_author("U2")})
        turn = await ground.ask(other)
    assert turn.outcome == "answered"
    assert ground.ends().count("answered") == 1
