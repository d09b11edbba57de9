"""What every inbox promises."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from core.errors import LeaseLostError
from core.inbox import CRASHES_BEFORE_PARKING, MOST_EXCUSED_ATTEMPTS
from core.messages import MessagePosted
from core.testing.making import (
    make_author,
    make_channel,
    make_deleted,
    make_edited,
    make_message,
    make_posted,
    make_thread,
)
from tests.contracts.roads import Road

SHORT_LEASE = 0.05


async def until(condition: Callable[[], Awaitable[bool]], within_seconds: float = 10.0) -> None:
    deadline = time.monotonic() + within_seconds
    while not await condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.01)


async def sweep_until_expired(road: Road, **options: int) -> None:
    async def swept() -> bool:
        return await road.inbox.sweep(**options) > 0

    await until(swept)


async def test_an_event_comes_out_as_it_went_in(road: Road) -> None:
    event = make_posted()
    claim = await road.claim_event(event)
    assert claim.event == event
    assert claim.attempts == 1


async def test_a_repeated_delivery_is_known_already(road: Road) -> None:
    event = make_posted()
    assert await road.inbox.put(event)
    assert not await road.inbox.put(event)
    assert len(await road.claim()) == 1


async def test_one_message_under_two_delivery_ids_is_taken_once(road: Road) -> None:
    message = make_message()
    assert await road.inbox.put(make_posted(message))
    assert not await road.inbox.put(make_posted(message, addressing="thread"))


async def test_edits_and_deletions_of_a_known_message_are_new(road: Road) -> None:
    message = make_message()
    assert await road.inbox.put(make_posted(message))
    assert await road.inbox.put(make_edited(message))
    assert await road.inbox.put(make_edited(message))
    assert await road.inbox.put(make_deleted(message))


async def test_a_finished_delivery_stays_known(road: Road) -> None:
    event = make_posted()
    claim = await road.claim_event(event)
    await road.inbox.finish(claim, "answered")
    assert not await road.inbox.put(event)


async def test_the_same_ids_in_another_workspace_are_another_message(road: Road) -> None:
    for workspace in ("W1", "W2"):
        thread = make_thread(channel=make_channel(workspace=workspace))
        assert await road.inbox.put(make_posted(make_message(thread=thread, id="same")))
    assert len(await road.claim()) == 2


async def test_a_thread_is_worked_on_by_one_at_a_time_in_order(road: Road) -> None:
    first, second = make_posted(), make_posted()
    await road.inbox.put(first)
    await road.inbox.put(second)
    (claim,) = await road.claim()
    assert claim.event == first
    assert await road.claim() == []
    await road.inbox.finish(claim, "answered")
    (follower,) = await road.claim()
    assert follower.event == second


async def test_threads_are_worked_on_side_by_side_oldest_first(road: Road) -> None:
    events = [make_posted(make_message(thread=make_thread(f"T{number}"))) for number in range(5)]
    for event in events:
        await road.inbox.put(event)
    assert [claim.event for claim in await road.claim(limit=3)] == events[:3]
    assert [claim.event for claim in await road.claim(limit=3)] == events[3:]


def ask_of(asker: str, thread: str, workspace: str = "W1") -> MessagePosted:
    where = make_thread(thread, channel=make_channel(workspace=workspace))
    message = make_message(thread=where).model_copy(update={"author": make_author(asker)})
    return make_posted(message)


async def test_one_persons_many_questions_do_not_hold_up_others(road: Road) -> None:
    for number in range(20):
        await road.inbox.put(ask_of("busy", f"busy-{number}"))
    others = [ask_of(f"other-{number}", f"other-{number}") for number in range(5)]
    for event in others:
        await road.inbox.put(event)
    assert [claim.event for claim in (await road.claim(limit=6))[1:]] == others


async def test_one_workspaces_many_people_do_not_hold_up_another_workspace(road: Road) -> None:
    for number in range(20):
        await road.inbox.put(ask_of(f"U{number}", f"T{number}"))
    elsewhere = ask_of("U1", "T1", workspace="W2")
    await road.inbox.put(elsewhere)
    assert elsewhere in [claim.event for claim in await road.claim(limit=3)]


async def test_whoever_has_enough_can_be_left_out(road: Road) -> None:
    await road.inbox.put(ask_of("busy", "T1"))
    other = ask_of("other", "T2")
    await road.inbox.put(other)
    claims = await road.inbox.claim(platforms=["console"], limit=10, lease_seconds=60, not_of=["busy"])
    assert [claim.event for claim in claims] == [other]
    assert len(await road.claim()) == 1


async def test_a_long_thread_is_worked_through_one_after_the_other(road: Road) -> None:
    events = [ask_of(f"U{number % 3}", "T1") for number in range(12)]
    await asyncio.gather(*(road.inbox.put(event) for event in events))
    seen = []
    while claims := await road.claim():
        (claim,) = claims
        seen.append(claim.event)
        await road.inbox.finish(claim, "answered")
    assert seen == events


async def test_followers_are_called_whatever_became_of_the_one_before(road: Road) -> None:
    messages = [make_message() for _ in range(3)]
    for message in messages:
        await road.inbox.put(make_posted(message))
    await road.claim()
    for gone in messages[:2]:
        await road.turns.forget_message(gone.thread.channel, gone.id)
    (claim,) = await road.claim()
    assert claim.event == make_posted(messages[2], delivery_id=claim.event.delivery_id)


async def test_concurrent_claims_never_share_a_thread(road: Road) -> None:
    for number in range(40):
        await road.inbox.put(make_posted(make_message(thread=make_thread(f"T{number % 10}"))))
    batches = await asyncio.gather(*(road.claim(limit=4) for _ in range(8)))
    claims = [claim for batch in batches for claim in batch]
    assert len({claim.id for claim in claims}) == len(claims) == 10


async def test_only_the_platforms_and_the_thread_asked_for_are_claimed(road: Road) -> None:
    elsewhere = make_posted(make_message(thread=make_thread(channel=make_channel(platform="web"))))
    here = make_posted(make_message(thread=make_thread("T2")))
    await road.inbox.put(elsewhere)
    await road.inbox.put(make_posted(make_message(thread=make_thread("T1"))))
    await road.inbox.put(here)
    claims = await road.inbox.claim(
        platforms=["console"], limit=10, lease_seconds=60, thread=make_thread("T2")
    )
    assert [claim.event for claim in claims] == [here]
    claims = await road.inbox.claim(platforms=["web"], limit=10, lease_seconds=60)
    assert [claim.event for claim in claims] == [elsewhere]


async def test_an_expired_lease_goes_to_another_worker_and_the_first_is_refused(road: Road) -> None:
    await road.inbox.put(make_posted())
    (zombie,) = await road.claim(lease_seconds=SHORT_LEASE)
    await sweep_until_expired(road)
    (claim,) = await road.claim()
    assert claim.attempts == 2
    assert claim.fence > zombie.fence
    with pytest.raises(LeaseLostError):
        await road.inbox.finish(zombie, "answered")
    with pytest.raises(LeaseLostError):
        await road.inbox.retry(zombie, after_seconds=0, reason="late")
    await road.inbox.release([zombie])
    assert await road.inbox.renew([zombie, claim], lease_seconds=60) == {claim.id}
    await road.inbox.finish(claim, "answered")


async def test_a_renewed_lease_does_not_expire(road: Road) -> None:
    await road.inbox.put(make_posted())
    (claim,) = await road.claim(lease_seconds=SHORT_LEASE)
    assert await road.inbox.renew([claim], lease_seconds=60) == {claim.id}
    await asyncio.sleep(2 * SHORT_LEASE)
    assert await road.inbox.sweep() == 0


async def crash(road: Road, times: int) -> None:
    for _ in range(times):
        assert len(await road.claim(lease_seconds=SHORT_LEASE)) == 1
        await sweep_until_expired(road, crashes_before_parking=3)


async def test_an_item_that_crashed_its_workers_is_claimed_once_more_to_be_parked(road: Road) -> None:
    await road.inbox.put(make_posted())
    follower = make_posted()
    await road.inbox.put(follower)
    await crash(road, 3)
    (claim,) = await road.claim()
    assert claim.crashes == 3
    await road.inbox.park(claim, "crashed its worker 3 times")
    assert (await road.inbox.depth()).parked == 1
    (claim,) = await road.claim()
    assert claim.event == follower
    with pytest.raises(LeaseLostError):
        await road.inbox.park(claim.model_copy(update={"fence": -1}), "not ours")


async def test_whoever_is_to_tell_of_an_item_that_crashed_has_more_than_one_try(road: Road) -> None:
    await road.inbox.put(make_posted())
    for _ in range(CRASHES_BEFORE_PARKING + 2):
        assert len(await road.claim(lease_seconds=SHORT_LEASE)) == 1
        await sweep_until_expired(road)
    (claim,) = await road.claim()
    assert claim.crashes == CRASHES_BEFORE_PARKING + 2


async def test_an_item_that_crashes_even_whoever_parks_it_is_parked_all_the_same(road: Road) -> None:
    await road.inbox.put(make_posted())
    await crash(road, 4)
    assert await road.claim() == []
    assert (await road.inbox.depth()).parked == 1


async def test_operators_see_queue_again_and_drop_what_is_parked(road: Road) -> None:
    events = [make_posted(make_message(f"Question {n}?", thread=make_thread(f"T{n}"))) for n in range(2)]
    for event in events:
        await road.inbox.put(event)
    for claim in await road.claim():
        await road.inbox.park(claim, "crashed its worker 3 times")
    first, second = await road.inbox.parked()
    assert (first.text, first.author, first.thread) == ("Question 0?", "U1", "T0")
    assert first.reason == "crashed its worker 3 times"
    assert await road.inbox.requeue([first.id, 4711]) == {first.id}
    (claim,) = await road.claim()
    assert (claim.event, claim.crashes, claim.attempts) == (events[0], 0, 2)
    assert await road.inbox.drop([second.id, first.id]) == {second.id}
    assert await road.inbox.parked() == []


async def lose_lease_and_live(road: Road) -> None:
    (claim,) = await road.claim(lease_seconds=SHORT_LEASE)
    await sweep_until_expired(road)
    await road.inbox.excuse([claim])


async def test_a_worker_that_lost_its_lease_and_lives_takes_its_crash_back(road: Road) -> None:
    await road.inbox.put(make_posted())
    await crash(road, 1)
    for _ in range(3):
        await lose_lease_and_live(road)
    (claim,) = await road.claim()
    assert (claim.attempts, claim.crashes) == (5, 1)


async def test_the_crash_is_taken_back_while_another_works_on_it_already(road: Road) -> None:
    await road.inbox.put(make_posted())
    (claim,) = await road.claim(lease_seconds=SHORT_LEASE)
    await sweep_until_expired(road)
    (later,) = await road.claim()
    assert later.crashes == 1
    await road.inbox.excuse([claim])
    await road.inbox.release([later])
    (claim,) = await road.claim()
    assert claim.crashes == 0
    await road.inbox.excuse([claim])
    await road.inbox.finish(claim, "answered")


async def test_what_stops_its_workers_again_and_again_is_not_excused_for_ever(road: Road) -> None:
    await road.inbox.put(make_posted())
    for _ in range(MOST_EXCUSED_ATTEMPTS + 2):
        await lose_lease_and_live(road)
    (claim,) = await road.claim()
    assert claim.crashes == 2


async def test_an_orderly_retry_is_not_a_crash_and_waits_its_time(road: Road) -> None:
    claim = await road.claim_event()
    for _ in range(5):
        await road.inbox.retry(claim, after_seconds=0, reason="busy")
        (claim,) = await road.claim()
    assert claim.attempts == 6
    await road.inbox.retry(claim, after_seconds=3600, reason="later")
    assert await road.claim() == []
    assert (await road.inbox.depth()).parked == 0


async def test_a_delayed_item_holds_its_thread_but_no_other(road: Road) -> None:
    claim = await road.claim_event()
    await road.inbox.retry(claim, after_seconds=3600, reason="later")
    await road.inbox.put(make_posted())
    other = make_posted(make_message(thread=make_thread("T2")))
    await road.inbox.put(other)
    assert [claim.event for claim in await road.claim()] == [other]


async def test_a_released_item_is_claimable_at_once_and_is_no_crash(road: Road) -> None:
    claim = await road.claim_event()
    await road.inbox.release([claim])
    (again,) = await road.claim()
    assert again.attempts == 2, "whoever works on it next must know that somebody has begun"
    assert again.fence > claim.fence


async def test_the_depth_tells_what_waits_and_for_how_long(road: Road) -> None:
    assert await road.inbox.depth() == await road.inbox.depth()
    await road.inbox.put(make_posted())
    await road.inbox.put(make_posted())
    depth = await road.inbox.depth()
    assert (depth.queued, depth.running, depth.parked) == (2, 0, 0)
    assert 0 <= depth.oldest_seconds < 60
    await road.claim()
    depth = await road.inbox.depth()
    assert (depth.queued, depth.running, depth.oldest_seconds) == (1, 1, 0)


async def test_waiting_ends_at_once_when_something_comes(road: Road) -> None:
    await road.claim()
    waiting = asyncio.create_task(road.inbox.wait(60))
    await asyncio.sleep(0)
    await road.inbox.put(make_posted())
    await asyncio.wait_for(waiting, 5)


async def test_what_came_since_the_last_look_is_not_waited_for(road: Road) -> None:
    await road.claim()
    await road.inbox.put(make_posted())
    await asyncio.wait_for(road.inbox.wait(60), 5)


async def test_waiting_ends_when_the_thread_becomes_free(road: Road) -> None:
    claim = await road.claim_event()
    await road.inbox.put(make_posted())
    assert await road.claim() == []
    await road.inbox.finish(claim, "answered")
    await asyncio.wait_for(road.inbox.wait(60), 5)
    assert len(await road.claim()) == 1


async def test_waiting_gives_up_after_the_timeout(road: Road) -> None:
    await road.claim()
    await asyncio.wait_for(road.inbox.wait(0.01), 5)


@pytest.mark.parametrize("text", ["nul \x00 here", "half a pair \ud83d", "\\u0000 spelt out \\\x00"])
async def test_text_that_databases_refuse_is_taken(road: Road, text: str) -> None:
    claim = await road.claim_event(make_posted(make_message(text)))
    assert claim.event.kind == "message_posted"


async def test_a_burst_is_stored_whole_and_each_thing_once(road: Road) -> None:
    events = [make_posted(make_message(thread=make_thread(f"T{n}"))) for n in range(300)]
    same_message = [
        event.model_copy(update={"delivery_id": f"again/{event.delivery_id}"}) for event in events
    ]
    stored = await asyncio.gather(*(road.inbox.put(event) for event in [*events, *events, *same_message]))
    assert stored.count(True) == 300
    assert (await road.inbox.depth()).queued == 300


async def test_a_message_with_code_points_that_a_database_cannot_hold_is_kept_all_the_same(
    road: Road,
) -> None:
    assert await road.inbox.put(make_posted(make_message("Where is\x00 the badge?")))
    (claim,) = await road.claim()
    assert isinstance(claim.event, MessagePosted)
    assert claim.event.message.text.startswith("Where is")
