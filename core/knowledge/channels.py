"""A channel as a source: each thread is a document, and what was said outside of threads on one day is another.
Reads what has been kept of the channel, never the platform itself."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import SourceError
from core.knowledge.channel_messages import (
    CHANNEL,
    ChannelHistory,
    ChannelMessages,
    Talk,
    WatchedChannel,
    parse_channel_location,
)
from core.knowledge.chunking.conversation import render_message
from core.knowledge.sources import Content, Entry
from core.messages import Message

TITLE_CHARACTERS = 80


class ChannelSource:
    """`channel` must be a source already: `threadlore serve` makes it one, and brings what is said in it."""

    kind = CHANNEL
    lists_everything = True

    def __init__(self, channel: WatchedChannel, said: ChannelMessages) -> None:
        self.uri = channel.uri
        self._said = said
        self._history: ChannelHistory | None = None
        self._talks: dict[str, Talk] = {}

    async def entries(self) -> Sequence[Entry]:
        histories = await self._said.histories()
        self._history = next((h for h in histories if h.channel.uri == self.uri), None)
        if self._history is None:
            raise SourceError(self.uri, "A channel is read by `threadlore serve` where KNOWLEDGE names it.")
        if not self._history.address:
            return []  # not even its name is known yet
        talks = await self._said.talks(self._history.source_id)
        self._talks = {_address(self._history, talk): talk for talk in talks}
        return [Entry(uri=uri, locator=f"{self.uri} {talk.key}") for uri, talk in self._talks.items()]

    async def read(self, entry: Entry, validator: str | None = None) -> Content | None:
        assert self._history is not None  # noqa: S101 - `entries` comes first
        talk = self._talks[entry.uri]
        if talk.version == validator:
            return None
        messages = await self._said.messages_of(self._history.source_id, talk, entry.uri)
        if not messages:
            return None  # deleted just now, with its document; the channel is due again
        text = render_talk(self._history.name, talk.key, messages)
        return Content(
            data=text.encode(errors="replace"),
            name="talk.md",
            media_type="text/markdown",
            charset="utf-8",
            validator=talk.version,
        )


def build_channel_source(location: str, said: ChannelMessages) -> ChannelSource | None:
    """The source that the location names; None if that is no channel."""
    channel = parse_channel_location(location)
    return None if channel is None else ChannelSource(channel, said)


def render_talk(channel_name: str, key: str, messages: Sequence[Message]) -> str:
    """A thread or a day as Markdown. Pure."""
    first = messages[0]
    about = f" on {key}" if key == f"{first.at:%Y-%m-%d}" else f": {_shorten(first.text)}"
    said = [
        render_message(message.author.name or message.author.id, message.text, f"{message.at:%Y-%m-%d %H:%M}")
        for message in messages
    ]
    return "\n\n".join([f"# #{channel_name or first.thread.channel.id}{about}", *said])


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    if len(line) <= TITLE_CHARACTERS:
        return line
    return f"{line[:TITLE_CHARACTERS].rsplit(' ', 1)[0]} …"


def _address(history: ChannelHistory, talk: Talk) -> str:
    digits = talk.message_id.replace(".", "")
    address = history.address.replace("{place}", talk.place).replace("{digits}", digits)
    return address.replace("{message}", talk.message_id)
