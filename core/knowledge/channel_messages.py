"""What was said in the channels that are sources: kept message by message, so that a thread can be written down
anew whenever one of them changes or goes. The documents made of it belong to core.knowledge.channels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from core.knowledge.documents import Grant
from core.messages import Channel, Frozen, Message, Thread

CHANNEL = "channel"
"""The kind of a source that is a channel."""

_LOCATION = re.compile(
    r"(?P<platform>[a-z]{2,20}):(?P<workspace>[A-Z0-9]{2,30})/(?P<channel>[A-Z0-9]{2,30})", re.ASCII
)


class WatchedChannel(Frozen):
    """A channel that is a source. `private`: what is said in it is found only there."""

    platform: str
    workspace: str
    channel: str
    private: bool = True

    @property
    def uri(self) -> str:
        """Names the source, and its collection, which holds nothing else."""
        return f"{self.platform}:{self.workspace}/{self.channel}"

    @property
    def own_grant(self) -> Grant:
        """Those who can read the channel."""
        return Grant(platform=self.platform, workspace=self.workspace, channel=self.channel)

    @property
    def workspace_grant(self) -> Grant:
        """Everybody in its workspace."""
        return Grant(platform=self.platform, workspace=self.workspace)


def parse_channel_location(location: str) -> WatchedChannel | None:
    """The channel that a location names, as platform:workspace/channel; None if it names something else."""
    found = _LOCATION.fullmatch(location)
    return WatchedChannel(**found.groupdict()) if found else None


def source_of(channel: Channel) -> WatchedChannel:
    """The source that what is said here belongs to, if it is one: the channel, or the one that it is a part of."""
    return WatchedChannel(
        platform=channel.platform, workspace=channel.workspace, channel=channel.parent or channel.id
    )


class Talk(Frozen):
    """One document to be made of a channel: a thread, by its id, or what was said outside of any on one day, by
    its date (2026-11-22). `place` and `message_id` are of its first message; another `version`, another text."""

    key: str
    place: str
    message_id: str
    version: str


class ChannelHistory(Frozen):
    """How far back a channel has been read. A walk goes back from the newest message to the beginning, and the
    next ones to where the one before began.

    `cursor` says where the walk under way goes on (None: none is), `newest` where it began, and `until` where it
    ends. `is_whole`: a walk has reached the beginning. `address` is a link to a message, with {place}, {message}
    and {digits} to be put in.
    """

    source_id: int
    channel: WatchedChannel
    name: str = ""
    address: str = ""
    cursor: str | None = None
    newest: str | None = None
    until: str | None = None
    is_whole: bool = False
    error: str | None = None


class ChannelMessages(Protocol):
    """Messages of watched channels. What was removed stays removed, also when it arrives again."""

    async def watched(self) -> list[WatchedChannel]:
        """Every channel that is a source."""
        ...

    async def record(self, messages: Sequence[Message]) -> int:
        """Keep or replace; an older version of a message changes nothing. What is of no watched channel is passed
        over. A channel in which something changed is due. How many messages changed."""
        ...

    async def remove(self, channel: Channel, message_ids: Sequence[str]) -> int:
        """Erase messages said in the channel, with the documents that hold them; what is left of these is taken
        in again with the next sync, which is due. How many there were."""
        ...

    async def forget_author(self, platform: str, workspace: str, author: str) -> int:
        """Erase everything that the author said, as `remove` does."""
        ...

    async def forget_thread(self, thread: Thread) -> int:
        """Erase everything said in the thread, as `remove` does."""
        ...

    async def talks(self, source_id: int) -> list[Talk]:
        """The documents that there are to be made of a channel, in a fixed order."""
        ...

    async def messages_of(self, source_id: int, talk: Talk, uri: str) -> list[Message]:
        """What was said there, in order, and note that the document `uri` is made of it."""
        ...

    async def open_history(self, source_id: int, *, first_read_seconds: float) -> None:
        """Begin to read the channel's history, after so many seconds, unless that has begun before."""
        ...

    async def histories(self, *, due: bool = False) -> list[ChannelHistory]:
        """Of every channel, or of those in which it is time to read on."""
        ...

    async def note_history(self, history: ChannelHistory, *, next_read_seconds: float | None = None) -> None:
        """Store what is known of it now; with None it is read on when it was to be."""
        ...
