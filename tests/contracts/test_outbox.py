"""What every outbox promises."""

from __future__ import annotations

from uuid import uuid4

import pytest

from core.errors import LeaseLostError, StorageError
from core.inbox import Claim
from core.messages import Channel
from core.testing.making import make_channel, make_effect, make_message, make_posted, make_thread
from tests.contracts.roads import Road


async def lost_claim(road: Road) -> Claim:
    """A claim that another worker has taken over."""
    claim = await road.claim_event()
    await road.inbox.release([claim])
    await road.claim()
    return claim


async def test_planned_effects_come_back_in_the_order_given(road: Road) -> None:
    message = make_message()
    claim = await road.claim_event(make_posted(message))
    effects = [make_effect(message, part=part) for part in (2, 0, 1)]
    assert await road.outbox.plan(claim, effects) == effects
    assert [effect.part for effect in await road.outbox.of_turn(effects[0].turn_id)] == [0, 1, 2]


async def test_a_channel_comes_back_with_all_its_facts(road: Road) -> None:
    channel = Channel(platform="console", workspace="W1", id="C1", private=True, parent="C0")
    message = make_message(thread=make_thread(channel=channel))
    claim = await road.claim_event(make_posted(message))
    (stored,) = await road.outbox.plan(claim, [make_effect(message)])
    assert stored.channel == channel


async def test_planning_again_keeps_what_happened_and_takes_the_new_body(road: Road) -> None:
    message = make_message()
    claim = await road.claim_event(make_posted(message))
    effect = make_effect(message, body={"text": "old"})
    await road.outbox.plan(claim, [effect])
    await road.outbox.set_state(claim, effect.id, "sending", "posted-1")
    (stored,) = await road.outbox.plan(claim, [make_effect(message, body={"text": "new"})])
    assert (stored.state, stored.message_id, stored.body) == ("sending", "posted-1", {"text": "new"})


async def test_what_is_sent_keeps_its_body(road: Road) -> None:
    message = make_message()
    claim = await road.claim_event(make_posted(message))
    effect = make_effect(message, body={"text": "old"})
    await road.outbox.plan(claim, [effect])
    await road.outbox.set_state(claim, effect.id, "sent", "posted-1")
    (stored,) = await road.outbox.plan(claim, [make_effect(message, body={"text": "new"})])
    assert (stored.state, stored.body) == ("sent", {"text": "old"})


async def test_a_message_id_once_stored_stays(road: Road) -> None:
    message = make_message()
    claim = await road.claim_event(make_posted(message))
    effect = make_effect(message)
    await road.outbox.plan(claim, [effect])
    await road.outbox.set_state(claim, effect.id, "sending", "posted-1")
    await road.outbox.set_state(claim, effect.id, "sent")
    await road.outbox.set_state(claim, effect.id, "sent", "posted-2")
    (stored,) = await road.outbox.of_turn(effect.turn_id)
    assert (stored.state, stored.message_id) == ("sent", "posted-1")


async def test_a_worker_that_lost_its_lease_writes_nothing(road: Road) -> None:
    message = make_message(thread=make_thread("T2"))
    effect = make_effect(message)
    claim = await road.claim_event(make_posted(message))
    await road.outbox.plan(claim, [effect])
    zombie = await lost_claim(road)
    with pytest.raises(LeaseLostError):
        await road.outbox.plan(zombie, [make_effect(message, part=1)])
    with pytest.raises(LeaseLostError):
        await road.outbox.set_state(zombie, effect.id, "sent", "posted-1")
    assert await road.outbox.of_turn(effect.turn_id) == [effect]


async def test_an_effect_that_does_not_exist_cannot_move_on(road: Road) -> None:
    claim = await road.claim_event()
    with pytest.raises(StorageError):
        await road.outbox.set_state(claim, uuid4(), "sent")


async def test_answers_come_before_notices(road: Road) -> None:
    message = make_message()
    claim = await road.claim_event(make_posted(message))
    notice, answer = make_effect(message, purpose="notice"), make_effect(message)
    await road.outbox.plan(claim, [notice, answer])
    assert await road.outbox.of_turn(answer.turn_id) == [answer, notice]


async def test_our_posts_in_a_thread_are_known_by_their_message_ids(road: Road) -> None:
    message, elsewhere = make_message(), make_message(thread=make_thread("T2"))
    for asked, message_id in ((message, "posted-1"), (elsewhere, "posted-2")):
        claim = await road.claim_event(make_posted(asked))
        await road.outbox.plan(claim, [make_effect(asked), make_effect(asked, part=1)])
        await road.outbox.set_state(claim, make_effect(asked).id, "sent", message_id)
    assert await road.outbox.message_ids(message.thread) == {"posted-1"}


async def test_an_answer_is_found_by_its_message_and_a_notice_is_not(road: Road) -> None:
    message = make_message()
    claim = await road.claim_event(make_posted(message))
    answer, notice = make_effect(message), make_effect(message, purpose="notice")
    await road.outbox.plan(claim, [answer, notice])
    await road.outbox.set_state(claim, answer.id, "sent", "posted-1")
    await road.outbox.set_state(claim, notice.id, "sent", "posted-2")
    channel = message.thread.channel
    assert await road.outbox.turn_of_message(channel, "posted-1") == answer.turn_id
    assert await road.outbox.turn_of_message(channel, "posted-2") is None
    assert await road.outbox.turn_of_message(make_channel("C2"), "posted-1") is None
    await road.outbox.set_state(claim, answer.id, "removed")
    assert await road.outbox.turn_of_message(channel, "posted-1") is None
