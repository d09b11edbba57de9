"""Socket Mode: liveness is the age of the last pong, and a lost connection is made anew."""

from __future__ import annotations

from bot.slack import receiving as receiving_module
from bot.testing.slack import SlackServer
from core.messages import MessagePosted
from tests.contracts.adapter_harness import EventLog
from tests.platforms.slack.harness import receiving


async def test_the_adapter_receives_once_slack_has_said_hello(slack: SlackServer, log: EventLog) -> None:
    async with receiving(slack, "socket", log) as adapter:
        assert adapter.is_receiving()
        assert len(slack.deliverer.sockets) == 1
    assert not adapter.is_receiving()


async def test_a_refresh_loses_nothing(slack: SlackServer, log: EventLog) -> None:
    slack.deliverer.timing.ack_seconds = 0.5
    async with receiving(slack, "socket", log) as adapter:
        for number in range(30):
            if number == 10:
                await slack.deliverer.ask_to_reconnect("refresh_requested")
            await slack.dm("U1", f"question {number}")
        await slack.until(lambda: len(slack.calls_of("apps.connections.open")) == 2)
        await slack.settled(timeout_seconds=20)
        texts = {event.message.text for event in log.events if isinstance(event, MessagePosted)}
        assert texts == {f"question {number}" for number in range(30)}
        await slack.until(adapter.is_receiving)


async def test_two_processes_share_the_events(slack: SlackServer, log: EventLog) -> None:
    async with receiving(slack, "socket", log), receiving(slack, "socket", log):
        for number in range(10):
            await slack.dm("U1", f"question {number}")
        await slack.settled()
        assert len(log.events) == 10
        assert len(slack.deliverer.sockets) == 2


async def test_a_connection_that_answers_no_ping_counts_as_dead(slack: SlackServer, log: EventLog) -> None:
    async with receiving(slack, "socket", log) as adapter:
        assert adapter.is_receiving()
        heard = adapter._receiver  # the clock of the last sign of life
        client = heard._socket.client if heard._socket is not None else None
        assert client is not None
        session = client.current_session
        assert session is not None
        slack.deliverer.deaf = True
        age = receiving_module.DEAF_AFTER_SECONDS + 1
        client.last_ping_pong_time = heard._heard_at = heard._heard_at - age
        assert not session.closed
        assert not adapter.is_receiving()
