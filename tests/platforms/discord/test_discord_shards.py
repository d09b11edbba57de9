"""One owner for each shard: leases, sessions that may begin, refusals for good."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from bot.discord.adapter import DiscordAdapter
from bot.discord.identifying import IdentifyLimits
from bot.discord.listening import Coordination, DiscordLimits
from bot.testing.discord_server import DiscordServer
from core.errors import SettingsError
from core.leases import Lease
from core.messages import Event, MessagePosted
from core.testing.inbox import InMemoryInbox
from core.testing.leases import InMemoryLeases
from tests.contracts.adapter_harness import EventLog
from tests.platforms.discord.harness import make_adapter, make_coordination

LIMITS = DiscordLimits(
    lease_seconds=0.8, note_every_seconds=0.1, identify=IdentifyLimits(spacing_seconds=0.0)
)


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - there is nothing to be told by
            await asyncio.sleep(0.02)


@dataclass
class Process:
    """One adapter and what it put into the inbox that all share."""

    adapter: DiscordAdapter
    log: EventLog

    @property
    def ids(self) -> list[str]:
        return [e.message.id for e in self.log.events if isinstance(e, MessagePosted)]


@asynccontextmanager
async def processes(server: DiscordServer, shared: Coordination, count: int) -> AsyncIterator[list[Process]]:
    """Several adapters with one inbox; the first one is started first."""
    inbox = InMemoryInbox()
    started: list[Process] = []

    def make_sink(log: EventLog) -> Callable[[Event], object]:
        async def sink(event: Event) -> bool:
            if not await inbox.put(event):
                return False
            return await log.take(event)

        return sink

    try:
        for _ in range(count):
            process = Process(make_adapter(server, shared, LIMITS), EventLog())
            started.append(process)
            await process.adapter.start(make_sink(process.log))  # type: ignore[arg-type]
        yield started
    finally:
        for process in started:
            await process.adapter.aclose()


class StoppableLeases(InMemoryLeases):
    """Plays a process that is stopped: its lease is not renewed, and nobody tells it."""

    def __init__(self) -> None:
        super().__init__()
        self.running = asyncio.Event()
        self.running.set()
        self.stopped: str | None = None

    def stop(self, owner: str) -> None:
        self.stopped = owner
        self.running.clear()

    async def renew(self, lease: Lease, *, lease_seconds: float) -> Lease | None:
        if lease.owner == self.stopped:
            await self.running.wait()
        return await super().renew(lease, lease_seconds=lease_seconds)


async def test_of_three_processes_one_listens_and_all_are_ready() -> None:
    async with DiscordServer() as server, processes(server, make_coordination(), 3) as three:
        assert server.gateway.identifies == 1
        assert [process.adapter.is_receiving() for process in three] == [True] * 3
        waiting = [process.adapter.standing_by() for process in three if process.adapter.standing_by()]
        assert waiting == ["Standing by for 1 of 1 shards: another process listens."] * 2
        question = server.mention("alice", "Who?")
        await until(lambda: three[0].ids == [question])
        assert [process.ids for process in three[1:]] == [[], []]


async def test_an_owner_that_leaves_hands_over_at_once() -> None:
    async with DiscordServer() as server, processes(server, make_coordination(), 2) as (first, second):
        await first.adapter.aclose()
        await until(lambda: len(server.gateway.connected) == 1 and server.gateway.identifies == 2)
        await until(second.adapter.is_receiving)
        question = server.mention("alice", "And now?")
        await until(lambda: second.ids == [question])


async def test_a_stopped_owner_is_replaced_and_notices_when_it_wakes() -> None:
    shared = make_coordination()
    leases = StoppableLeases()
    shared = Coordination(leases, shared.allowances, shared.positions)
    async with DiscordServer() as server, processes(server, shared, 2) as (first, second):
        name = f"discord {server.bot_id} shard 0 of 1"
        holder = await leases.holder(name)
        assert holder is not None
        leases.stop(holder.owner)
        await until(lambda: server.gateway.identifies == 2)
        await until(lambda: len(server.gateway.connected) == 2)
        leases.running.set()
        await until(lambda: len(server.gateway.connected) == 1)
        question = server.mention("alice", "Once?")
        await until(lambda: second.ids == [question])
        assert first.ids == []
        await until(lambda: first.adapter.is_receiving() and second.adapter.is_receiving())


async def test_each_shard_has_an_owner_and_every_event_arrives_once() -> None:
    async with DiscordServer() as server:
        server.gateway.shards = 3
        async with processes(server, make_coordination(), 2) as both:
            assert server.gateway.identifies == 3
            assert sorted(session.shard for session in server.gateway.connected) == [(0, 3), (1, 3), (2, 3)]
            ids = [server.mention("alice", "In the server?"), server.dm("bob", "And here?")]
            await until(lambda: sorted(both[0].ids + both[1].ids) == ids)


async def test_ten_sessions_an_hour_are_the_most_that_all_processes_begin() -> None:
    async with DiscordServer() as server:
        shared = make_coordination()
        for _ in range(12):
            adapter = make_adapter(server, shared, LIMITS)
            await adapter.start(EventLog().take)
            await adapter.aclose()
        assert server.gateway.identifies == 10
        last = make_adapter(server, shared, LIMITS)
        await last.start(EventLog().take)
        assert not last.is_receiving()
        assert "10 gateway sessions were begun within an hour" in last.why_deaf()
        await last.aclose()
        assert server.gateway.identifies == 10


async def test_resuming_is_free() -> None:
    async with DiscordServer() as server, processes(server, make_coordination(), 1) as (only,):
        asked: list[str] = []
        for round_ in range(3):
            await server.gateway.drop_connections()
            asked.append(server.mention("alice", f"Round {round_}?"))
            await until(lambda: only.ids == asked)
        assert server.gateway.identifies == 1


@pytest.mark.parametrize("code", [4004, 4010, 4011, 4012, 4013, 4014])
async def test_what_discord_refuses_for_good_is_not_tried_again(code: int) -> None:
    async with DiscordServer() as server:
        server.gateway.identify_closes_with = code
        adapter = make_adapter(server, limits=LIMITS)
        with pytest.raises(SettingsError) as refused:
            await adapter.start(EventLog().take)
        assert refused.value.setting == "DISCORD_TOKEN"
        await asyncio.sleep(1.5)
        assert server.gateway.identifies == 1
        assert not adapter.is_receiving()
        assert adapter.why_deaf() == str(refused.value)
        await adapter.aclose()


async def test_a_session_that_is_refused_later_stops_the_platform_with_a_reason() -> None:
    async with DiscordServer() as server, processes(server, make_coordination(), 1) as (only,):
        server.gateway.identify_closes_with = 4014
        server.gateway.forget_sessions()
        await server.gateway.drop_connections()
        await until(lambda: "Message Content Intent" in only.adapter.why_deaf())
        await asyncio.sleep(1.5)
        assert server.gateway.identifies == 2
        assert not only.adapter.is_receiving()


async def test_a_store_that_is_away_costs_no_session() -> None:
    shared, leases = make_coordination(), StoppableLeases()
    shared = Coordination(leases, shared.allowances, shared.positions)
    async with DiscordServer() as server, processes(server, shared, 1) as (only,):
        holder = await leases.holder(f"discord {server.bot_id} shard 0 of 1")
        assert holder is not None
        leases.stop(holder.owner)
        await asyncio.sleep(1.2)
        leases.running.set()
        question = server.mention("alice", "Still there?")
        await until(lambda: only.ids == [question])
        assert server.gateway.identifies == 1
