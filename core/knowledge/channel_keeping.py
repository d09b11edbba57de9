"""Keeps the channels that the settings name as sources: each in a collection of its own, which is granted to those
who can read the channel, and no others."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from core.knowledge.channel_messages import (
    CHANNEL,
    ChannelHistory,
    ChannelMessages,
    WatchedChannel,
    parse_channel_location,
)
from core.knowledge.chunking import ChunkingStrategy
from core.knowledge.ingest import Ingestor
from core.ports import KnowledgeStore

log = structlog.get_logger(__name__)

FIRST_READ_SECONDS = 15.0
"""By then every process that listens has learned that the channel is a source: what is said from then on is heard,
and what was said before is in the history."""


class ChannelKeeper:
    """Looks after the channels among `locations`, and after what is said in them."""

    def __init__(
        self,
        store: KnowledgeStore,
        said: ChannelMessages,
        ingestor: Ingestor,
        locations: Sequence[str],
        *,
        every_seconds: float,
        first_read_seconds: float = FIRST_READ_SECONDS,
    ) -> None:
        self.said = said
        self.every_seconds = every_seconds
        self._store = store
        self._ingestor = ingestor
        self._first_read_seconds = first_read_seconds
        found = (parse_channel_location(location) for location in locations)
        self._named = {channel.uri: channel for channel in found if channel is not None}

    async def adopt(self) -> None:
        """Make exactly the channels of the settings scheduled sources. What the settings do not name any more is
        removed with all that was kept of it."""
        for source in await self._store.sources():
            if source.kind == CHANNEL and source.uri not in self._named:
                collection_id = await self._store.open_collection(source.collection)
                await self._store.drop_source(collection_id, source.uri)
                await self._store.drop_collection(source.collection)
                log.info("source_removed", uri=source.uri)
        known = {source.uri: source for source in await self._store.sources() if source.kind == CHANNEL}
        for uri, channel in self._named.items():
            collection_id = await self._store.open_collection(uri, [channel.own_grant])
            source_id = await self._store.open_source(
                collection_id, uri, CHANNEL, kept_by="settings", every_seconds=self.every_seconds
            )
            if uri not in known:
                await self._store.record_chunking(source_id, ChunkingStrategy.CONVERSATION)
            await self.said.open_history(source_id, first_read_seconds=self._first_read_seconds)
        for history in await self.said.histories():
            if history.cursor is None:  # nobody may have listened for a while
                await self.said.note_history(history, next_read_seconds=self._first_read_seconds)

    async def note_privacy(self, history: ChannelHistory, *, private: bool) -> ChannelHistory:
        """Let the workspace read what was said in a channel that all of it can read, and only then. A channel
        counts as private before it is granted no longer, and as public after it is granted."""
        channel = history.channel.model_copy(update={"private": private})
        history = history.model_copy(update={"channel": channel})
        if private:
            await self.said.note_history(history)
            await self._store.revoke_grants(channel.uri, [channel.workspace_grant])
        else:
            await self._store.open_collection(channel.uri, [channel.own_grant, channel.workspace_grant])
            await self.said.note_history(history)
        return history

    async def note_history(self, history: ChannelHistory, *, next_read_seconds: float) -> None:
        """How far the reading is; where that tells something new of the source, it is due."""
        await self.said.note_history(history, next_read_seconds=next_read_seconds)
        if history.error or history.cursor is None:
            await self._store.request_sync([history.source_id])

    async def is_any_due(self) -> bool:
        """Whether there is anything to read on or to take in; costs two small queries."""
        return bool(await self._store.due_sources(channels=True) or await self.said.histories(due=True))

    async def sync_due(self) -> None:
        """Take in what was said, changed or removed. Raises StorageError and ModelError."""
        due = set(await self._store.due_sources(channels=True))
        errors = {h.channel.uri: _say_state(h) for h in await self.said.histories()}
        for source in await self._store.sources() if due else ():
            if source.id not in due:
                continue
            await sync_channel(self._ingestor, source.uri)
            if error := errors.get(source.uri):
                await self._store.finish_source(source.id, error=error, outcome="incomplete")


async def sync_channel(ingestor: Ingestor, uri: str) -> None:
    """Bring the documents of a channel in line with what is kept of it."""
    channel = parse_channel_location(uri) or WatchedChannel(platform="", workspace="", channel="")
    await ingestor.sync([uri], collection=uri, grants=[channel.own_grant], kept_by=None)


def _say_state(history: ChannelHistory) -> str | None:
    """What is to be known of a channel that is not read to its beginning."""
    if history.error:
        return history.error
    return None if history.is_whole else "The history of the channel is still being read."
