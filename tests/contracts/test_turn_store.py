"""What every store of turns promises."""

from __future__ import annotations

import pytest

from core.answers import Turn
from core.errors import LeaseLostError
from core.testing.making import (
    make_deleted,
    make_edited,
    make_effect,
    make_given,
    make_message,
    make_posted,
    make_thread,
    make_turn,
)
from tests.contracts.roads import Road


async def record_turns(road: Road, number: int) -> list[Turn]:
    return [
        await road.record(make_turn(make_message(f"question {index}"), answer=f"answer {index}"))
        for index in range(number)
    ]


async def test_a_turn_comes_back_whole(road: Road) -> None:
    turn = await road.record(make_turn())
    assert await road.turns.get(turn.id) == turn
    assert [stored async for stored in road.turns.export()] == [turn]


async def test_recording_again_replaces_the_turn(road: Road) -> None:
    message = make_message()
    claim = await road.claim_event(make_posted(message))
    await road.turns.record(claim, make_turn(message, answer="first"))
    await road.turns.record(claim, make_turn(message, answer="second"))
    assert [turn.answer.text async for turn in road.turns.export()] == ["second"]


async def test_a_worker_that_lost_its_lease_records_nothing(road: Road) -> None:
    message = make_message()
    zombie = await road.claim_event(make_posted(message))
    await road.inbox.release([zombie])
    await road.claim()
    with pytest.raises(LeaseLostError):
        await road.turns.record(zombie, make_turn(message))
    assert await road.turns.get(make_turn(message).id) is None


async def test_export_gives_every_turn_oldest_first(road: Road) -> None:
    turns = await record_turns(road, 5)
    assert [turn async for turn in road.turns.export()] == turns


async def test_we_take_part_in_a_thread_once_we_have_answered_there(road: Road) -> None:
    thread = make_thread()
    assert not await road.turns.takes_part(thread)
    await road.record(make_turn(make_message(thread=thread), outcome="failed"))
    assert not await road.turns.takes_part(thread)
    await road.record(make_turn(make_message(thread=thread), outcome="abstained"))
    assert await road.turns.takes_part(thread)
    assert not await road.turns.takes_part(make_thread("T2"))


async def test_a_new_thread_remembers_nothing(road: Road) -> None:
    memory = await road.turns.recall(make_thread(), limit=10)
    assert (memory.summary, memory.summary_turns, memory.turns) == ("", 0, ())


async def test_a_thread_remembers_its_newest_turns_oldest_first(road: Road) -> None:
    turns = await record_turns(road, 4)
    await road.record(make_turn(make_message(thread=make_thread("T2"))))
    await road.record(make_turn(outcome="failed"))
    memory = await road.turns.recall(make_thread(), limit=3)
    assert memory.turns == tuple((turn.id, turn.question, turn.answer.text) for turn in turns[1:])


async def test_a_summary_takes_the_place_of_the_turns_that_it_covers(road: Road) -> None:
    turns = await record_turns(road, 4)
    assert await road.turns.remember_summary(make_thread(), "what was said", turns[1].id)
    memory = await road.turns.recall(make_thread(), limit=10)
    assert (memory.summary, memory.summary_turns) == ("what was said", 2)
    assert [turn_id for turn_id, _, _ in memory.turns] == [turn.id for turn in turns[2:]]
    assert await road.turns.remember_summary(make_thread(), "more", turns[2].id, base=memory)
    memory = await road.turns.recall(make_thread(), limit=10)
    assert (memory.summary, memory.summary_turns, len(memory.turns)) == ("more", 3, 1)


async def test_a_summary_made_of_something_forgotten_meanwhile_is_not_stored(road: Road) -> None:
    turns = await record_turns(road, 4)
    base = await road.turns.recall(make_thread(), limit=10)
    await road.turns.forget_message(turns[0].thread.channel, turns[0].question_message_id)
    assert not await road.turns.remember_summary(make_thread(), "secret", turns[1].id, base=base)
    assert not await road.turns.remember_summary(make_thread(), "secret", turns[0].id)
    assert (await road.turns.recall(make_thread(), limit=10)).summary == ""


