"""What the loopback Slack knows: workspaces, channels, messages. Plain values, changed by the server."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any, Literal

ChannelKind = Literal["channel", "group", "im", "mpim"]
Json = dict[str, Any]

_KIND_OF_PREFIX: dict[str, ChannelKind] = {"C": "channel", "G": "group", "D": "im"}
_PING = re.compile(r"<(?:!(?:channel|here|everyone|group|subteam)|@[UWB])", re.IGNORECASE)


@dataclass
class Workspace:
    """One installation of the app: who the bot is in a team."""

    team_id: str
    bot_token: str
    bot_user_id: str
    bot_id: str


@dataclass
class SlackMessage:
    """One message as Slack keeps it. `markdown` is what people read; `pings` whom it notified."""

    channel: str
    ts: str
    user: str
    text: str
    thread_ts: str | None = None
    bot_id: str | None = None
    subtype: str | None = None
    blocks: list[Json] = field(default_factory=list)
    metadata: Json | None = None
    edits: int = 0
    deleted: bool = False
    only_for: str | None = None
    streaming_since: float | None = None
    streamed: str = ""
    unfurl: bool = True
    reactions: dict[str, set[str]] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)

    @property
    def is_streaming(self) -> bool:
        return self.streaming_since is not None

    @property
    def markdown(self) -> str:
        """The visible text: what was streamed or the markdown blocks, else the plain text."""
        in_blocks = [block["text"] for block in self.blocks if block.get("type") == "markdown"]
        return self.streamed + "".join(in_blocks) or self.text

    @property
    def pings(self) -> list[str]:
        """Everything in the message that would notify somebody."""
        return _PING.findall(" ".join((self.text, self.streamed, repr(self.blocks))))

    def block(self, kind: str) -> Json | None:
        """The first block of a type."""
        return next((block for block in self.blocks if block.get("type") == kind), None)

    def payload(self, *, with_metadata: bool = False) -> Json:
        """The message object as it stands in events and answers."""
        message: Json = {
            "type": "message",
            "user": self.user,
            "text": self.text or self.streamed,
            "ts": self.ts,
        }
        for name in ("thread_ts", "bot_id", "subtype"):
            if getattr(self, name) is not None:
                message[name] = getattr(self, name)
        if self.blocks:
            message["blocks"] = self.blocks
        if self.edits:
            later = int(self.ts.partition(".")[0]) + self.edits
            message["edited"] = {"user": self.user, "ts": f"{later}.000000"}
        if with_metadata and self.metadata is not None:
            message["metadata"] = self.metadata
        return message


@dataclass
class SlackChannel:
    """A place. The bot is in it unless `has_bot` is taken away; `shared` with another company through Slack Connect."""

    id: str
    kind: ChannelKind
    team_id: str
    has_bot: bool = True
    archived: bool = False
    shared: bool = False
    messages: dict[str, SlackMessage] = field(default_factory=dict)
    posted_at: float = 0.0
    _replies: dict[str, list[SlackMessage]] = field(default_factory=dict)

    def keep(self, message: SlackMessage) -> None:
        """Put a new message in its place."""
        self.messages[message.ts] = message
        if message.thread_ts is not None:
            self._replies.setdefault(message.thread_ts, []).append(message)

    def thread(self, root: str) -> list[SlackMessage]:
        """The messages of a thread that are visible to everybody, root first."""
        messages = [self.messages[root]] if root in self.messages else []
        messages += self._replies.get(root, ())
        return [message for message in messages if not message.deleted and message.only_for is None]


class Clock:
    """Timestamps as Slack makes them: unique, rising, with six decimals."""

    def __init__(self) -> None:
        self._last = 0

    def ts(self) -> str:
        self._last = max(self._last + 1, time.time_ns() // 1000)
        return f"{self._last // 1_000_000}.{self._last % 1_000_000:06d}"


def kind_of(channel_id: str) -> ChannelKind:
    """What a channel id says by its first letter."""
    return _KIND_OF_PREFIX.get(channel_id[:1], "channel")
