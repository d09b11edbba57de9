"""Erasing all of an author, a thread or a workspace: nothing of it is left, and nothing else is touched."""

from __future__ import annotations

import asyncio

import pytest

from core.answers import Span, Turn
from core.errors import LeaseLostError
from core.knowledge.documents import Grant
from core.messages import Author, Message, Thread
from core.storage.database import Database
from core.storage.knowledge import PostgresKnowledgeStore
from core.storage.turns import PostgresTurnStore
from core.testing.making import (
    make_channel,
    make_effect,
    make_given,
    make_message,
    make_posted,
    make_thread,
    make_turn,
)
from tests.contracts.roads import Road

ALICE, BOB = Author(id="alice"), Author(id="bob")
ELSEWHERE = make_thread("T9", channel=make_channel("C9", workspace="W2"))


def say(author: Author, text: str = "How?", thread: Thread | None = None) -> Message:
    return make_message(text, thread=thread).model_copy(update={"author": author})


async def answer(road: Road, message: Message) -> Turn:
    """The whole way: asked, posted, recorded, rated by bob."""
    turn = make_turn(message).model_copy(update={"author": message.author})
    claim = await road.claim_event(make_posted(message))
    effect = make_effect(message)
    await road.outbox.plan(claim, [effect])
    await road.outbox.set_state(claim, effect.id, "sent", f"posted-{message.id}")
    await road.turns.record(claim, turn)
    await road.inbox.finish(claim, "answered")
    await rate(road, turn, BOB)
    return turn


async def rate(road: Road, turn: Turn, author: Author) -> None:
    given = make_given().model_copy(update={"author": author, "channel": turn.thread.channel})
    await road.feedback.apply(turn.id, given)


async def test_an_author_is_erased_with_what_they_asked_rated_and_wait_for(road: Road) -> None:
    mine, theirs = await answer(road, say(ALICE)), await answer(road, say(BOB))
    await rate(road, theirs, ALICE)
    await road.inbox.put(make_posted(say(ALICE, "And?")))

    forgotten = await road.turns.forget_author("console", "W1", "alice")

    assert (forgotten.turns, forgotten.feedback, forgotten.events) == (1, 2, 1)
    assert [effect.message_id for effect in forgotten.effects] == [f"posted-{mine.question_message_id}"]
    assert await road.turns.get(mine.id) is None
    assert await road.turns.get(theirs.id) == theirs
    assert [one.author for one in await road.feedback.of_turn(theirs.id)] == ["bob"]
    assert await road.feedback.of_turn(mine.id) == []
    assert await road.claim() == []


async def test_the_same_name_in_another_workspace_is_somebody_else(road: Road) -> None:
    other = await answer(road, say(ALICE, thread=ELSEWHERE))
    forgotten = await road.turns.forget_author("console", "W1", "alice")
    assert (forgotten.turns, forgotten.feedback, forgotten.events) == (0, 0, 0)
    assert await road.turns.get(other.id) == other


async def test_a_summary_that_covers_an_erased_turn_goes_with_it(road: Road) -> None:
    turn = await answer(road, say(ALICE))
    await road.turns.remember_summary(turn.thread, "what alice asked", turn.id)
    await road.turns.forget_author("console", "W1", "alice")
    assert (await road.turns.recall(turn.thread, limit=10)).summary == ""


async def test_a_thread_is_erased_with_its_memory_and_what_waits_in_it(road: Road) -> None:
    thread, other = make_thread("T1"), make_thread("T2")
    first, kept = await answer(road, say(ALICE, thread=thread)), await answer(road, say(BOB, thread=other))
    await road.turns.remember_summary(thread, "what was said", first.id)
    await road.inbox.put(make_posted(say(BOB, thread=thread)))
    await road.inbox.put(make_posted(say(BOB, thread=other)))

    forgotten = await road.turns.forget_thread(thread)

    assert (forgotten.turns, forgotten.feedback, forgotten.events) == (1, 1, 1)
    assert (await road.turns.recall(thread, limit=10)).turns == ()
    assert (await road.turns.recall(thread, limit=10)).summary == ""
    assert not await road.turns.takes_part(thread)
    assert await road.turns.get(kept.id) == kept
    (waiting,) = await road.claim()
    assert waiting.event.kind == "message_posted"


