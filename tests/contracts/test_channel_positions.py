"""What every store of channel positions promises."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from core.listening import position_of
from core.messages import Channel
from core.testing.making import make_channel, make_thread
from tests.contracts.roads import Road

ONE, OTHER = make_channel("C1"), make_channel("C2", workspace="W2")
NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("999999999999999999", "1000000000000000000"),
        ("1425871234567890123", "1425871234567890124"),
        ("1767614400.000100", "1767614400.000200"),
        ("999999999.999999", "1000000000.000000"),
        ("1767614400.9", "1767614401.000001"),
    ],
)
async def test_a_position_follows_the_order_of_the_platform_and_never_goes_back(
    road: Road, earlier: str, later: str
) -> None:
    await road.positions.advance({ONE: earlier})
    await road.positions.advance({ONE: later})
    await road.positions.advance({ONE: earlier})
    assert await road.positions.of_platform("console") == {ONE: later}


async def test_an_id_comes_back_as_it_was_written(road: Road) -> None:
    await road.positions.advance({ONE: "1767614400.000100"})
    assert list((await road.positions.of_platform("console")).values()) == ["1767614400.000100"]


async def test_each_channel_has_a_position_of_its_own(road: Road) -> None:
    same_id = make_channel("C1", workspace="W2")
    elsewhere = make_channel("C1", platform="discord")
    await road.positions.advance({ONE: "1", OTHER: "2", same_id: "3", elsewhere: "4"})
    await road.positions.advance({OTHER: "5"})
    assert await road.positions.of_platform("console") == {ONE: "1", OTHER: "5", same_id: "3"}
    assert await road.positions.of_platform("discord") == {elsewhere: "4"}
    assert await road.positions.of_platform("slack") == {}


async def test_a_channel_comes_back_with_its_newest_facts(road: Road) -> None:
    thread = Channel(platform="console", workspace="W1", id="C1", private=True, parent="C0")
    await road.positions.advance({ONE: "1"})
    await road.positions.advance({thread: "2"})
    assert await road.positions.of_platform("console") == {thread: "2"}


async def test_a_channel_named_twice_takes_the_newest(road: Road) -> None:
    private = ONE.model_copy(update={"private": True})
    await road.positions.advance({ONE: "10", private: "9"})
    assert await road.positions.of_platform("console") == {ONE: "10"}


@pytest.mark.parametrize("wrong", ["", "abc", "-1", "1e9", "NaN", "1.", "١٢", "1 "])
async def test_an_id_without_an_order_is_refused_and_nothing_is_stored(road: Road, wrong: str) -> None:
    with pytest.raises(ValueError, match="not a decimal number"):
        await road.positions.advance({ONE: "1", OTHER: wrong})
    assert await road.positions.of_platform("console") == {}
    with pytest.raises(ValueError, match="not a decimal number"):
        position_of(wrong)


async def test_nothing_to_note_is_fine(road: Road) -> None:
    await road.positions.advance({})
    assert await road.positions.of_platform("console") == {}


async def test_what_was_heard_until_never_goes_back(road: Road) -> None:
    assert await road.positions.heard_until("console", "W1") is None
    await road.positions.note_heard("console", "W1", NOON)
    await road.positions.note_heard("console", "W1", NOON - timedelta(hours=1))
    assert await road.positions.heard_until("console", "W1") == NOON
    await road.positions.note_heard("console", "W1", NOON + timedelta(seconds=1))
    assert await road.positions.heard_until("console", "W1") == NOON + timedelta(seconds=1)
    assert await road.positions.heard_until("console", "W2") is None


async def test_forgetting_a_workspace_forgets_how_far_it_was_heard(road: Road) -> None:
    for workspace in ("W1", "W2"):
        await road.positions.note_heard("console", workspace, NOON)
    await road.positions.advance({ONE: "1", OTHER: "2"})
    await road.turns.forget_workspace("console", "W1")
    assert await road.positions.of_platform("console") == {OTHER: "2"}
    assert await road.positions.heard_until("console", "W1") is None
    assert await road.positions.heard_until("console", "W2") == NOON


async def test_forgetting_a_thread_forgets_the_position_of_a_channel_that_is_the_thread(road: Road) -> None:
    await road.positions.advance({ONE: "1", OTHER: "2"})
    await road.turns.forget_thread(make_thread("T1", channel=ONE))
    assert await road.positions.of_platform("console") == {ONE: "1", OTHER: "2"}
    await road.turns.forget_thread(make_thread("C1", channel=ONE))
    assert await road.positions.of_platform("console") == {OTHER: "2"}
