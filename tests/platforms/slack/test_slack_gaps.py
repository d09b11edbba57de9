"""What was asked while nobody listened is found in the history and takes the road of every other question:
once, not when it is old, and also where Slack lets an app read next to nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.metrics import Metrics
from bot.slack.adapter import SlackAdapter
from bot.slack.catching_up import Coordination
from bot.slack.hearing import THE_APP
from bot.slack.missed import CatchUpLimits
from bot.slack.socket import SocketTimes
from bot.testing.slack import Fault, SlackServer
from bot.testing.slack.limits import ReadingLimit
from core.errors import StorageUnavailableError
from core.messages import Audience, Channel, Event, MessagePosted, Thread
from core.testing.positions import InMemoryChannelPositions
from tests.platforms.slack.harness import OncePerMessage, OneAtATime, Threads, serving, settings_for

TEAM = "T0LOOP"
QUICK = CatchUpLimits(
    overlap_seconds=0.0, note_every_seconds=0.05, lock_poll_seconds=0.02, retry_seconds=0.01, late_seconds=0.3
)
TIMES = SocketTimes(
    ping_interval_seconds=0.15, greeting_seconds=1.0, drain_seconds=0.2, first_pause_seconds=0.05
)


class World:
    """What outlives a process, and the processes that come and go."""

    def __init__(self, slack: SlackServer) -> None:
        self.slack = slack
        self.positions = InMemoryChannelPositions()
        self.threads = Threads()
        self.coordination = Coordination(self.positions, self.threads, OneAtATime())
        self.inbox = Inbox()
        self.metrics = Metrics()

    @asynccontextmanager
    async def listening(
        self, limits: CatchUpLimits = QUICK, times: SocketTimes = TIMES
    ) -> AsyncIterator[SlackAdapter]:
        adapter = SlackAdapter(
            settings_for(self.slack),
            None,
            self.coordination,
            self.metrics,
            socket_times=times,
            catch_up=limits,
        )
        await adapter.start(self.inbox.take)
        try:
            yield adapter
        finally:
            await adapter.aclose()

    async def hear(self, *channels: str) -> None:
        """A first process hears a word in each channel, and goes."""
        async with self.listening():
            for channel in channels:
                await self.slack.post_message("U9", channel, "good morning")
            await self.slack.settled()
        assert await self.positions.heard_until("slack", THE_APP) is not None

    def gaps(self) -> float:
        return self.figure("threadlore_gaps_total", platform="slack")

    def missed(self, outcome: str) -> float:
        return self.figure("threadlore_missed_messages_total", platform="slack", outcome=outcome)

    def figure(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    async def caught_up(self, gaps: int = 1) -> None:
        await self.slack.until(lambda: self.gaps() >= gaps, timeout_seconds=15.0)


class Inbox(OncePerMessage):
    """Keeps each message once, and is away while `is_away`."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False

    async def take(self, event: Event) -> bool:
        if self.is_away:
            raise StorageUnavailableError("away")
        return await super().take(event)

    def asked(self) -> list[str]:
        return [event.message.text for event in self.events if isinstance(event, MessagePosted)]

    def audiences(self) -> list[Audience]:
        return [event.message.thread.audience for event in self.events if isinstance(event, MessagePosted)]


@pytest.fixture
def world(slack: SlackServer) -> World:
    slack.deliverer.timing.retry_after_seconds = ()
    slack.deliverer.timing.ack_seconds = 0.5
    return World(slack)


@asynccontextmanager
async def unheard(slack: SlackServer) -> AsyncIterator[None]:
    """What is said meanwhile is told to nobody."""
    slack.deliverer.loses_everything = True
    try:
        yield
    finally:
        slack.deliverer.loses_everything = False


async def test_what_was_asked_while_the_process_was_down_is_found(slack: SlackServer, world: World) -> None:
    """N4: mentions, direct messages, mentions in threads, follow-ups in our threads; and nothing else."""
    old_root = await slack.post_message("U1", "C1", "an old thread")
    ours = await slack.post_message("U1", "C2", "a thread of ours")
    world.threads.recent.append(
        Thread(channel=Channel(platform="slack", workspace=TEAM, id="C2", private=False), id=ours)
    )
    await world.hear("C1", "C2")
    async with unheard(slack):
        await slack.mention("U1", "C1", "one")
        await slack.post_message("U2", "C1", "small talk")
        await slack.mention("U2", "C1", "two", old_root)
        await slack.post_message("U1", "C2", "three", ours)
        await slack.dm("UNEW", "four")  # nobody ever heard of this channel
        await slack.post_message("UBOT2", "C1", "<@U0BOT> five", bot_id="B7", subtype="bot_message")
    async with world.listening():
        await world.caught_up()
        assert sorted(world.inbox.asked()) == ["four", "one", "three", "two"]
        assert (world.missed("found"), world.missed("too_old")) == (4, 0)
        assert world.figure("threadlore_gap_seconds_total", platform="slack") > 0


