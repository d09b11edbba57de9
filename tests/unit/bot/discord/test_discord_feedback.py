"""Reactions, buttons and comments become Events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from bot.discord.events import Place
from bot.discord.feedback import (
    build_comment_form_id,
    parse_button,
    parse_comment,
    parse_reaction,
    render_buttons,
)
from bot.feedback_emoji import parse_emoji_ratings
from core.messages import FeedbackGiven, FeedbackWithdrawn

BOT, ALICE = "1100000000000000001", "1200000000000000002"
TURN = UUID("12345678-1234-5678-1234-567812345678")
NOW = datetime(2026, 11, 22, tzinfo=UTC)
RATINGS = parse_emoji_ratings("party_parrot=1")


def reaction(emoji: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """MESSAGE_REACTION_ADD as the gateway sends it."""
    return {
        "user_id": ALICE,
        "type": 0,
        "message_id": "1300000000000000002",
        "message_author_id": BOT,
        "member": {
            "user": {"id": ALICE, "username": "alice", "global_name": "Alice"},
            "nick": "Al",
            "roles": [],
        },
        "emoji": emoji,
        "channel_id": "910000000000000002",
        "guild_id": "900000000000000001",
        "burst": False,
    } | changes


def parsed(payload: dict[str, Any], *, removed: bool = False) -> FeedbackGiven | FeedbackWithdrawn | None:
    return parse_reaction(payload, Place(), BOT, RATINGS, removed=removed, delivery_id="reaction/s/1", at=NOW)


@pytest.mark.parametrize(
    ("emoji", "symbol", "rating"),
    [
        ({"id": None, "name": "👍"}, "👍", 1),
        ({"id": None, "name": "👍🏿"}, "👍", 1),
        ({"id": None, "name": "👎🏻"}, "👎", -1),
        ({"id": None, "name": "❤️"}, "❤", 1),
        ({"id": "55", "name": "party_parrot", "animated": True}, "party_parrot", 1),
    ],
)
def test_emoji_that_count_become_feedback(emoji: dict[str, Any], symbol: str, rating: int) -> None:
    event = parsed(reaction(emoji))
    assert isinstance(event, FeedbackGiven)
    assert (event.symbol, event.rating, event.via) == (symbol, rating, "reaction")
    assert (event.message_id, event.author.id, event.author.name) == ("1300000000000000002", ALICE, "Al")


@pytest.mark.parametrize("emoji", [{"id": None, "name": "🍕"}, {"id": "5", "name": None}])
def test_other_emoji_are_nothing(emoji: dict[str, Any]) -> None:
    assert parsed(reaction(emoji)) is None


def test_a_removal_takes_the_mark_back_though_it_names_less() -> None:
    removal = reaction({"id": None, "name": "👍🏿"})
    del removal["member"], removal["message_author_id"]
    event = parsed(removal, removed=True)
    assert isinstance(event, FeedbackWithdrawn)
    assert event.symbol == "👍"


@pytest.mark.parametrize(
    "changes",
    [
        {"message_author_id": "77"},
        {"user_id": BOT},
        {"member": {"user": {"id": ALICE, "username": "robot", "bot": True}}},
    ],
)
def test_marks_of_bots_and_on_messages_of_others_do_not_count(changes: dict[str, Any]) -> None:
    assert parsed(reaction({"id": None, "name": "👍"}, **changes)) is None


def interaction(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "1400000000000000001",
        "channel_id": "910000000000000002",
        "guild_id": "900000000000000001",
        "user": {"id": ALICE, "username": "alice", "global_name": "Alice"},
        "member": {"nick": None},
        "data": data,
    }


@pytest.mark.parametrize(("position", "rating"), [(0, 1), (1, -1)])
def test_the_buttons_rate_their_turn(position: int, rating: int) -> None:
    button = render_buttons(TURN)[0]["components"][position]
    assert len(button["custom_id"]) <= 100
    event = parse_button(
        interaction({"custom_id": button["custom_id"], "component_type": 2}), Place(), BOT, NOW
    )
    assert event is not None
    assert (event.rating, event.turn_id, event.via, event.symbol) == (rating, TURN, "button", "button")


@pytest.mark.parametrize(
    "id_", ["", "other:1", "threadlore:feedback:zz:up", f"threadlore:feedback:{TURN.hex}:up "]
)
def test_other_buttons_are_nothing(id_: str) -> None:
    assert parse_button(interaction({"custom_id": id_}), Place(), BOT, NOW) is None


@pytest.mark.parametrize(
    "components",
    [
        [{"type": 18, "id": 1, "component": {"type": 4, "id": 2, "custom_id": "c", "value": " too short "}}],
        [{"type": 1, "components": [{"type": 4, "custom_id": "c", "value": "too short"}]}],
    ],
)
def test_a_comment_is_read_from_rows_and_labels(components: list[dict[str, Any]]) -> None:
    form = {"custom_id": build_comment_form_id(TURN), "components": components}
    event = parse_comment(interaction(form), Place(), BOT, NOW)
    assert event is not None
    assert (event.comment, event.rating, event.turn_id) == ("too short", -1, TURN)


def test_an_empty_comment_is_nothing() -> None:
    components = [{"type": 18, "component": {"type": 4, "custom_id": "c", "value": "  "}}]
    form = {"custom_id": build_comment_form_id(TURN), "components": components}
    assert parse_comment(interaction(form), Place(), BOT, NOW) is None
