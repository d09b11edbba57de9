"""What is said while nobody listens: found, answered once, and never a replay."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from bot.discord.catching_up import CatchUpLimits
from bot.discord.identifying import IdentifyLimits
from bot.discord.listening import Coordination, DiscordLimits
from bot.metrics import Metrics
from bot.testing.discord.faults import Fault
from bot.testing.discord_server import DiscordServer
from core.errors import StorageUnavailableError
from core.messages import Event, MessagePosted
from tests.contracts.adapter_harness import EventLog
from tests.platforms.discord.harness import make_adapter, make_coordination
from tests.platforms.discord.test_discord_shards import until

LIMITS = DiscordLimits(
    lease_seconds=0.8,
    note_every_seconds=0.05,
    identify=IdentifyLimits(spacing_seconds=0.0),
    catch_up=CatchUpLimits(retry_seconds=0.05),
)


def ids_of(log: EventLog) -> list[str]:
    return [event.message.id for event in log.events if isinstance(event, MessagePosted)]


async def listen_once(server: DiscordServer, shared: Coordination, *wanted: str) -> EventLog:
    """One process, from its start until it has taken these messages in and written down how far it heard."""
    log = EventLog()
    adapter = make_adapter(server, shared, LIMITS)
    await adapter.start(log.take)
    await until(lambda: set(wanted) <= set(ids_of(log)))
    await asyncio.sleep(0.3)
    await adapter.aclose()
    return log


async def test_what_was_said_between_two_processes_is_found_in_order() -> None:
    async with DiscordServer() as server:
        shared = make_coordination()
        thread = server.create_thread("talk")
        log = EventLog()
        adapter = make_adapter(server, shared, LIMITS)
        await adapter.start(log.take)
        heard = [server.mention("alice", "hello?"), server.dm("bob", "hello?")]
        await until(lambda: ids_of(log) == heard)
        await adapter.aclose()
        missed = [server.mention("alice", f"missed {n}?") for n in range(3)]
        server.post_message("alice", "not for the bot")
        missed += [server.post_message("carol", "in the thread", channel=thread), server.dm("bob", "again?")]
        found = ids_of(await listen_once(server, shared, *missed))
        assert sorted(found) == missed
        assert [id_ for id_ in found if id_ in missed[:3]] == missed[:3]


async def test_a_first_start_answers_nothing_that_was_said_before() -> None:
    async with DiscordServer() as server:
        for n in range(3):
            server.mention("alice", f"old {n}?")
        log = await listen_once(server, make_coordination())
        assert ids_of(log) == []


async def test_what_was_heard_is_not_heard_again() -> None:
    async with DiscordServer() as server:
        shared = make_coordination()
        await listen_once(server, shared)
        missed = server.mention("alice", "once?")
        await listen_once(server, shared, missed)
        reads = len([call for call in server.calls if call.path.endswith("/messages")])
        assert ids_of(await listen_once(server, shared)) == []
        assert len([call for call in server.calls if call.path.endswith("/messages")]) == reads


async def test_a_new_session_of_the_same_process_finds_what_it_missed() -> None:
    async with DiscordServer() as server:
        log = EventLog()
        adapter = make_adapter(server, limits=LIMITS)
        await adapter.start(log.take)
        before = server.mention("alice", "before?")
        await until(lambda: ids_of(log) == [before])
        server.gateway.forget_sessions()
        missed = server.mention("alice", "nobody hears this")
        await server.gateway.drop_connections()
        await until(lambda: missed in ids_of(log))
        after = server.mention("alice", "after?")
        await until(lambda: ids_of(log) == [before, missed, after])
        await adapter.aclose()


async def test_channels_and_threads_that_began_in_the_gap_are_read_from_their_beginning() -> None:
    async with DiscordServer() as server:
        shared = make_coordination()
        await listen_once(server, shared)
        await asyncio.sleep(0.01)
        channel, thread = server.add_channel("new"), server.create_thread("new talk")
        missed = [server.mention("alice", "here?", channel=place) for place in (channel, thread)]
        log = await listen_once(server, shared, *missed)
        assert sorted(ids_of(log)) == missed


async def test_an_older_channel_that_nobody_heard_of_begins_at_its_newest_message() -> None:
    async with DiscordServer() as server:
        shared = make_coordination()
        hidden = server.world.add_channel("hidden")
        listed = server.world.channels.pop(hidden)
        await listen_once(server, shared)
        server.world.channels[hidden] = listed
        server.mention("alice", "before the bot could see it?", channel=hidden)
        assert ids_of(await listen_once(server, shared)) == []
        after = server.mention("alice", "and now?", channel=hidden)
        assert ids_of(await listen_once(server, shared, after)) == [after]


async def test_what_is_too_old_is_counted_and_not_answered() -> None:
    async with DiscordServer() as server:
        shared = make_coordination()
        await listen_once(server, shared)
        old, fresh = (server.mention("alice", text) for text in ("old?", "fresh?"))
        two_hours_ago = datetime.now(UTC) - timedelta(hours=2)
        server.world.find_message(old)["timestamp"] = two_hours_ago.isoformat()  # type: ignore[index]
        log, metrics = EventLog(), Metrics()
        adapter = make_adapter(server, shared, LIMITS, metrics)
        await adapter.start(log.take)
        await until(lambda: ids_of(log) == [fresh])
        await until(lambda: metrics.missed.labels("discord", "found")._value.get() == 1)
        assert metrics.missed.labels("discord", "too_old")._value.get() == 1
        assert metrics.gaps.labels("discord")._value.get() == 1
        await adapter.aclose()


async def test_more_than_a_page_is_read_to_its_end() -> None:
    async with DiscordServer() as server:
        shared = make_coordination()
        await listen_once(server, shared)
        for n in range(230):
            server.post_message("alice", f"chatter {n}")
        missed = server.mention("alice", "at last?")
        assert ids_of(await listen_once(server, shared, missed)) == [missed]


async def test_live_messages_stay_behind_what_was_missed_before_them() -> None:
    async with DiscordServer() as server:
        shared = make_coordination()
        await listen_once(server, shared)
        missed = server.mention("alice", "first?")
        held = asyncio.Event()
        server.fail(Fault(r"^GET /channels/\d+/messages$", held=held))
        log = EventLog()
        adapter = make_adapter(server, shared, LIMITS)
        await adapter.start(log.take)
        live = server.mention("alice", "second?")
        await asyncio.sleep(0.3)
        assert ids_of(log) == []
        held.set()
        await until(lambda: ids_of(log) == [missed, live])
        await adapter.aclose()


async def test_a_channel_that_cannot_be_read_is_given_up_after_a_few_tries() -> None:
    async with DiscordServer() as server:
        shared = make_coordination()
        await listen_once(server, shared)
        server.mention("alice", "unreadable?")
        reads = r"^GET /channels/\d+/messages$"
        server.fail(Fault(reads, status=404, code=10003, times=1000))
        log = EventLog()
        adapter = make_adapter(server, shared, LIMITS)
        await adapter.start(log.take)
        live = server.mention("alice", "and live?")
        await until(lambda: ids_of(log) == [live])
        assert len([call for call in server.calls if call.method == "GET" and "/messages" in call.path]) <= 3
        await adapter.aclose()


async def test_nothing_counts_as_heard_before_it_is_stored() -> None:
    async with DiscordServer() as server:
        shared = make_coordination()
        await listen_once(server, shared)

        async def broken_sink(event: Event) -> bool:
            raise StorageUnavailableError("away")

        deaf = make_adapter(server, shared, LIMITS)
        await deaf.start(broken_sink)
        lost = server.mention("alice", "kept?")
        server.post_message("alice", "chatter that needs no store")
        await asyncio.sleep(0.4)
        await deaf.aclose()
        assert ids_of(await listen_once(server, shared, lost)) == [lost]


async def test_channels_that_the_bot_cannot_see_are_not_asked_for() -> None:
    async with DiscordServer() as server:
        shared = make_coordination()
        open_, closed = (server.add_channel(name, private=True) for name in ("with the bot", "without"))
        del server.world.channels[closed]["permission_overwrites"][1]
        await listen_once(server, shared)
        missed = server.mention("alice", "for the bot?", channel=open_)
        server.mention("alice", "not for the bot?", channel=closed)
        assert ids_of(await listen_once(server, shared, missed)) == [missed]
        assert not [call for call in server.calls if closed in call.path]