async def test_what_was_heard_is_not_taken_twice_and_the_gap_is_over(
    slack: SlackServer, world: World
) -> None:
    await world.hear("C1")
    async with unheard(slack):
        await slack.mention("U1", "C1", "missed")
    async with world.listening():
        await slack.mention("U1", "C1", "heard")
        await world.caught_up()
    async with world.listening():
        await world.caught_up(2)
    assert sorted(world.inbox.asked()) == ["heard", "missed"]
    assert world.missed("found") == 1


async def test_nobody_answers_what_is_old_but_the_operator_hears_of_it(
    slack: SlackServer, world: World
) -> None:
    await world.hear("C1")
    async with unheard(slack):
        await slack.mention("U1", "C1", "yesterday's news")
        await asyncio.sleep(1.2)
        await slack.mention("U1", "C1", "fresh")
    async with world.listening(replace(QUICK, oldest_seconds=1.0)):
        await world.caught_up()
    assert world.inbox.asked() == ["fresh"]
    assert (world.missed("found"), world.missed("too_old")) == (1, 1)


async def test_strict_limits_are_obeyed_and_everything_is_found(slack: SlackServer, world: World) -> None:
    """One call in a while, 15 messages a page, as Slack limits some apps."""
    await world.hear("C1", "C2")
    async with unheard(slack):
        root = await slack.post_message("U1", "C2", "a thread")
        for number in range(20):
            await slack.mention("U1", "C1", f"question {number}")
        for number in range(17):
            await slack.mention("U2", "C2", f"reply {number}", root)
    slack.api.reading_limit = ReadingLimit(window_seconds=0.1, most_objects=15)
    async with world.listening():
        await world.caught_up()
    expected = [f"question {n}" for n in range(20)] + [f"reply {n}" for n in range(17)]
    assert sorted(world.inbox.asked()) == sorted(expected)


async def test_a_socket_that_went_deaf_leaves_a_gap(slack: SlackServer, world: World) -> None:
    """N1 and N4: what went into the deaf connection is found once another one hears."""
    await world.hear("C1")
    async with world.listening():
        await world.caught_up()
        slack.deliverer.links.go_half_open()
        await slack.mention("U1", "C1", "into the void")
        await world.caught_up(2)
        assert world.inbox.asked() == ["into the void"]
        assert world.missed("found") == 1


async def test_a_refresh_leaves_no_gap(slack: SlackServer, world: World) -> None:
    await world.hear("C1")
    async with world.listening():
        await world.caught_up()
        await slack.deliverer.links.ask_to_reconnect("refresh_requested", close_after_seconds=0.2)
        await slack.until(lambda: slack.deliverer.links.greeted == 3)
        await slack.until(lambda: len(slack.deliverer.links.open) == 1)
        assert world.gaps() == 1


async def test_what_could_not_be_stored_is_found_when_the_database_is_back(
    slack: SlackServer, world: World
) -> None:
    """Slack gives up on an event after some minutes; a database may be away for longer."""
    await world.hear("C1")
    async with world.listening():
        await world.caught_up()
        world.inbox.is_away = True
        await slack.mention("U1", "C1", "is anybody there?")
        await slack.settled()
        assert all(d.given_up for d in slack.deliverer.deliveries[-2:])
        world.inbox.is_away = False
        await slack.until(world.inbox.asked)
        assert world.inbox.asked() == ["is anybody there?"]


async def test_a_late_retry_over_http_shows_that_more_was_missed(slack: SlackServer, world: World) -> None:
    """Slack brings the last ones again, and has dropped those before."""
    settings = settings_for(slack, "http")
    adapter = SlackAdapter(settings, None, world.coordination, world.metrics, catch_up=QUICK)
    await adapter.start(world.inbox.take)
    endpoints = adapter.http_endpoints()
    assert endpoints is not None
    async with serving(endpoints) as base_url:
        address = f"{base_url}/slack/events"
        slack.deliver_to(address)
        await slack.post_message("U9", "C1", "good morning")
        await slack.settled()
        slack.deliver_to("http://127.0.0.1:9/unreachable")
        await slack.mention("U1", "C1", "dropped")
        await slack.settled()
        slack.deliverer.timing.retry_after_seconds = (1.5,)
        await slack.mention("U1", "C1", "brought again")
        await asyncio.sleep(0.1)
        slack.deliver_to(address)
        await world.caught_up()
        assert sorted(world.inbox.asked()) == ["brought again", "dropped"]
    await adapter.aclose()


