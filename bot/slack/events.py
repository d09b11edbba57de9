"""Slack's payloads parsed into Events. Pure: no calls, no clock, nothing remembered.

A payload that is not for us, or not news, is None. Reactions, buttons and modals are in bot.slack.feedback.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from bot.slack.feedback import parse_interaction, parse_reaction
from bot.slack.mrkdwn import markdown_of, mentions
from bot.slack.payloads import SLACKBOT, BotIdentity, Payload, parse_channel, time_of
from core.messages import (
    Addressing,
    Author,
    Channel,
    Event,
    Message,
    MessageDeleted,
    MessageEdited,
    MessageHeard,
    MessagePosted,
    Rating,
    Thread,
)

_WRITTEN_BY_PEOPLE = frozenset({None, "file_share", "thread_broadcast", "me_message", "bot_message"})


def parse_payload(
    payload: Payload,
    bot: BotIdentity,
    ratings: Mapping[str, Rating],
    known_private: Mapping[str, bool] = MappingProxyType({}),
    *,
    arrived_at: datetime,
) -> Event | None:
    """The Event in an Events API or interaction payload, or None. `known_private`: as in parse_channel.
    `arrived_at` stands in for the time of what bears none, a submitted modal."""
    if payload.get("type") != "event_callback":
        return parse_interaction(payload, known_private, arrived_at)
    event = payload["event"]
    match event.get("type"), event.get("subtype"):
        case ("message", "message_changed"):
            return _parse_edit(payload, event, bot, known_private)
        case ("message", "message_deleted"):
            return _deleted(payload, event, event["deleted_ts"], known_private)
        case ("message" | "app_mention", _):
            return _parse_posted(payload, event, bot, known_private)
        case ("reaction_added" | "reaction_removed", _):
            return parse_reaction(payload, event, bot, ratings, known_private)
        case _:
            return None


def is_echo(payload: Payload) -> bool:
    """Whether the payload only tells us that we ourselves posted or edited something."""
    event = payload.get("event")
    authorizations = payload.get("authorizations")
    if not isinstance(event, dict) or event.get("type") != "message" or not authorizations:
        return False
    subtype = event.get("subtype")
    if subtype not in (None, "message_changed"):
        return False
    message = event if subtype is None else event.get("message") or {}
    who = authorizations[0]
    return bool(who.get("is_bot")) and message.get("user") == who.get("user_id") is not None


def heard_message(
    payload: Payload, known_private: Mapping[str, bool] = MappingProxyType({})
) -> tuple[Channel, str] | None:
    """Where a new message stands, for us or not; None for anything else."""
    event = payload.get("event") or {}
    ts, channel_id = event.get("ts"), event.get("channel")
    is_new = event.get("type") in ("message", "app_mention") and not event.get("hidden")
    if not is_new or not isinstance(ts, str) or not isinstance(channel_id, str):
        return None
    return parse_channel(payload, channel_id, event.get("channel_type"), known_private), ts


def author_of(message: Payload, bot: BotIdentity) -> Author | None:
    """Who wrote it; None when nobody did (a join, a topic)."""
    user_id, bot_id = message.get("user"), message.get("bot_id")
    if not user_id and not bot_id:
        return None
    is_self = user_id == bot.user_id or (bot_id is not None and bot_id == bot.bot_id)
    profile = message.get("user_profile") or message.get("bot_profile") or {}
    name = profile.get("display_name") or profile.get("name") or message.get("username") or ""
    is_bot = bool(bot_id) or is_self or user_id == SLACKBOT
    return Author(id=str(user_id or bot_id), name=str(name), is_bot=is_bot, is_self=is_self)


def parse_history(message: Payload, channel: Channel, bot: BotIdentity) -> Message | None:
    """A message read back from a channel, if a person said it to other people; None if not."""
    author = author_of(message, bot)
    if author is None or author.is_bot or message.get("subtype") not in _WRITTEN_BY_PEOPLE:
        return None
    if not message.get("text") or mentions(message["text"], bot.user_id):
        return None
    return message_of(message, channel, author, bot)


def message_of(message: Payload, channel: Channel, author: Author, bot: BotIdentity) -> Message:
    """Slack's message as ours; the thread of a message outside any thread is the one it would start."""
    ts, edited = str(message["ts"]), message.get("edited") or {}
    return Message(
        id=ts,
        thread=Thread(channel=channel, id=str(message.get("thread_ts") or ts)),
        author=author,
        text=markdown_of(message.get("text") or "", bot.user_id),
        at=time_of(ts),
        edited_at=time_of(str(edited["ts"])) if edited.get("ts") else None,
    )


def _addressing(message: Payload, kind: str | None, bot: BotIdentity) -> Addressing | None:
    if kind == "im" or message.get("channel", "").startswith("D"):
        return "direct"
    if mentions(message.get("text") or "", bot.user_id):
        return "mention"
    return "thread" if _stands_in_thread(message) else None


def _stands_in_thread(message: Payload) -> bool:
    return message.get("thread_ts") not in (None, message["ts"])


def _parse_posted(
    payload: Payload, event: Payload, bot: BotIdentity, known: Mapping[str, bool]
) -> MessagePosted | MessageHeard | None:
    author = author_of(event, bot)
    if author is None or author.is_self or event.get("subtype") not in _WRITTEN_BY_PEOPLE:
        return None
    addressing = _addressing(event, event.get("channel_type"), bot)
    if author.is_bot and addressing in (None, "thread"):
        return None
    channel = parse_channel(payload, event["channel"], event.get("channel_type"), known)
    if addressing is None:
        message = message_of(event, channel, author, bot)
        return MessageHeard(delivery_id=payload["event_id"], message=message) if message.text else None
    return MessagePosted(
        delivery_id=payload["event_id"],
        message=message_of(event, channel, author, bot),
        addressing=addressing,
        summoned_midway=_stands_in_thread(event),
        reply_handle=_team_of_author(event, channel.workspace),
    )


def _team_of_author(event: Payload, workspace: str) -> str:
    """A streamed reply names the team of its reader, which in a shared channel may not be ours."""
    for team in (event.get("user_team"), event.get("source_team"), event.get("team")):
        if isinstance(team, str) and team.startswith("T"):
            return team
    return workspace


def _parse_edit(
    payload: Payload, event: Payload, bot: BotIdentity, known: Mapping[str, bool]
) -> MessageEdited | MessageDeleted | None:
    message = event["message"]
    if message.get("subtype") == "tombstone":
        return _deleted(payload, event, message["ts"], known)
    author = author_of(message, bot)
    if author is None or author.is_bot or message.get("subtype") not in _WRITTEN_BY_PEOPLE:
        return None
    previous = event.get("previous_message")
    if previous is not None and previous.get("text") == message.get("text"):
        return None
    channel = parse_channel(payload, event["channel"], event.get("channel_type"), known)
    return MessageEdited(
        delivery_id=payload["event_id"],
        message=message_of(message, channel, author, bot),
        addressing=_addressing({**message, "channel": channel.id}, event.get("channel_type"), bot),
        reply_handle=_team_of_author(message, channel.workspace),
    )


def _deleted(payload: Payload, event: Payload, ts: str, known: Mapping[str, bool]) -> MessageDeleted:
    return MessageDeleted(
        delivery_id=payload["event_id"],
        channel=parse_channel(payload, event["channel"], event.get("channel_type"), known),
        message_id=str(ts),
        at=time_of(event.get("event_ts") or event.get("ts") or ts),
    )
