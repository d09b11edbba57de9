"""From HTTP bodies to Events. Pure, but for fresh ids and the clock."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

from bot.asking import make_question
from bot.web.adapter import WEB_CHANNEL
from bot.web.models import Question, Rating
from core.messages import Author, FeedbackGiven, FeedbackWithdrawn, Message

UNNAMED = "api"
"""The author of what programs ask and rate without saying for whom."""


def parse_question(body: Question) -> Message:
    """A message in the web channel, in the thread named or in a new one."""
    return make_question(WEB_CHANNEL, parse_author(body.author), body.text, thread=body.thread)


def parse_author(name: str | None) -> Author:
    return Author(id=name or UNNAMED)


def parse_rating(turn_id: UUID, body: Rating) -> FeedbackGiven | FeedbackWithdrawn:
    """Each rating is a delivery of its own: pressing a button again says something new."""
    delivery_id = f"web/feedback/{uuid4().hex}"
    author, at = parse_author(body.author), datetime.now(UTC)
    if body.rating is None:
        return FeedbackWithdrawn(
            delivery_id=delivery_id,
            channel=WEB_CHANNEL,
            author=author,
            via="button",
            symbol="button",
            turn_id=turn_id,
            at=at,
        )
    return FeedbackGiven(
        delivery_id=delivery_id,
        channel=WEB_CHANNEL,
        author=author,
        rating=body.rating,
        via="button",
        symbol="button",
        comment=body.comment or None,
        turn_id=turn_id,
        at=at,
    )