async def test_without_the_permission_to_list_channels_the_known_ones_are_read(
    slack: SlackServer, world: World
) -> None:
    await world.hear("C1")
    slack.faults.order_for_good("users.conversations", Fault(error="missing_scope"))
    async with unheard(slack):
        await slack.mention("U1", "C1", "still found")
    async with world.listening():
        await world.caught_up()
    assert world.inbox.asked() == ["still found"]
    assert world.inbox.audiences()[0].outsiders, "nobody says that none read it"


async def test_a_missed_question_in_a_shared_channel_is_one_that_outsiders_read(
    slack: SlackServer, world: World
) -> None:
    slack.channel("C1").shared = True
    await world.hear("C1", "C2")
    async with unheard(slack):
        await slack.mention("U1", "C1", "shared")
        await slack.mention("U1", "C2", "our own")
    async with world.listening():
        await world.caught_up()
    heard = dict(zip(world.inbox.asked(), world.inbox.audiences(), strict=True))
    assert {text: audience.outsiders for text, audience in heard.items()} == {
        "shared": True,
        "our own": False,
    }


async def test_a_channel_that_cannot_be_read_does_not_keep_the_others(
    slack: SlackServer, world: World
) -> None:
    await world.hear("C1", "C2")
    async with unheard(slack):
        await slack.mention("U1", "C1", "found")
    slack.channel("C2").has_bot = False
    slack.api.channels.pop("C2")
    slack.faults.order("conversations.history", Fault(status=502))
    async with world.listening():
        await world.caught_up()
    assert world.inbox.asked() == ["found"]


async def test_the_token_of_one_workspace_reads_for_no_other(slack: SlackServer, world: World) -> None:
    """The database may remember a workspace that an earlier token was for."""
    elsewhere = Channel(platform="slack", workspace="T0EARLIER", id="C1", private=False)
    await world.positions.advance({elsewhere: "9999999999.000100"})
    await world.hear("C1")
    async with unheard(slack):
        await slack.mention("U1", "C1", "here")
    async with world.listening():
        await world.caught_up()
    (event,) = (event for event in world.inbox.events if isinstance(event, MessagePosted))
    assert event.message.thread.channel.workspace == TEAM


async def test_of_several_processes_one_looks(slack: SlackServer, world: World) -> None:
    await world.hear("C1")
    async with unheard(slack):
        await slack.mention("U1", "C1", "once")
    reads = len(slack.calls_of("conversations.history"))
    slack.faults.order("conversations.history", Fault(retry_after_seconds=0.5))
    async with world.listening(), world.listening(), world.listening():
        await world.caught_up()
        await asyncio.sleep(0.3)
    assert world.inbox.asked() == ["once"]
    assert len(slack.calls_of("conversations.history")) - reads == 2  # the refused one, and the one that read


async def test_a_process_that_dies_while_it_reads_leaves_the_gap_to_the_next(
    slack: SlackServer, world: World
) -> None:
    await world.hear("C1")
    before = await world.positions.heard_until("slack", THE_APP)
    async with unheard(slack):
        await slack.mention("U1", "C1", "left behind")
    slack.faults.order("conversations.history", Fault(retry_after_seconds=60))
    async with world.listening():
        await slack.until(lambda: slack.calls_of("conversations.history"))
        await asyncio.sleep(0.2)
    assert await world.positions.heard_until("slack", THE_APP) == before
    async with world.listening():
        await world.caught_up()
    assert world.inbox.asked() == ["left behind"]


async def test_whoever_was_never_there_has_missed_nothing(slack: SlackServer, world: World) -> None:
    async with unheard(slack):
        await slack.mention("U1", "C1", "before our time")
    async with world.listening():
        await asyncio.sleep(0.2)
    assert world.inbox.asked() == []
    heard = await world.positions.heard_until("slack", THE_APP)
    assert heard is not None
    assert datetime.now(UTC) - heard < timedelta(seconds=30)
