"""What was said in channels that are sources, without a database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from core.knowledge.channel_messages import (
    CHANNEL,
    ChannelHistory,
    Talk,
    WatchedChannel,
    parse_channel_location,
    source_of,
)
from core.messages import Author, Channel, Message, Thread
from core.testing.sources import InMemorySources, KeptSource

Place = tuple[str, str, str, str]


@dataclass(slots=True)
class KeptMessage:
    source_id: int
    message: Message
    version: datetime
    changes: int = 0
    document_uri: str | None = None
    removed: bool = False


class InMemoryChannelMessages:
    """Implements core.knowledge.channel_messages.ChannelMessages, for the sources of `store`."""

    def __init__(self, store: InMemorySources) -> None:
        self._store = store
        self._kept: dict[Place, KeptMessage] = {}
        self._histories: dict[int, tuple[ChannelHistory, datetime]] = {}

    async def watched(self) -> list[WatchedChannel]:
        found = []
        for source in sorted(self._sources(), key=lambda source: source.uri):
            known = self._histories.get(source.id)
            channel = known[0].channel if known else parse_channel_location(source.uri)
            found += [channel] if channel else []
        return found

    async def record(self, messages: Sequence[Message]) -> int:
        return sum(self._record(message) for message in messages)

    def _record(self, message: Message) -> bool:
        source, place = self._source_of(message.thread.channel), _place(message.thread.channel, message.id)
        if source is None:
            return False
        version = max(message.at, message.edited_at or message.at)
        known = self._kept.get(place)
        if known is None:
            self._kept[place] = KeptMessage(source.id, message, version)
        elif (
            known.removed
            or version < known.version
            or (known.message.text, known.message.thread.id) == (message.text, message.thread.id)
        ):
            return False
        else:
            known.message, known.version, known.changes = message, version, known.changes + 1
        source.next_sync_at = datetime.now(UTC)
        return True

    async def remove(self, channel: Channel, message_ids: Sequence[str]) -> int:
        source, now = self._source_of(channel), datetime.now(UTC)
        for message_id in message_ids:
            if source is None:
                break
            thread = Thread(channel=channel, id=message_id)
            nothing = Message(id=message_id, thread=thread, author=Author(id=""), text="", at=now)
            never = KeptMessage(source.id, nothing, now, removed=True)
            self._kept.setdefault(_place(channel, message_id), never)
        places = {_place(channel, message_id) for message_id in message_ids}
        return self._erase(lambda place, kept: place in places)

    async def forget_author(self, platform: str, workspace: str, author: str) -> int:
        return self._erase(
            lambda place, kept: place[:2] == (platform, workspace) and kept.message.author.id == author
        )

    async def forget_thread(self, thread: Thread) -> int:
        where = {(*thread.key[:2], place) for place in (thread.channel.id, thread.id)}
        return self._erase(lambda place, kept: place[:3] in where and kept.message.thread.id == thread.id)

    def _erase(self, chosen: Callable[[Place, KeptMessage], bool]) -> int:
        gone = [kept for place, kept in self._kept.items() if not kept.removed and chosen(place, kept)]
        for kept in gone:
            kept.removed, kept.changes = True, kept.changes + 1
            kept.message = kept.message.model_copy(update={"text": ""})
            source = self._store._sources.get(kept.source_id)
            if source is not None:
                source.documents.pop(kept.document_uri or "", None)
                source.next_sync_at = datetime.now(UTC)
        return len(gone)

    async def talks(self, source_id: int) -> list[Talk]:
        found = []
        for key, kept in sorted(self._talks(source_id).items()):
            first = kept[0].message
            version = ",".join(f"{one.message.id} {one.changes}" for one in kept)
            channel_id = first.thread.channel.id
            found.append(Talk(key=key, place=channel_id, message_id=first.id, version=version))
        return found

    async def messages_of(self, source_id: int, talk: Talk, uri: str) -> list[Message]:
        kept = self._talks(source_id).get(talk.key, [])
        for one in kept:
            one.document_uri = uri
        return [one.message for one in kept]

    def _talks(self, source_id: int) -> dict[str, list[KeptMessage]]:
        said = [kept for kept in self._kept.values() if kept.source_id == source_id and not kept.removed]
        threads: dict[str, list[KeptMessage]] = defaultdict(list)
        for kept in sorted(said, key=lambda kept: (kept.message.at, kept.message.id)):
            threads[kept.message.thread.id].append(kept)
        talks: dict[str, list[KeptMessage]] = defaultdict(list)
        for thread_id, together in threads.items():
            first = together[0].message
            is_own_place = first.thread.channel.id != source_of(first.thread.channel).channel
            key = thread_id if is_own_place or len(together) > 1 else f"{first.at.astimezone(UTC):%Y-%m-%d}"
            talks[key] += together
        return talks

    async def open_history(self, source_id: int, *, first_read_seconds: float) -> None:
        channel = parse_channel_location(self._store._sources[source_id].uri)
        if channel is None:
            raise ValueError("the source is no channel")
        due = datetime.now(UTC) + timedelta(seconds=first_read_seconds)
        self._histories.setdefault(source_id, (ChannelHistory(source_id=source_id, channel=channel), due))

    async def histories(self, *, due: bool = False) -> list[ChannelHistory]:
        now = datetime.now(UTC)
        known = sorted(self._histories.values(), key=lambda known: known[1])
        return [
            history
            for history, next_read_at in known
            if history.source_id in self._store._sources and (not due or next_read_at <= now)
        ]

    async def note_history(self, history: ChannelHistory, *, next_read_seconds: float | None = None) -> None:
        if history.source_id in self._histories:
            next_read_at = self._histories[history.source_id][1]
            if next_read_seconds is not None:
                next_read_at = datetime.now(UTC) + timedelta(seconds=next_read_seconds)
            self._histories[history.source_id] = (history, next_read_at)

    def _sources(self) -> list[KeptSource]:
        return [source for source in self._store._sources.values() if source.kind == CHANNEL]

    def _source_of(self, channel: Channel) -> KeptSource | None:
        uri = source_of(channel).uri
        return next((source for source in self._sources() if source.uri == uri), None)


def _place(channel: Channel, message_id: str) -> Place:
    return (channel.platform, channel.workspace, channel.id, message_id)