async def test_a_workspace_is_erased_and_the_others_stay(road: Road) -> None:
    gone = [await answer(road, say(author)) for author in (ALICE, BOB)]
    kept = await answer(road, say(ALICE, thread=ELSEWHERE))
    await road.inbox.put(make_given().model_copy(update={"turn_id": gone[0].id}))

    forgotten = await road.turns.forget_workspace("console", "W1")

    assert (forgotten.turns, forgotten.feedback, forgotten.events) == (2, 2, 1)
    assert len(forgotten.effects) == 2
    assert [turn.id async for turn in road.turns.export()] == [kept.id]
    assert [one.turn_id async for one in road.feedback.export()] == [kept.id]
    assert await road.claim() == []


async def test_work_under_way_for_what_is_erased_can_write_nothing_more(road: Road) -> None:
    message = say(ALICE)
    claim = await road.claim_event(make_posted(message))
    await road.turns.forget_author("console", "W1", "alice")
    with pytest.raises(LeaseLostError):
        await road.turns.record(claim, make_turn(message))
    assert await road.turns.is_deleted(message.thread.channel, message.id)


async def test_erasing_twice_finds_nothing_the_second_time(road: Road) -> None:
    await answer(road, say(ALICE))
    await road.turns.forget_workspace("console", "W1")
    forgotten = await road.turns.forget_workspace("console", "W1")
    assert (forgotten.turns, forgotten.feedback, forgotten.events, forgotten.effects) == (0, 0, 0, ())


async def test_a_collection_that_nobody_else_may_read_goes_with_its_workspace(database: Database) -> None:
    knowledge, turns = PostgresKnowledgeStore(database), PostgresTurnStore(database)
    ours, theirs = Grant(platform="slack", workspace="W1"), Grant(platform="slack", workspace="W2")
    for name, grants in {
        "own": [ours],
        "own channel": [ours.model_copy(update={"channel": "C1"})],
        "shared": [ours, theirs],
        "everyone's": [],
        "another's": [theirs],
    }.items():
        await knowledge.open_source(await knowledge.open_collection(name, grants), name, "folder")
    await turns.forget_workspace("slack", "W1")
    left = {source.collection for source in await knowledge.sources()}
    assert left == {"shared", "everyone's", "another's"}


async def test_the_trace_of_an_erased_turn_is_to_be_removed_twice_and_then_no_more(road: Road) -> None:
    mine, theirs = await answer(road, say(ALICE)), await answer(road, say(BOB))
    assert await road.turns.traces_to_forget(10) == []
    await road.turns.forget_message(mine.thread.channel, mine.question_message_id)
    await road.turns.forget_message(mine.thread.channel, "never-asked")
    assert await road.turns.traces_to_forget(10) == [mine.id], "until it is said to be done"
    await road.turns.mark_traces_forgotten([mine.id])
    async with asyncio.timeout(5):
        while not await road.turns.traces_to_forget(10):  # noqa: ASYNC110 - the stores tell nobody
            await asyncio.sleep(0.02)
    await road.turns.mark_traces_forgotten([mine.id, theirs.id])
    await asyncio.sleep(0.3)
    assert await road.turns.traces_to_forget(10) == []


async def test_what_was_visible_of_a_forgotten_turn_is_returned_as_it_was(road: Road) -> None:
    turn = await answer(road, say(ALICE))
    (effect,) = await road.turns.forget_message(turn.thread.channel, turn.question_message_id)
    assert (effect.message_id, effect.body) == (
        f"posted-{turn.question_message_id}",
        {"text": "At the front desk."},
    )
    (stored,) = await road.outbox.of_turn(turn.id)
    assert stored.body is None


async def test_the_words_of_a_forgotten_question_are_not_kept_as_what_a_later_one_was_searched_for(
    road: Road,
) -> None:
    first = await answer(road, say(ALICE, "What is the CANARY?"))
    second, third = say(BOB, "Where is it?"), say(BOB, "How far is it?")
    spans = (Span(name="search", started_seconds=0, ended_seconds=1, facts={"query": "CANARY where"}),)
    rewritten = make_turn(second).model_copy(update={"query": "Where is the CANARY?", "spans": spans})
    for message, turn in ((second, rewritten), (third, make_turn(third))):
        claim = await road.claim_event(make_posted(message))
        await road.turns.record(claim, turn)
        await road.inbox.finish(claim, "answered")

    await road.turns.forget_message(first.thread.channel, first.question_message_id)

    kept = await road.turns.get(rewritten.id)
    assert kept is not None
    assert "CANARY" not in kept.model_dump_json()
    assert (kept.question, kept.query, kept.answer) == ("Where is it?", "Where is it?", rewritten.answer)
    assert set(await road.turns.traces_to_forget(10)) == {first.id, rewritten.id}
