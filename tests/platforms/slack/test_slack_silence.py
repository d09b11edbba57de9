"""What is no question makes no work: previews, our own messages, requests that are sent again, other bots."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from bot.slack.adapter import SlackAdapter
from bot.testing.slack import SlackServer
from core.messages import Event, MessagePosted
from core.testing.inbox import InMemoryInbox
from tests.platforms.slack.harness import serving, settings_for
from tests.platforms.slack.making import make_delivery


class CountingInbox(InMemoryInbox):
    """Says what was new."""

    def __init__(self) -> None:
        super().__init__()
        self.new: list[Event] = []

    async def put(self, event: Event) -> bool:
        new = await super().put(event)
        if new:
            self.new.append(event)
        return new


@pytest.fixture
def inbox() -> CountingInbox:
    return CountingInbox()


@pytest.fixture
async def adapter(slack: SlackServer, inbox: CountingInbox) -> AsyncIterator[SlackAdapter]:
    """Over HTTP, and it is told of its own messages too."""
    adapter = SlackAdapter(settings_for(slack, "http"))
    await adapter.start(inbox.put)
    endpoints = adapter.http_endpoints()
    assert endpoints is not None
    async with serving(endpoints) as base_url:
        slack.deliver_to(f"{base_url}/slack/events")
        yield adapter
    await adapter.aclose()


async def test_the_same_signed_request_makes_work_once(
    slack: SlackServer, adapter: SlackAdapter, inbox: CountingInbox
) -> None:
    """S4: replayed within the five minutes in which its signature holds."""
    await slack.dm("U1", "hello")
    await slack.settled()
    body = json.dumps(slack.deliverer.deliveries[0].payload)
    headers = {"Content-Type": "application/json", **slack.deliverer.signed(body)}
    for _ in range(5):
        assert await slack.deliverer.send(body, headers) == 200
    assert len(inbox.new) == 1


async def test_a_link_preview_and_our_own_messages_make_no_work(
    slack: SlackServer, adapter: SlackAdapter, inbox: CountingInbox
) -> None:
    """S3: Slack reports all of it as messages and as changed messages."""
    question = await slack.mention("U1", "C1", "see https://example.org, what is it?")
    await slack.settled()
    (posted,) = inbox.new
    assert isinstance(posted, MessagePosted)
    await slack.edit("C1", question, slack.message("C1", question).text)  # Slack adds a preview
    delivery = make_delivery(posted.message, adapter.render_notice("one moment"))
    shown = await adapter.post(delivery)
    await adapter.edit(
        delivery.model_copy(update={"rendered": adapter.render_notice("<@U0BOT> done")}), shown
    )
    await slack.post_message("U1", "C1", "<@U0BOT> has joined", subtype="channel_join")
    await slack.settled()
    assert all(delivery.acked for delivery in slack.deliverer.deliveries)
    assert inbox.new == [posted]


async def test_what_other_bots_write_is_known_to_be_theirs(
    slack: SlackServer, adapter: SlackAdapter, inbox: CountingInbox
) -> None:
    """U8: classic integrations and apps with a bot user, also where they write to us directly."""
    await slack.post_message("U7", "C1", "<@U0BOT> hello", subtype="bot_message", bot_id="B7")
    await slack.post_message("U8", "C1", "<@U0BOT> hello", bot_id="B8")
    await slack.post_message("USLACKBOT", "DU1", "a reminder")
    await slack.settled()
    assert all(isinstance(event, MessagePosted) and event.message.author.is_bot for event in inbox.new)
