"""What the loopback Discord holds: people, one server with channels and threads, DMs, messages, interactions.

Payloads have the shape that Discord's API v10 documents; only fields that some client reads are there.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]

EPOCH_MILLISECONDS = 1_420_070_400_000
VIEW_CHANNEL, SEND_MESSAGES, READ_HISTORY, SEND_IN_THREADS = 1 << 10, 1 << 11, 1 << 16, 1 << 38
TEXT, DM, PUBLIC_THREAD, PRIVATE_THREAD = 0, 1, 11, 12
EPHEMERAL, LOADING = 1 << 6, 1 << 7

_USER_MENTION = re.compile(r"<@!?(\d+)>")
_ROLE_MENTION = re.compile(r"<@&(\d+)>")


@dataclass
class Interaction:
    """A command, a click or a submitted form, and what became of it."""

    id: str
    token: str
    type: int
    channel_id: str
    user_id: str
    command: str | None = None
    began_at: float = field(default_factory=time.monotonic)
    callback: int | None = None
    form: Json | None = None
    original_id: str | None = None
    ephemeral: bool = False


class World:
    """The state behind the API. `ephemeral` holds messages that one person sees; `pings` what notified whom;
    `has_bot` says whether the bot is still in the server."""

    def __init__(self) -> None:
        self._last_snowflake = 0
        self.users: dict[str, Json] = {}
        self.channels: dict[str, Json] = {}
        self.messages: dict[str, dict[str, Json]] = {}
        self.ephemeral: dict[str, Json] = {}
        self.interactions: dict[str, Interaction] = {}
        self.pings: list[tuple[str, str]] = []
        self.has_bot = True
        self.application_id = self.next_id()
        self.bot = self._make_user("threadlore", bot=True, id_=self.application_id)
        self.guild_id = self.next_id()
        self.bot_role_id = self.next_id()
        self.general = self.add_channel("general")

    # --- people and places ------------------------------------------------------------------------

    def next_id(self) -> str:
        """A new snowflake: time in its upper bits, never the same twice."""
        now = (int(time.time() * 1000) - EPOCH_MILLISECONDS) << 22
        self._last_snowflake = max(now, self._last_snowflake + 1)
        return str(self._last_snowflake)

    def user(self, name: str, *, bot: bool = False) -> Json:
        """The person of this name, who joins on first mention."""
        for user in self.users.values():
            if user["username"] == name:
                return user
        return self._make_user(name, bot=bot)

    def _make_user(self, name: str, *, bot: bool, id_: str | None = None) -> Json:
        user: Json = {
            "id": id_ or self.next_id(),
            "username": name,
            "global_name": None if bot else name.capitalize(),
            "discriminator": "0",
            "avatar": None,
        }
        if bot:
            user["bot"] = True
        self.users[user["id"]] = user
        return user

    def add_channel(self, name: str, *, private: bool = False) -> str:
        overwrites = []
        if private:
            overwrites = [
                {"id": self.guild_id, "type": 0, "allow": "0", "deny": str(VIEW_CHANNEL)},
                {"id": self.bot_role_id, "type": 0, "allow": str(VIEW_CHANNEL), "deny": "0"},
            ]
        return self._add(
            {"type": TEXT, "name": name, "position": 0, "permission_overwrites": overwrites, "nsfw": False}
        )

    def add_thread(
        self, parent_id: str, name: str, *, private: bool = False, starter: str | None = None
    ) -> str:
        """A thread; with `starter` it begins under that message and has its id."""
        return self._add(
            {
                "id": starter or self.next_id(),
                "type": PRIVATE_THREAD if private else PUBLIC_THREAD,
                "name": name,
                "parent_id": parent_id,
                "owner_id": self.bot["id"],
                "message_count": 0,
                "member_count": 1,
                "thread_metadata": {
                    "archived": False,
                    "auto_archive_duration": 1440,
                    "archive_timestamp": now_text(),
                    "locked": False,
                },
            }
        )

    def _add(self, channel: Json) -> str:
        channel = {"id": self.next_id(), "guild_id": self.guild_id, **channel}
        self.channels[channel["id"]] = channel
        self.messages[channel["id"]] = {}
        return str(channel["id"])

    def dm_with(self, user_id: str) -> str:
        """The one channel that the bot and this person share."""
        for channel in self.channels.values():
            if channel["type"] == DM and channel["recipients"][0]["id"] == user_id:
                return str(channel["id"])
        channel = {
            "id": self.next_id(),
            "type": DM,
            "recipients": [self.users[user_id]],
            "last_message_id": None,
        }
        self.channels[channel["id"]] = channel
        self.messages[channel["id"]] = {}
        return str(channel["id"])

    def guild(self) -> Json:
        """GUILD_CREATE of the one server."""
        everyone = VIEW_CHANNEL | SEND_MESSAGES | READ_HISTORY | SEND_IN_THREADS
        return {
            "id": self.guild_id,
            "name": "Loopback",
            "owner_id": self.user("owner")["id"],
            "member_count": len(self.users),
            "roles": [
                {"id": self.guild_id, "name": "@everyone", "permissions": str(everyone), "position": 0},
                {
                    "id": self.bot_role_id,
                    "name": "Threadlore",
                    "permissions": str(everyone),
                    "position": 1,
                    "managed": True,
                    "tags": {"bot_id": self.bot["id"]},
                },
            ],
            "channels": self._channels_of_type(TEXT),
            "threads": self._channels_of_type(PUBLIC_THREAD, PRIVATE_THREAD),
            "members": [{**self.member(), "user": self.bot, "roles": [self.bot_role_id]}],
            "emojis": [],
            "stickers": [],
            "features": [],
            "preferred_locale": "en-US",
            "premium_tier": 0,
            "nsfw_level": 0,
            "mfa_level": 0,
            "verification_level": 0,
            "default_message_notifications": 0,
            "afk_timeout": 300,
            "system_channel_flags": 0,
            "unavailable": False,
        }

    def _channels_of_type(self, *types: int) -> list[Json]:
        """Each with the id of its newest message."""
        return [
            channel | {"last_message_id": max(self.messages[id_], key=int, default=None)}
            for id_, channel in self.channels.items()
            if channel["type"] in types
        ]

    def member(self) -> Json:
        """A member as it comes with a message: without its user."""
        return {
            "nick": None,
            "avatar": None,
            "roles": [],
            "joined_at": "2026-01-01T00:00:00+00:00",
            "deaf": False,
            "mute": False,
            "flags": 0,
        }

    def guild_id_of(self, channel_id: str) -> str | None:
        guild_id = self.channels[channel_id].get("guild_id")
        return None if guild_id is None else str(guild_id)

    # --- messages ---------------------------------------------------------------------------------

    def add_message(
        self,
        channel_id: str,
        author_id: str,
        content: str,
        *,
        reference: str | None = None,
        type_: int = 0,
        **fields: Any,
    ) -> Json:
        """Store a message; it is not dispatched. `reference` must exist in the channel."""
        message = self.build_message(
            channel_id, author_id, content, reference=reference, type_=type_, **fields
        )
        self.messages[channel_id][message["id"]] = message
        return message

    def build_message(
        self,
        channel_id: str,
        author_id: str,
        content: str,
        *,
        reference: str | None = None,
        type_: int = 0,
        **fields: Any,
    ) -> Json:
        message: Json = {
            "id": self.next_id(),
            "channel_id": channel_id,
            "author": self.users[author_id],
            "content": content,
            "timestamp": now_text(),
            "edited_timestamp": None,
            "tts": False,
            "mention_everyone": False,
            "mentions": [
                self.users[i] for i in dict.fromkeys(_USER_MENTION.findall(content)) if i in self.users
            ],
            "mention_roles": list(dict.fromkeys(_ROLE_MENTION.findall(content))),
            "attachments": [],
            "embeds": [],
            "components": [],
            "pinned": False,
            "flags": 0,
            "type": 19 if reference and type_ == 0 else type_,
        }
        if reference:
            message["message_reference"] = {"type": 0, "message_id": reference, "channel_id": channel_id}
            if guild_id := self.guild_id_of(channel_id):
                message["message_reference"]["guild_id"] = guild_id
        return message | fields

    def find_message(self, message_id: str) -> Json | None:
        """A message wherever it stands, visible to all or to one."""
        for messages in self.messages.values():
            if message_id in messages:
                return messages[message_id]
        return self.ephemeral.get(message_id)

    def with_reference(self, message: Json) -> Json:
        """The message as the API gives it: the one that it replies to is inside, one level deep."""
        reference = message.get("message_reference")
        if reference is None or message["type"] not in (19, 21):
            return message
        return message | {"referenced_message": self.find_message(reference["message_id"])}

    def note_pings(self, message: Json, allowed: Json | None) -> None:
        """Whom a message of the bot notifies, as Discord judges `allowed_mentions`."""
        content, id_ = message["content"], str(message["id"])
        parse = ("everyone", "users", "roles") if allowed is None else allowed.get("parse", ())
        if "everyone" in parse:
            self.pings += [(id_, name) for name in ("@everyone", "@here") if name in content]
        if "users" in parse:
            self.pings += [(id_, user_id) for user_id in _USER_MENTION.findall(content)]
        if "roles" in parse:
            self.pings += [(id_, role_id) for role_id in _ROLE_MENTION.findall(content)]


def now_text() -> str:
    return datetime.now(UTC).isoformat()