async def test_a_summary_built_on_one_that_was_erased_meanwhile_is_not_stored(road: Road) -> None:
    turns = await record_turns(road, 4)
    await road.turns.remember_summary(make_thread(), "secret", turns[1].id)
    base = await road.turns.recall(make_thread(), limit=10)
    await road.turns.forget_message(turns[0].thread.channel, turns[0].question_message_id)
    assert not await road.turns.remember_summary(make_thread(), "secret, more", turns[2].id, base=base)
    memory = await road.turns.recall(make_thread(), limit=10)
    assert (memory.summary, len(memory.turns)) == ("", 3)


async def test_a_summary_that_does_not_cover_the_forgotten_turn_stays(road: Road) -> None:
    turns = await record_turns(road, 3)
    await road.turns.remember_summary(make_thread(), "what was said", turns[0].id)
    await road.turns.forget_message(turns[2].thread.channel, turns[2].question_message_id)
    memory = await road.turns.recall(make_thread(), limit=10)
    assert (memory.summary, len(memory.turns)) == ("what was said", 1)


async def test_forgetting_erases_turn_feedback_and_bodies_and_names_what_was_visible(road: Road) -> None:
    message = make_message()
    turn = make_turn(message)
    claim = await road.claim_event(make_posted(message))
    shown, unsent = make_effect(message), make_effect(message, part=1)
    await road.outbox.plan(claim, [shown, unsent])
    await road.outbox.set_state(claim, shown.id, "sent", "posted-1")
    await road.turns.record(claim, turn)
    await road.inbox.finish(claim, "answered")
    await road.feedback.apply(turn.id, make_given(comment="secret"))

    (visible,) = await road.turns.forget_message(message.thread.channel, message.id)

    assert (visible.id, visible.message_id) == (shown.id, "posted-1")
    assert await road.turns.get(turn.id) is None
    assert await road.feedback.of_turn(turn.id) == []
    assert [effect.body for effect in await road.outbox.of_turn(turn.id)] == [None, None]
    assert await road.turns.is_deleted(message.thread.channel, message.id)
    assert await road.feedback.apply(turn.id, make_given(comment="late")) is None
    assert await road.feedback.of_turn(turn.id) == []


async def test_a_question_deleted_while_it_is_answered_ends_the_work(road: Road) -> None:
    message = make_message()
    claim = await road.claim_event(make_posted(message))
    await road.inbox.put(make_edited(message))
    await road.turns.forget_message(message.thread.channel, message.id)
    assert await road.inbox.renew([claim], lease_seconds=60) == set()
    with pytest.raises(LeaseLostError):
        await road.turns.record(claim, make_turn(message))
    assert await road.claim() == []
    depth = await road.inbox.depth()
    assert (depth.queued, depth.running, depth.parked) == (0, 0, 0)


async def test_the_deletion_itself_stays_in_the_inbox(road: Road) -> None:
    message = make_message()
    deletion = await road.claim_event(make_deleted(message))
    await road.turns.forget_message(message.thread.channel, message.id)
    await road.inbox.finish(deletion, "recorded")


async def test_a_message_that_comes_after_its_deletion_is_known_to_be_deleted(road: Road) -> None:
    message = make_message()
    channel = message.thread.channel
    assert not await road.turns.is_deleted(channel, message.id)
    assert await road.turns.forget_message(channel, message.id) == []
    assert await road.turns.forget_message(channel, message.id) == []
    assert await road.turns.is_deleted(channel, message.id)
    assert not await road.turns.is_deleted(channel, "another")


async def test_recent_threads_come_once_each_the_latest_first(road: Road) -> None:
    one, two = (make_message(thread=make_thread(name)) for name in ("T1", "T2"))
    assert await road.turns.recent_threads("console", limit=10) == []
    for message in (one, two, make_message(thread=one.thread)):
        await road.record(make_turn(message))
    assert await road.turns.recent_threads("console", limit=10) == [one.thread, two.thread]
    assert await road.turns.recent_threads("console", limit=1) == [one.thread]
    assert await road.turns.recent_threads("slack", limit=10) == []
