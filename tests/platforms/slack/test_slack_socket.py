"""Socket Mode: liveness is the age of the last pong, a new connection comes before the old one goes, and
a refused one is asked for again in due course. The times are Slack's, a hundred times faster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest

from bot.slack.adapter import SlackAdapter
from bot.slack.socket import SocketTimes
from bot.testing.slack import Fault, SlackServer
from core.errors import SettingsError
from core.messages import MessagePosted
from tests.contracts.adapter_harness import EventLog
from tests.platforms.slack.harness import settings_for

QUICK = SocketTimes(
    ping_interval_seconds=5.0,
    greeting_seconds=5.0,
    drain_seconds=1.0,
    first_pause_seconds=0.02,
    longest_pause_seconds=0.3,
    opens_window_seconds=0.6,
)
ATTENTIVE = replace(QUICK, ping_interval_seconds=0.15, greeting_seconds=1.0)


@asynccontextmanager
async def hearing(
    slack: SlackServer, log: EventLog, times: SocketTimes = QUICK
) -> AsyncIterator[SlackAdapter]:
    adapter = SlackAdapter(settings_for(slack), socket_times=times)
    await adapter.start(log.take)
    try:
        yield adapter
    finally:
        await adapter.aclose()


def texts(log: EventLog) -> list[str]:
    return [event.message.text for event in log.events if isinstance(event, MessagePosted)]


def most_opens_in_a_window(slack: SlackServer, window_seconds: float) -> int:
    times = [call.at for call in slack.calls_of("apps.connections.open")]
    return max(sum(start <= at < start + window_seconds for at in times) for start in times)


async def test_the_adapter_receives_once_slack_has_said_hello(slack: SlackServer, log: EventLog) -> None:
    async with hearing(slack, log) as adapter:
        assert adapter.is_receiving()
        assert adapter.why_deaf() == ""
        assert slack.deliverer.links.greeted == 1
    assert not adapter.is_receiving()


async def test_a_connection_that_answers_no_ping_is_replaced(slack: SlackServer, log: EventLog) -> None:
    """N1: nothing arrives any more, and nothing ends either."""
    links = slack.deliverer.links
    async with hearing(slack, log, ATTENTIVE) as adapter:
        links.greets = False  # so that we can look at it while it is deaf
        links.go_half_open()
        assert adapter.is_receiving()  # nobody can know yet
        await slack.until(lambda: not adapter.is_receiving())
        assert adapter.why_deaf()
        assert not any(link.response.closed for link in links.open)
        await slack.until(lambda: len(links.open) > 1)
        links.greets = True
        await slack.until(adapter.is_receiving)
        await slack.dm("U1", "are you there?")
        await log.next(MessagePosted)


async def test_silence_with_pongs_is_left_alone(slack: SlackServer, log: EventLog) -> None:
    async with hearing(slack, log, ATTENTIVE) as adapter:
        answered = slack.deliverer.links.pings_answered
        await slack.until(lambda: slack.deliverer.links.pings_answered > answered + 10)
        assert adapter.is_receiving()
        assert slack.deliverer.links.greeted == 1
        assert len(slack.calls_of("apps.connections.open")) == 1


@pytest.mark.parametrize("reason", ["refresh_requested", "warning"])
async def test_a_refresh_in_a_burst_loses_and_repeats_nothing(
    slack: SlackServer, log: EventLog, reason: str
) -> None:
    """N2: no delivery is even tried twice, because the old connection is heard out and answered. As with
    Slack itself, it is Slack that closes it, long before we would."""
    async with hearing(slack, log, replace(QUICK, drain_seconds=60.0)) as adapter:
        links = slack.deliverer.links
        for number in range(300):
            if number == 100:
                await links.ask_to_reconnect(reason, close_after_seconds=1.0)
            await slack.dm("U1", f"question {number}")
            assert adapter.is_receiving()
            if number % 10 == 0:
                await asyncio.sleep(0.01)
        await slack.settled(timeout_seconds=20)
        assert sorted(texts(log)) == sorted(f"question {number}" for number in range(300))
        assert {delivery.attempts for delivery in slack.deliverer.deliveries} == {1}
        await slack.until(lambda: not any(link.asked_to_go for link in links.open))
        assert links.greeted == 2


async def test_connections_that_break_are_made_anew(slack: SlackServer, log: EventLog) -> None:
    async with hearing(slack, log) as adapter:
        links = slack.deliverer.links
        await links.cut()
        await slack.until(lambda: links.greeted == 2)
        await slack.until(adapter.is_receiving)
        await slack.dm("U1", "still there?")
        await log.next(MessagePosted)


async def test_too_many_sockets_are_waited_for_with_patience(slack: SlackServer) -> None:
    """N3: more processes than places. A place that gets free is taken within a minute."""
    links = slack.deliverer.links
    async with AsyncExitStack() as stack:
        adapters = [await stack.enter_async_context(hearing(slack, EventLog())) for _ in range(12)]
        hear = [adapter for adapter in adapters if adapter.is_receiving()]
        wait = [adapter for adapter in adapters if not adapter.is_receiving()]
        assert len(hear) == 10
        assert all("too_many_websockets" in adapter.why_deaf() for adapter in wait)
        await hear[-1].aclose()
        await slack.until(lambda: any(adapter.is_receiving() for adapter in wait), timeout_seconds=2.0)
        assert links.most_at_once == 10


async def test_no_process_asks_for_more_than_six_sockets_a_minute(slack: SlackServer, log: EventLog) -> None:
    """Also where every refusal is forgotten at once."""
    slack.deliverer.links.most_open = 0
    impatient = replace(QUICK, first_pause_seconds=0.001, longest_pause_seconds=0.001)
    async with hearing(slack, log, impatient) as adapter:
        await asyncio.sleep(4 * QUICK.opens_window_seconds)
        assert not adapter.is_receiving()
        calls = len(slack.calls_of("apps.connections.open"))
        assert 4 <= calls <= 6 * 5
        assert most_opens_in_a_window(slack, QUICK.opens_window_seconds * 0.9) <= 6


async def test_two_processes_share_the_events(slack: SlackServer, log: EventLog) -> None:
    async with hearing(slack, log), hearing(slack, log):
        for number in range(10):
            await slack.dm("U1", f"question {number}")
        await slack.settled()
        assert len(log.events) == 10
        assert len(slack.deliverer.links.open) == 2


async def test_slack_says_when_to_ask_again(slack: SlackServer, log: EventLog) -> None:
    slack.faults.order("apps.connections.open", Fault(retry_after_seconds=1))
    async with hearing(slack, log) as adapter:
        assert not adapter.is_receiving()
        await slack.until(adapter.is_receiving)
        first, second, *_ = (call.at for call in slack.calls_of("apps.connections.open"))
        assert second - first >= 1


async def test_a_refused_app_token_names_its_setting(slack: SlackServer, log: EventLog) -> None:
    slack.api.app_tokens.clear()
    adapter = SlackAdapter(settings_for(slack), socket_times=QUICK)
    with pytest.raises(SettingsError) as failure:
        await adapter.start(log.take)
    assert failure.value.setting == "SLACK_APP_TOKEN"
    await adapter.aclose()


async def test_a_socket_needs_a_fresh_address(slack: SlackServer) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(slack.api_url.replace("http", "ws").replace("/api/", "/link?ticket=old"))
