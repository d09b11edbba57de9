"""Events reach the sink through real slack-bolt, over the socket and over HTTP, and are acked after it only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest

from bot.slack.adapter import SlackAdapter
from bot.testing.slack import SlackServer, Workspace
from core.errors import SettingsError
from core.messages import Event, MessageDeleted, MessageEdited, MessageHeard, MessagePosted
from tests.contracts.adapter_harness import EventLog
from tests.platforms.slack.harness import Mode, receiving, settings_for


class FailingLog(EventLog):
    """A sink whose database is away for the first calls."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures
        self.calls = 0

    async def take(self, event: Event) -> bool:
        self.calls += 1
        if self.calls <= self.failures:
            raise ConnectionError("the database is away")
        return await super().take(event)


class SlowLog(EventLog):
    """A sink that commits when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()
        self.may_commit = asyncio.Event()

    async def take(self, event: Event) -> bool:
        self.begun.set()
        await self.may_commit.wait()
        return await super().take(event)


@pytest.fixture(params=["socket", "http"])
def mode(request: pytest.FixtureRequest) -> Mode:
    return cast(Mode, request.param)


@pytest.fixture
async def adapter(slack: SlackServer, mode: Mode, log: EventLog) -> AsyncIterator[SlackAdapter]:
    async with receiving(slack, mode, log) as started:
        yield started


async def test_both_events_of_a_mention_parse_to_the_same_message(
    slack: SlackServer, adapter: SlackAdapter, log: EventLog
) -> None:
    ts = await slack.mention("U1", "C1", "What now?")
    await slack.settled()
    first, second = (event for event in log.events if isinstance(event, MessagePosted))
    assert first.message == second.message
    assert first.message.id == ts
    assert (first.message.text, first.addressing) == ("What now?", "mention")
    assert first.delivery_id != second.delivery_id
    assert first.model_copy(update={"delivery_id": ""}) == second.model_copy(update={"delivery_id": ""})


async def test_a_mention_in_a_channel_shared_with_another_company_is_read_by_outsiders(
    slack: SlackServer, adapter: SlackAdapter, log: EventLog
) -> None:
    slack.channel("C1").shared = True
    await slack.mention("U1", "C1", "What now?")
    await slack.settled()
    assert [
        event.message.thread.audience.outsiders for event in log.events if isinstance(event, MessagePosted)
    ] == [
        True,
        True,
    ]


async def test_a_redelivery_parses_to_the_same_event(
    slack: SlackServer, adapter: SlackAdapter, log: EventLog
) -> None:
    await slack.dm("U1", "hello")
    await slack.settled()
    slack.redeliver(slack.deliverer.deliveries[0])
    await slack.settled()
    assert len(log.events) == 2
    assert log.events[0] == log.events[1]


async def test_no_call_to_slack_stands_before_the_acknowledgement(
    slack: SlackServer, adapter: SlackAdapter
) -> None:
    before = len(slack.calls)
    await slack.mention("U1", "C1", "What now?")
    await slack.settled()
    assert slack.calls[before:] == []


async def test_the_ack_waits_for_the_sink(slack: SlackServer, mode: Mode) -> None:
    log = SlowLog()
    async with receiving(slack, mode, log):
        await slack.dm("U1", "hello")
        await log.begun.wait()
        (delivery,) = slack.deliverer.deliveries
        await asyncio.sleep(0.1)  # long enough for an early ack to arrive
        assert delivery.statuses == []
        log.may_commit.set()
        await slack.settled()
        assert delivery.acked
        assert delivery.attempts == 1


async def test_what_the_sink_could_not_store_is_delivered_again(slack: SlackServer, mode: Mode) -> None:
    log = FailingLog(failures=2)
    slack.deliverer.timing.ack_seconds = 0.5
    async with receiving(slack, mode, log):
        await slack.dm("U1", "hello")
        await slack.settled()
        (delivery,) = slack.deliverer.deliveries
        assert delivery.acked
        assert delivery.attempts == 3
        assert delivery.statuses == ([500, 500, 200] if mode == "http" else [0, 0, 200])
        assert len(log.events) == 1


async def test_events_nobody_knows_are_acknowledged(
    slack: SlackServer, adapter: SlackAdapter, log: EventLog
) -> None:
    deliveries = [
        slack.emit({"type": "assistant_thread_started", "assistant_thread": {"user_id": "U1"}}),
        slack.emit({"type": "something_new", "user": "U1", "event_ts": "1.2"}),
        slack.emit({"type": "message"}),  # nothing in it that makes a message
        slack.emit({"type": "reaction_added", "reaction": "+1"}),
    ]
    await slack.settled()
    assert all(delivery.acked and delivery.attempts == 1 for delivery in deliveries)
    assert log.events == []


async def test_small_talk_in_a_channel_asks_nothing_and_a_thread_may(
    slack: SlackServer, adapter: SlackAdapter, log: EventLog
) -> None:
    """Small talk is knowledge where the channel is a source, and goes no further elsewhere."""
    root = await slack.post_message("U1", "C1", "lunch?")
    reply = await slack.post_message("U2", "C1", "yes", root)
    await slack.settled()
    heard, event = log.events
    assert isinstance(heard, MessageHeard)
    assert heard.message.id == root
    assert isinstance(event, MessagePosted)
    assert (event.message.id, event.message.thread.id) == (reply, root)
    assert (event.addressing, event.summoned_midway) == ("thread", True)


async def test_edits_deletions_and_previews(slack: SlackServer, adapter: SlackAdapter, log: EventLog) -> None:
    question = await slack.dm("U1", "see https://example.org")
    await slack.edit("DU1", question, "see https://example.org")  # a link preview
    await slack.edit("DU1", question, "see https://example.com")
    await slack.delete("DU1", question)
    await slack.settled()
    posted, edited, deleted = log.events
    assert isinstance(posted, MessagePosted)
    assert isinstance(edited, MessageEdited)
    assert edited.message.text == "see https://example.com"
    assert isinstance(deleted, MessageDeleted)
    assert deleted.message_id == question


async def test_the_root_of_a_thread_that_becomes_a_tombstone_is_deleted(
    slack: SlackServer, adapter: SlackAdapter, log: EventLog
) -> None:
    root = await slack.mention("U1", "C1", "secret?")
    await slack.post_message("U2", "C1", "shh", root)
    await slack.delete("C1", root)
    deleted = await log.next(MessageDeleted)
    assert deleted.message_id == root


async def test_a_token_that_slack_refuses_names_the_setting(slack: SlackServer) -> None:
    adapter = SlackAdapter(settings_for(slack, slack_bot_token="xoxb-wrong"))
    with pytest.raises(SettingsError) as refused:
        await adapter.open()
    assert refused.value.setting == "SLACK_BOT_TOKEN"
    await adapter.aclose()


async def test_an_app_token_that_slack_refuses_names_the_setting(slack: SlackServer, log: EventLog) -> None:
    adapter = SlackAdapter(settings_for(slack, slack_app_token="xapp-wrong"))
    with pytest.raises(SettingsError) as refused:
        await adapter.start(log.take)
    assert refused.value.setting == "SLACK_APP_TOKEN"
    await adapter.aclose()


@pytest.mark.parametrize("kind", ["tokens_revoked", "app_uninstalled"])
async def test_nothing_is_sent_once_the_token_is_revoked(
    slack: SlackServer, adapter: SlackAdapter, log: EventLog, kind: str
) -> None:
    from bot.adapter import UnauthorizedError

    await slack.dm("U1", "hello")
    posted = await log.next(MessagePosted)
    await slack.remove_app(kind=kind)
    await slack.settled()
    before = len(slack.calls)
    with pytest.raises(UnauthorizedError):
        await adapter.fetch_thread(posted.message, 5)
    assert slack.calls[before:] == []
    assert not adapter.is_receiving()
    assert "Install it again" in adapter.why_deaf()


async def test_a_process_that_was_not_told_stops_at_the_first_refusal(
    slack: SlackServer, adapter: SlackAdapter, log: EventLog
) -> None:
    """S5: only one process hears of it, and the others find out by a call."""
    from bot.adapter import UnauthorizedError

    await slack.dm("U1", "hello")
    posted = await log.next(MessagePosted)
    elsewhere = SlackAdapter(settings_for(slack))
    await elsewhere.open()
    await slack.remove_app()
    before = len(slack.calls)
    for _ in range(3):
        with pytest.raises(UnauthorizedError):
            await elsewhere.fetch_thread(posted.message, 5)
    assert len(slack.calls) == before + 1
    await elsewhere.aclose()


async def test_another_workspace_that_removes_the_app_takes_nothing_from_this_one(
    slack: SlackServer, adapter: SlackAdapter, log: EventLog
) -> None:
    await slack.dm("U1", "hello")
    posted = await log.next(MessagePosted)
    slack.api.workspaces["xoxb-other"] = Workspace("T0OTHER", "xoxb-other", "U9BOT", "B9BOT")
    await slack.remove_app("T0OTHER")
    await slack.settled()
    assert adapter.is_receiving()
    await adapter.fetch_thread(posted.message, 5)
