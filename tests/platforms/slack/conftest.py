"""A loopback Slack for each test, and an open adapter that talks to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.slack.adapter import SlackAdapter
from bot.testing.slack import SlackServer
from tests.contracts.adapter_harness import EventLog
from tests.platforms.slack.harness import settings_for


@pytest.fixture
async def slack() -> AsyncIterator[SlackServer]:
    async with SlackServer() as server:
        yield server


@pytest.fixture
async def sender(slack: SlackServer) -> AsyncIterator[SlackAdapter]:
    """An adapter that is only opened, as in a process that only works."""
    adapter = SlackAdapter(settings_for(slack))
    await adapter.open()
    yield adapter
    await adapter.aclose()


@pytest.fixture
def log() -> EventLog:
    return EventLog()
