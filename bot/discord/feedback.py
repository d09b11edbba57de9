"""Reactions, feedback buttons and the comment that may follow → Events, and the ids they travel under. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from bot.discord.events import Payload, Place, parse_author, parse_channel
from bot.feedback_emoji import emoji_name
from core.messages import FeedbackGiven, FeedbackWithdrawn, Rating

_BUTTON = re.compile(r"threadlore:feedback:(?P<turn>[0-9a-f]{32}):(?P<mark>up|down)")
_COMMENT = re.compile(r"threadlore:comment:(?P<turn>[0-9a-f]{32})")


def render_buttons(turn_id: UUID) -> list[dict[str, Any]]:
    """A row with a thumb up and a thumb down, which work for as long as the message stands."""
    buttons = [
        {
            "type": 2,
            "style": 2,
            "emoji": {"name": emoji},
            "custom_id": f"threadlore:feedback:{turn_id.hex}:{mark}",
        }
        for emoji, mark in (("👍", "up"), ("👎", "down"))
    ]
    return [{"type": 1, "components": buttons}]


def build_comment_form_id(turn_id: UUID) -> str:
    """The id of the form that asks what was wrong."""
    return f"threadlore:comment:{turn_id.hex}"


def parse_reaction(
    payload: Payload,
    place: Place,
    self_id: str,
    ratings: Mapping[str, Rating],
    *,
    removed: bool,
    delivery_id: str,
    at: datetime,
) -> FeedbackGiven | FeedbackWithdrawn | None:
    """MESSAGE_REACTION_ADD, or MESSAGE_REACTION_REMOVE when `removed`.

    None for other emoji, and for bots and marks on messages of others as far as the payload shows them: a
    removal names neither, an addition in a DM no bots.
    """
    symbol = emoji_name(str(payload["emoji"].get("name") or ""))
    rating = ratings.get(symbol)
    member = payload.get("member") or {}
    author = parse_author({**member.get("user", {}), "id": payload["user_id"]}, self_id, member)
    of_others = str(payload.get("message_author_id", self_id)) != self_id
    if rating is None or of_others or author.is_self or author.is_bot:
        return None
    shared: dict[str, Any] = {
        "delivery_id": delivery_id,
        "channel": parse_channel(payload, place),
        "author": author,
        "via": "reaction",
        "symbol": symbol,
        "message_id": str(payload["message_id"]),
        "at": at,
    }
    return FeedbackWithdrawn(**shared) if removed else FeedbackGiven(rating=rating, **shared)


def parse_button(payload: Payload, place: Place, self_id: str, at: datetime) -> FeedbackGiven | None:
    """INTERACTION_CREATE of a component: one of our two buttons."""
    match = _BUTTON.fullmatch(str(payload["data"].get("custom_id", "")))
    if match is None:
        return None
    rating: Rating = 1 if match["mark"] == "up" else -1
    return _given(payload, place, self_id, at, UUID(match["turn"]), rating)


def parse_comment(payload: Payload, place: Place, self_id: str, at: datetime) -> FeedbackGiven | None:
    """INTERACTION_CREATE of our form; None also when it was left empty."""
    match = _COMMENT.fullmatch(str(payload["data"].get("custom_id", "")))
    comment = "\n".join(_typed_texts(payload["data"].get("components", ()))).strip()
    if match is None or not comment:
        return None
    return _given(payload, place, self_id, at, UUID(match["turn"]), -1, comment)


def _given(
    payload: Payload,
    place: Place,
    self_id: str,
    at: datetime,
    turn_id: UUID,
    rating: Rating,
    comment: str | None = None,
) -> FeedbackGiven:
    return FeedbackGiven(
        delivery_id=f"interaction/{payload['id']}",
        channel=parse_channel(payload, place),
        author=parse_author(payload["user"], self_id, payload.get("member")),
        rating=rating,
        via="button",
        symbol="button",
        comment=comment,
        turn_id=turn_id,
        at=at,
    )


def _typed_texts(components: Any) -> Iterator[str]:
    """The values of all text inputs, in whatever rows and labels they sit."""
    for component in components or ():
        if component.get("value"):
            yield str(component["value"])
        yield from _typed_texts(component.get("components"))
        if component.get("component"):
            yield from _typed_texts([component["component"]])
