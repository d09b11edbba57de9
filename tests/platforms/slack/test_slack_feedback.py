"""Emoji and thumbs under an answer become feedback; a thumbs-down may say why."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import cast

import pytest

from bot.slack.adapter import SlackAdapter
from bot.testing.slack import Fault, SlackServer
from core.messages import FeedbackGiven, FeedbackWithdrawn
from tests.contracts.adapter_harness import EventLog
from tests.platforms.slack.harness import Mode, receiving
from tests.platforms.slack.making import TURN, make_answer, make_delivery, make_question


@pytest.fixture(params=["socket", "http"])
async def adapter(
    request: pytest.FixtureRequest, slack: SlackServer, log: EventLog
) -> AsyncIterator[SlackAdapter]:
    mode = cast(Mode, request.param)
    async with receiving(slack, mode, log, feedback_emoji="parrot=1,wat=-1,tada=0") as started:
        yield started


@pytest.fixture
async def answer_id(slack: SlackServer, adapter: SlackAdapter) -> str:
    question = await make_question(slack)
    (rendered,) = adapter.render_answer(make_answer("So."), TURN)
    return await adapter.post(make_delivery(question, rendered))


def given(log: EventLog) -> list[FeedbackGiven]:
    return [event for event in log.events if isinstance(event, FeedbackGiven)]


@pytest.mark.parametrize(
    ("emoji", "symbol", "rating"),
    [
        ("+1", "+1", 1),
        ("thumbsup::skin-tone-5", "thumbsup", 1),
        ("-1::skin-tone-2", "-1", -1),
        ("white_check_mark", "white_check_mark", 1),
        ("x", "x", -1),
        ("heart", "heart", 1),
        ("parrot", "parrot", 1),
        ("wat", "wat", -1),
    ],
)
async def test_an_emoji_is_a_rating(
    slack: SlackServer,
    adapter: SlackAdapter,
    log: EventLog,
    answer_id: str,
    emoji: str,
    symbol: str,
    rating: int,
) -> None:
    await slack.react("U2", "C1", answer_id, emoji)
    event = await log.next(FeedbackGiven)
    assert (event.symbol, event.rating, event.via) == (symbol, rating, "reaction")
    assert (event.author.id, event.message_id, event.turn_id) == ("U2", answer_id, None)
    await slack.unreact("U2", "C1", answer_id, emoji)
    withdrawn = await log.next(FeedbackWithdrawn)
    assert (withdrawn.symbol, withdrawn.author.id, withdrawn.message_id) == (symbol, "U2", answer_id)
    assert withdrawn.delivery_id != event.delivery_id


async def test_emoji_without_meaning_on_others_messages_or_by_bots_are_no_feedback(
    slack: SlackServer, adapter: SlackAdapter, log: EventLog, answer_id: str
) -> None:
    somebodys = await slack.post_message("U1", "C1", "hi")
    await slack.react("U2", "C1", answer_id, "eyes")
    await slack.react("U2", "C1", answer_id, "tada")  # taken out by the setting
    await slack.react("U2", "C1", somebodys, "+1")
    await slack.react(slack.workspace.bot_user_id, "C1", answer_id, "+1")
    await slack.react("USLACKBOT", "C1", answer_id, "+1")
    slack.emit(
        {
            "type": "reaction_added",
            "user": "U2",
            "reaction": "+1",
            "item_user": "U0BOT",
            "item": {"type": "file", "file": "F1"},
            "event_ts": "1.2",
        }
    )
    await slack.settled()
    assert given(log) == []


async def test_thumbs_up_is_a_rating_and_opens_nothing(
    slack: SlackServer, adapter: SlackAdapter, log: EventLog, answer_id: str
) -> None:
    await slack.click_feedback("U2", "C1", answer_id, 1)
    await slack.settled()
    (event,) = given(log)
    assert (event.rating, event.via, event.symbol, event.turn_id) == (1, "button", "button", TURN)
    assert (event.message_id, event.comment, event.author.id) == (answer_id, None, "U2")
    assert event.channel.workspace == slack.workspace.team_id
    assert slack.api.views == {}


async def test_thumbs_down_is_a_rating_and_asks_why(
    slack: SlackServer, adapter: SlackAdapter, log: EventLog, answer_id: str
) -> None:
    await slack.click_feedback("U2", "C1", answer_id, -1)
    await slack.until(lambda: slack.api.views)
    await slack.submit_modal("U2", "  It is outdated. ")
    await slack.settled()
    click, comment = given(log)
    assert (click.rating, click.comment) == (-1, None)
    assert (comment.rating, comment.symbol, comment.comment) == (-1, "button", "It is outdated.")
    assert (comment.turn_id, comment.author.id, comment.channel) == (TURN, "U2", click.channel)
    assert comment.delivery_id != click.delivery_id


async def test_an_empty_comment_adds_nothing(
    slack: SlackServer, adapter: SlackAdapter, log: EventLog, answer_id: str
) -> None:
    await slack.click_feedback("U2", "C1", answer_id, -1)
    await slack.until(lambda: slack.api.views)
    delivery = await slack.submit_modal("U2", None)
    await slack.settled()
    assert delivery.acked
    assert len(given(log)) == 1


async def test_a_modal_that_cannot_open_costs_nothing(
    slack: SlackServer, adapter: SlackAdapter, log: EventLog, answer_id: str
) -> None:
    slack.faults.order("views.open", Fault(error="expired_trigger_id"))
    delivery = await slack.click_feedback("U2", "C1", answer_id, -1)
    await slack.until(lambda: slack.calls_of("views.open"))
    await slack.settled()
    assert delivery.acked
    assert len(given(log)) == 1


async def test_the_same_click_delivered_twice_is_one_delivery(
    slack: SlackServer, adapter: SlackAdapter, log: EventLog, answer_id: str
) -> None:
    delivery = await slack.click_feedback("U2", "C1", answer_id, 1)
    slack.redeliver(delivery)
    await slack.settled()
    first, second = given(log)
    assert first == second
    await slack.click_feedback("U2", "C1", answer_id, 1)
    await slack.settled()
    assert given(log)[-1].delivery_id != first.delivery_id
