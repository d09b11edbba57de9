"""Feedback by reaction, button and modal: what we send for it, and what comes back. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from bot.feedback_emoji import emoji_name
from bot.slack.payloads import PLATFORM, SLACKBOT, BotIdentity, Payload, parse_channel, time_of, workspace_of
from core.messages import Author, Channel, FeedbackGiven, FeedbackWithdrawn, Rating

FEEDBACK_ACTION = "threadlore_feedback"
COMMENT_VIEW = "threadlore_comment"
_COMMENT_BLOCK = "comment"
_COMMENT_INPUT = "text"
_COMMENT_MAX_CHARACTERS = 3000
_RATINGS: Mapping[str, Rating] = {"1": 1, "-1": -1}


def build_feedback_block(turn_id: UUID) -> dict[str, object]:
    """The two thumbs under an answer."""

    def button(text: str, label: str, rating: Rating) -> dict[str, object]:
        return {
            "text": {"type": "plain_text", "text": text},
            "accessibility_label": label,
            "value": f"{turn_id}:{rating}",
        }

    return {
        "type": "context_actions",
        "elements": [
            {
                "type": "feedback_buttons",
                "action_id": FEEDBACK_ACTION,
                "positive_button": button("Helpful", "This answer helped", 1),
                "negative_button": button("Not helpful", "This answer did not help", -1),
            }
        ],
    }


def build_comment_view(feedback: FeedbackGiven) -> dict[str, object]:
    """The modal that a thumbs-down opens: what was wrong? It remembers which answer it is about."""
    about = {
        "channel": feedback.channel.id,
        "private": feedback.channel.private,
        "message": feedback.message_id,
        "turn": str(feedback.turn_id),
    }
    return {
        "type": "modal",
        "callback_id": COMMENT_VIEW,
        "private_metadata": json.dumps(about),
        "title": {"type": "plain_text", "text": "What was wrong?"},
        "submit": {"type": "plain_text", "text": "Send"},
        "close": {"type": "plain_text", "text": "Skip"},
        "blocks": [
            {
                "type": "input",
                "block_id": _COMMENT_BLOCK,
                "optional": True,
                "label": {"type": "plain_text", "text": "Your comment goes to the people who run this bot."},
                "element": {
                    "type": "plain_text_input",
                    "action_id": _COMMENT_INPUT,
                    "multiline": True,
                    "max_length": _COMMENT_MAX_CHARACTERS,
                },
            }
        ],
    }


def parse_reaction(
    payload: Payload,
    event: Payload,
    bot: BotIdentity,
    ratings: Mapping[str, Rating],
    known_private: Mapping[str, bool],
) -> FeedbackGiven | FeedbackWithdrawn | None:
    """An emoji that counts, on a message of ours, by somebody else; None for any other."""
    item, user_id = event.get("item") or {}, event.get("user")
    symbol = emoji_name(event["reaction"])
    rating = ratings.get(symbol)
    if item.get("type") != "message" or rating is None:
        return None
    if event.get("item_user") not in (bot.user_id, None):  # Slack does not name the author of every message
        return None
    if not user_id or user_id in (bot.user_id, SLACKBOT):
        return None
    shared: dict[str, Any] = {
        "delivery_id": payload["event_id"],
        "channel": parse_channel(payload, item["channel"], None, known_private),
        "author": Author(id=user_id),
        "via": "reaction",
        "symbol": symbol,
        "message_id": item["ts"],
        "at": time_of(event["event_ts"]),
    }
    if event["type"] == "reaction_removed":
        return FeedbackWithdrawn(**shared)
    return FeedbackGiven(rating=rating, **shared)


def parse_interaction(
    payload: Payload, known_private: Mapping[str, bool], arrived_at: datetime
) -> FeedbackGiven | None:
    """The feedback in a button click or a submitted modal; None for any other interaction."""
    if payload.get("type") == "block_actions":
        return _parse_click(payload, known_private)
    if payload.get("type") == "view_submission" and payload["view"].get("callback_id") == COMMENT_VIEW:
        return _parse_comment(payload, arrived_at)
    return None


def _parse_click(payload: Payload, known_private: Mapping[str, bool]) -> FeedbackGiven | None:
    clicked = next((a for a in payload["actions"] if a.get("action_id") == FEEDBACK_ACTION), None)
    if clicked is None:
        return None
    turn, _, rating = clicked["value"].rpartition(":")
    container, user_id = payload["container"], payload["user"]["id"]
    channel = parse_channel(payload, container["channel_id"], None, known_private)
    return FeedbackGiven(
        delivery_id=f"click/{channel.workspace}/{user_id}/{container['message_ts']}/{clicked['action_ts']}",
        channel=channel,
        author=_author(payload["user"]),
        rating=_RATINGS[rating],
        via="button",
        symbol="button",
        message_id=container["message_ts"],
        turn_id=UUID(turn),
        at=time_of(clicked["action_ts"]),
    )


def _parse_comment(payload: Payload, arrived_at: datetime) -> FeedbackGiven | None:
    view, workspace = payload["view"], workspace_of(payload)
    about = json.loads(view["private_metadata"])
    comment = (view["state"]["values"][_COMMENT_BLOCK][_COMMENT_INPUT].get("value") or "").strip()
    if not comment:
        return None
    return FeedbackGiven(
        delivery_id=f"comment/{workspace}/{view['id']}",
        channel=Channel(
            platform=PLATFORM, workspace=workspace, id=about["channel"], private=about["private"]
        ),
        author=_author(payload["user"]),
        rating=-1,
        via="button",
        symbol="button",
        comment=comment[:_COMMENT_MAX_CHARACTERS],
        message_id=about["message"],
        turn_id=UUID(about["turn"]),
        at=arrived_at,
    )


def _author(user: Payload) -> Author:
    return Author(id=user["id"], name=str(user.get("name") or user.get("username") or ""))
