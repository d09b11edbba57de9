"""A platform whose channels are sources: a real adapter on a loopback server, stores in Postgres, and between them
what the server has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sqlalchemy import text

from bot.adapter import Adapter
from bot.channel_upkeep import ChannelUpkeep
from bot.recording import Recording
from bot.watching import Watching
from core.knowledge.channel_keeping import ChannelKeeper
from core.knowledge.channel_messages import parse_channel_location
from core.knowledge.channels import ChannelSource
from core.knowledge.documents import SourceStatus
from core.knowledge.ingest import Ingestor
from core.knowledge.search import Knowledge
from core.messages import Audience, Event
from core.storage.channel_messages import PostgresChannelMessages
from core.storage.database import Database
from core.storage.knowledge import PostgresKnowledgeStore
from core.testing.embedder import FakeEmbedder

SECONDS_TO_HEAR = 20.0


class Alone:
    """Nobody else is at it."""

    @asynccontextmanager
    async def exclusively(self, name: str) -> AsyncIterator[bool]:
        yield True


class ChannelGround:
    """`take` is the adapter's sink, gate and worker in one."""

    def __init__(self, database: Database, *locations: str) -> None:
        self.database = database
        self.store = PostgresKnowledgeStore(database)
        self.said = PostgresChannelMessages(database)
        embedder = FakeEmbedder()
        self.knowledge = Knowledge(self.store, embedder)
        self.ingestor = Ingestor(self.store, embedder, build=self._build)
        self.watching = Watching(self.said)
        self.recording = Recording(self.said)
        self.locations = locations
        self.events: list[Event] = []
        self._arrived = asyncio.Event()

    def _build(self, location: str) -> ChannelSource:
        channel = parse_channel_location(location)
        assert channel is not None
        return ChannelSource(channel, self.said)

    async def take(self, event: Event) -> bool:
        wanted = self.watching.narrow(event)
        if wanted is not None:
            await self.recording.take_down(wanted)
            self.events.append(wanted)
            self._arrived.set()
        return wanted is not None

    async def until(self, matching: Callable[[Event], bool]) -> None:
        """Wait until an event that matches has been worked on."""
        async with asyncio.timeout(SECONDS_TO_HEAR):
            while not any(matching(event) for event in self.events):
                self._arrived.clear()
                await self._arrived.wait()

    def keeper(self) -> ChannelKeeper:
        return ChannelKeeper(
            self.store, self.said, self.ingestor, self.locations, every_seconds=3600.0, first_read_seconds=0.0
        )

    async def upkeep(self, adapter: Adapter) -> ChannelUpkeep:
        """As in a process that has just started: the sources are known, and what came was taken in once."""
        upkeep = ChannelUpkeep(
            self.keeper(), {adapter.platform: adapter}, Alone(), privacy_seconds=0.0, share_of_allowance=1.0
        )
        await upkeep.work()
        await self.watching.load()
        return upkeep

    async def until_whole(self, upkeep: ChannelUpkeep) -> None:
        async with asyncio.timeout(SECONDS_TO_HEAR):
            while not all(history.is_whole for history in await self.said.histories()):
                await upkeep.work()
                await asyncio.sleep(0.05)

    async def find(self, question: str, *, channel: str, workspace: str, platform: str) -> str:
        """All that is found, in one text."""
        audience = Audience(platform=platform, workspace=workspace, channel=channel)
        passages = await self.knowledge.search(question, audience=audience, limit=10)
        return "\n".join(f"{passage.uri} {passage.title} {passage.text}" for passage in passages)

    async def stored(self) -> str:
        """Every text that the database holds of channels."""
        chunks = await self.database.run(text("select title || ' ' || text as said from chunks"))
        kept = await self.database.run(text("select text as said from channel_messages"))
        return "\n".join(str(row.said) for row in (*chunks, *kept))

    async def source(self) -> SourceStatus:
        (source,) = await self.store.sources()
        return source
