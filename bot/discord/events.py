"""Gateway payloads → Events. Pure: what a payload does not say about its channel comes in as a Place.

Which Thread a message belongs to, without any state of ours:
- in a Discord thread or a DM, the channel is the Thread;
- elsewhere a mention begins a Thread named after the message, and a reply to one of our posts goes on
  with the Thread of that post. Every post of ours refers to the message that began its Thread, so the
  reference of our post names it. Only a command has no message to refer to: its answer carries the
  command's id, and later posts refer to that answer (`root_to_look_up`, `reply_handle`).

A DM is a workspace of its own, `dm:<channel id>`: that id stands in every payload and never changes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from core.messages import (
    Addressing,
    Author,
    Channel,
    Message,
    MessageDeleted,
    MessageEdited,
    MessageHeard,
    MessagePosted,
    Thread,
)

PLATFORM = "discord"
Payload = Mapping[str, Any]

DEFAULT_MESSAGE, REPLY = 0, 19
_MENTION = re.compile(r"<(?P<kind>@[!&]?|#)(?P<id>\d{1,20})>")
_EMOJI = re.compile(r"<a?:(\w{2,32}):\d{1,20}>")
_COMMAND = re.compile(r"</([^:>\n]{1,100}):\d{1,20}>")
_TIME = re.compile(r"<t:(-?\d{1,12})(?::[tTdDfFR])?>")


@dataclass(frozen=True)
class Place:
    """What is known of a channel beyond a payload. The defaults are for a channel that nothing is known of:
    private, so that nothing is shown to it by mistake. `names` holds roles and channels by id. `is_confined`: a
    private thread, which not everybody in its parent can read."""

    private: bool = True
    is_thread: bool = False
    is_confined: bool = False
    parent: str | None = None
    own_role: str | None = None
    names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def parse_channel(payload: Payload, place: Place) -> Channel:
    """Where a payload happened: a guild's channel, or a DM, which is private to one person."""
    channel_id = str(payload["channel_id"])
    if payload.get("guild_id") is None:
        return Channel(platform=PLATFORM, workspace=f"dm:{channel_id}", id=channel_id, private=True)
    return Channel(
        platform=PLATFORM,
        workspace=str(payload["guild_id"]),
        id=channel_id,
        private=place.private,
        parent=place.parent,
    )


def parse_author(
    user: Payload, self_id: str, member: Payload | None = None, *, webhook: bool = False
) -> Author:
    """A person by the name that others see: nickname, display name or user name."""
    name = (member or {}).get("nick") or user.get("global_name") or user.get("username") or ""
    return Author(
        id=str(user["id"]),
        name=str(name),
        is_bot=bool(user.get("bot")) or bool(user.get("system")) or webhook,
        is_self=str(user["id"]) == self_id,
    )


def parse_message(
    payload: Payload, place: Place, self_id: str, roots: Mapping[str, str] | None = None
) -> MessagePosted | MessageHeard | None:
    """MESSAGE_CREATE. None for what we wrote ourselves, what the platform wrote, and what is without words and not for us.

    `roots` holds what became of `root_to_look_up`.
    """
    if not _is_from_somebody_else(payload, self_id):
        return None
    addressing = _addressing(payload, place, self_id)
    message = _message(payload, place, self_id, roots or {})
    if (addressing in (None, "thread") and not message.text) or _is_withheld(payload):
        return None
    if addressing is None:
        heard = MessageHeard(delivery_id=f"message/{message.id}", message=message)
        return None if message.author.is_bot else heard
    replies_to_others = payload.get("message_reference") is not None and not _is_reply_to_us(payload, self_id)
    return MessagePosted(
        delivery_id=f"message/{message.id}",
        message=message,
        addressing=addressing,
        summoned_midway=addressing == "mention" and (place.is_thread or replies_to_others),
        reply_handle=_reply_handle(payload, message.thread, self_id, roots or {}),
    )


def parse_edit(
    payload: Payload, place: Place, self_id: str, roots: Mapping[str, str] | None = None
) -> MessageEdited | None:
    """MESSAGE_UPDATE. None when nobody changed the text: link previews and pins arrive as updates too."""
    if not payload.get("edited_timestamp") or "content" not in payload or "author" not in payload:
        return None
    if not _is_from_somebody_else(payload, self_id):
        return None
    addressing = _addressing(payload, place, self_id)
    message = _message(payload, place, self_id, roots or {})
    return MessageEdited(
        delivery_id=f"edit/{message.id}/{payload['edited_timestamp']}",
        message=message,
        addressing=addressing,
        reply_handle=_reply_handle(payload, message.thread, self_id, roots or {}),
    )


def parse_deletions(payload: Payload, place: Place, at: datetime) -> list[MessageDeleted]:
    """MESSAGE_DELETE and MESSAGE_DELETE_BULK."""
    channel = parse_channel(payload, place)
    ids = payload["ids"] if "ids" in payload else [payload["id"]]
    return [
        MessageDeleted(delivery_id=f"delete/{id_}", channel=channel, message_id=str(id_), at=at)
        for id_ in ids
    ]


def parse_history(payload: Payload, place: Place, self_id: str) -> Message | None:
    """A message read back from a channel; a thread's opening is shown by the message it began with."""
    opening = payload.get("referenced_message")
    if payload.get("type") == 21 and opening:
        payload = {**opening, "channel_id": payload["channel_id"], "guild_id": payload.get("guild_id")}
    if payload.get("type") not in (DEFAULT_MESSAGE, REPLY, 20) or not payload.get("content"):
        return None
    return _message(payload, place, self_id, {})


