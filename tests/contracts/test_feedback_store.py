"""What every store of feedback promises."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

from core.testing.making import START, make_author, make_given, make_withdrawn
from tests.contracts.roads import Road

LATER = START + timedelta(minutes=1)
LATEST = START + timedelta(minutes=2)


async def test_a_rating_is_stored_as_it_stands(road: Road) -> None:
    turn_id = uuid4()
    standing = await road.feedback.apply(turn_id, make_given(1, comment="just what I needed"))
    assert standing is not None
    assert (standing.rating, standing.via, standing.comment, standing.at) == (
        1,
        "reaction",
        "just what I needed",
        START,
    )
    assert await road.feedback.of_turn(turn_id) == [standing]


async def test_a_change_of_mind_replaces_and_a_removal_withdraws(road: Road) -> None:
    turn_id = uuid4()
    await road.feedback.apply(turn_id, make_given(1))
    changed = await road.feedback.apply(turn_id, make_given(-1, at=LATER))
    assert changed is not None
    assert changed.rating == -1
    back = await road.feedback.apply(turn_id, make_withdrawn("thumbsdown", at=LATEST))
    assert back is not None
    assert (back.rating, back.withdrawn_at) == (1, None)
    gone = await road.feedback.apply(turn_id, make_withdrawn("thumbsup", at=LATEST))
    assert gone is not None
    assert gone.withdrawn_at == LATEST
    assert await road.feedback.of_turn(turn_id) == [gone]


async def test_each_author_and_turn_has_one_rating(road: Road) -> None:
    one, other = uuid4(), uuid4()
    for turn_id in (one, other):
        for author in ("U1", "U2"):
            for rating in (1, -1):
                await road.feedback.apply(turn_id, make_given(rating, author=make_author(author)))
    assert len(await road.feedback.of_turn(one)) == 2
    assert len([feedback async for feedback in road.feedback.export()]) == 4


async def test_a_removal_that_comes_first_leaves_nothing_and_is_not_forgotten(road: Road) -> None:
    turn_id = uuid4()
    assert await road.feedback.apply(turn_id, make_withdrawn(at=LATER)) is None
    assert await road.feedback.of_turn(turn_id) == []
    assert await road.feedback.untraced(10) == []
    late = await road.feedback.apply(turn_id, make_given(at=START))
    assert late is not None
    assert late.withdrawn_at == LATER


async def test_bots_do_not_rate(road: Road) -> None:
    turn_id = uuid4()
    assert await road.feedback.apply(turn_id, make_given(author=make_author(is_bot=True))) is None
    assert await road.feedback.apply(turn_id, make_given(author=make_author(is_self=True))) is None
    assert [feedback async for feedback in road.feedback.export()] == []


async def test_concurrent_marks_of_one_author_all_count(road: Road) -> None:
    turn_id = uuid4()
    marks = [make_given(symbol=f"s{number}", at=START + timedelta(seconds=number)) for number in range(8)]
    await asyncio.gather(*(road.feedback.apply(turn_id, mark) for mark in marks))
    for mark in marks[1:]:
        await road.feedback.apply(turn_id, make_withdrawn(mark.symbol, at=LATER))
    (standing,) = await road.feedback.of_turn(turn_id)
    assert (standing.at, standing.withdrawn_at) == (START, None)


async def test_what_changed_is_untraced_until_it_arrived_as_it_stands(road: Road) -> None:
    one, other = uuid4(), uuid4()
    await road.feedback.apply(one, make_given(1, comment="good"))
    await road.feedback.apply(other, make_given(1))
    read = await road.feedback.untraced(10)
    assert [feedback.turn_id for feedback in read] == [one, other]
    assert await road.feedback.untraced(1) == read[:1]
    await road.feedback.apply(one, make_given(-1, at=LATER))
    await road.feedback.mark_traced(read)
    (left,) = await road.feedback.untraced(10)
    assert (left.turn_id, left.rating) == (one, -1)
    await road.feedback.mark_traced([left])
    assert await road.feedback.untraced(10) == []
    await road.feedback.apply(one, make_withdrawn("thumbsdown", at=LATEST))
    await road.feedback.apply(one, make_withdrawn("thumbsup", at=LATEST))
    (withdrawn,) = await road.feedback.untraced(10)
    assert withdrawn.withdrawn_at == LATEST


async def test_a_repeated_event_changes_nothing(road: Road) -> None:
    event = make_given()
    turn_id = uuid4()
    first = await road.feedback.apply(turn_id, event)
    assert first is not None
    await road.feedback.mark_traced([first])
    assert await road.feedback.apply(turn_id, event) == first
    assert await road.feedback.untraced(10) == []


async def test_export_gives_all_oldest_first(road: Road) -> None:
    moments = [START + timedelta(seconds=seconds) for seconds in (3, 1, 2, 2)]
    for number, moment in enumerate(moments):
        await road.feedback.apply(uuid4(), make_given(author=make_author(f"U{number}"), at=moment))
    assert [feedback.at async for feedback in road.feedback.export()] == sorted(moments)