def parse_said(payload: Payload, place: Place, self_id: str) -> Message | None:
    """A message read back from a channel, if a person said it to other people; None if not."""
    is_said = payload.get("type", 0) in (DEFAULT_MESSAGE, REPLY)
    if not is_said or _addressing(payload, place, self_id) not in (None, "thread"):
        return None
    message = _message(payload, place, self_id, {})
    return None if message.author.is_bot or not message.text else message


def root_to_look_up(payload: Payload, self_id: str) -> str | None:
    """The message that our answered post refers to, if this is a reply to a post of ours that refers to one.

    It may be the answer to a command: then the Thread is the command's (`parse_root`).
    """
    answered = payload.get("referenced_message")
    if payload.get("guild_id") is None or not _is_reply_to_us(payload, self_id) or not answered:
        return None
    if _command_of(answered):
        return None
    return _reference_of(answered)


def parse_root(payload: Payload, self_id: str) -> str:
    """The id of the Thread that a message began: the command's, where the message is our answer to one."""
    if str(payload["author"]["id"]) == self_id:
        return _command_of(payload) or str(payload["id"])
    return str(payload["id"])


def mentioned_ids(content: str) -> set[str]:
    """The roles and channels that a text names."""
    return {m["id"] for m in _MENTION.finditer(content) if m["kind"] in ("@&", "#")}


def parse_reply_reference(reply_handle: str | None) -> str | None:
    """The message to refer to when answering, where it is not the one that began the Thread."""
    if reply_handle is None:
        return None
    reference = json.loads(reply_handle).get("reference")
    return str(reference) if reference else None


def _is_from_somebody_else(payload: Payload, self_id: str) -> bool:
    return payload.get("type", 0) in (DEFAULT_MESSAGE, REPLY) and str(payload["author"]["id"]) != self_id


def _is_withheld(payload: Payload) -> bool:
    """Whether Discord kept the content back, as it does without the Message Content intent, from a message
    in a server that does not name us: nothing at all is in it."""
    shown = ("content", "attachments", "embeds", "components", "sticker_items", "poll")
    return payload.get("guild_id") is not None and not any(payload.get(field) for field in shown)


def _is_reply_to_us(payload: Payload, self_id: str) -> bool:
    answered = payload.get("referenced_message")
    return answered is not None and str(answered["author"]["id"]) == self_id


def _addressing(payload: Payload, place: Place, self_id: str) -> Addressing | None:
    if payload.get("guild_id") is None:
        return "direct"
    if any(str(user["id"]) == self_id for user in payload.get("mentions", ())):
        return "mention"
    roles = {str(role) for role in payload.get("mention_roles", ())}
    if place.own_role in roles or _is_reply_to_us(payload, self_id):
        return "mention"
    return "thread" if place.is_thread else None


def _message(payload: Payload, place: Place, self_id: str, roots: Mapping[str, str]) -> Message:
    channel, edited = parse_channel(payload, place), payload.get("edited_timestamp")
    return Message(
        id=str(payload["id"]),
        thread=Thread(channel=channel, id=_thread_id(payload, channel, place, self_id, roots)),
        author=parse_author(
            payload["author"], self_id, payload.get("member"), webhook=payload.get("webhook_id") is not None
        ),
        text=_text(payload, place, self_id),
        at=datetime.fromisoformat(payload["timestamp"]),
        edited_at=datetime.fromisoformat(edited) if edited else None,
        confined=place.is_confined,
    )


def _thread_id(
    payload: Payload, channel: Channel, place: Place, self_id: str, roots: Mapping[str, str]
) -> str:
    if place.is_thread or payload.get("guild_id") is None:
        return channel.id
    if not _is_reply_to_us(payload, self_id):
        return str(payload["id"])
    answered = payload["referenced_message"]
    if command := _command_of(answered):
        return command
    reference = _reference_of(answered)
    return roots.get(reference, reference) if reference else str(answered["id"])


def _reply_handle(payload: Payload, thread: Thread, self_id: str, roots: Mapping[str, str]) -> str | None:
    """Where the Thread began with a command: the answer to it, which our posts refer to instead."""
    if not _is_reply_to_us(payload, self_id) or thread.id == thread.channel.id:
        return None
    answered = payload["referenced_message"]
    reference = str(answered["id"]) if _command_of(answered) else _reference_of(answered)
    return json.dumps({"reference": reference}) if reference and reference != thread.id else None


def _reference_of(payload: Payload) -> str | None:
    reference = (payload.get("message_reference") or {}).get("message_id")
    return str(reference) if reference else None


def _command_of(payload: Payload) -> str | None:
    command = payload.get("interaction_metadata") or payload.get("interaction")
    return str(command["id"]) if command and command.get("id") else None


def _text(payload: Payload, place: Place, self_id: str) -> str:
    people = {str(user["id"]): _shown_name(user) for user in payload.get("mentions", ())}

    def named(match: re.Match[str]) -> str:
        kind, id_ = match["kind"], match["id"]
        if kind == "#":
            return f"#{place.names.get(id_, 'channel')}"
        if kind == "@&":
            return "" if id_ == place.own_role else f"@{place.names.get(id_, 'role')}"
        return "" if id_ == self_id else f"@{people.get(id_, 'someone')}"

    text = _MENTION.sub(named, payload.get("content") or "")
    text = _COMMAND.sub(r"/\1", _EMOJI.sub(r":\1:", text))
    text = _TIME.sub(_moment, text)
    # A removed mention leaves its space behind, at the edges and before the rest of the sentence.
    return re.sub(r"(?<=\S) {2,}(?=\S)", " ", text).strip()


def _moment(match: re.Match[str]) -> str:
    try:
        return datetime.fromtimestamp(int(match[1]), UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return match[0]


def _shown_name(user: Payload) -> str:
    return str(
        (user.get("member") or {}).get("nick") or user.get("global_name") or user.get("username") or ""
    )
