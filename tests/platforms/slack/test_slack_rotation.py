"""S6: tokens that expire are renewed in time, once, whoever notices first; and it is said when they cannot be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from slack_sdk.oauth.installation_store import Installation
from slack_sdk.oauth.token_rotation.async_rotator import AsyncTokenRotator

from bot.adapter import UnauthorizedError
from bot.slack.api import SlackApi
from bot.slack.installations import Installations
from bot.slack.rotation import TokenRotation
from bot.testing.slack import Fault, SlackServer
from core.storage.database import Database
from core.storage.exclusive import PostgresExclusive
from core.storage.installations import PostgresInstallationStore

HOUR = 3600

MakeProcess = Callable[[], Installations]


@pytest.fixture
async def install(slack: SlackServer, database: Database) -> Callable[[int], Awaitable[None]]:
    """Install in T1 with a token that expires so many seconds from now."""

    async def install(expires_in: int) -> None:
        slack.api.installing.expires_in_seconds = expires_in
        answer = slack.api.call("oauth.v2.access", "", {"code": slack.add_workspace("T1")})
        installation = Installation(
            user_id="U0INSTALLER",
            team_id="T1",
            bot_token=answer["access_token"],
            bot_id="B1",
            bot_user_id=answer["bot_user_id"],
            bot_refresh_token=answer["refresh_token"],
            bot_token_expires_at=int(time.time()) + expires_in,
        )
        await Installations(PostgresInstallationStore(database)).async_save(installation)
        slack.api.installing.expires_in_seconds = 12 * HOUR

    return install


@pytest.fixture
async def make_process(slack: SlackServer, database: Database) -> MakeProcess:
    def make() -> Installations:
        store = PostgresInstallationStore(database)
        api = SlackApi(slack.api_url, Installations(store))

        def make_rotator() -> AsyncTokenRotator:
            return AsyncTokenRotator(client_id="1", client_secret="2", client=api.client())

        return Installations(store, TokenRotation(make_rotator, PostgresExclusive(database)))

    return make


async def test_a_token_with_time_left_is_used_as_it_is(
    slack: SlackServer, install: Callable[[int], Awaitable[None]], make_process: MakeProcess
) -> None:
    await install(12 * HOUR)
    assert await make_process().token("T1") == "xoxb-T1"
    assert slack.api.installing.renewals == 0


async def test_many_processes_renew_once(
    slack: SlackServer, install: Callable[[int], Awaitable[None]], make_process: MakeProcess
) -> None:
    await install(-1)
    processes = [make_process() for _ in range(5)]
    tokens = await asyncio.gather(*(process.token("T1") for process in processes for _ in range(2)))
    assert set(tokens) == {"xoxe.xoxb-T1-1"}
    assert slack.api.installing.renewals == 1
    assert await make_process().token("T1") == "xoxe.xoxb-T1-1"


async def test_while_another_renews_the_old_token_serves(
    slack: SlackServer, install: Callable[[int], Awaitable[None]], make_process: MakeProcess
) -> None:
    await install(HOUR)
    held = asyncio.Event()
    slack.faults.order("oauth.v2.access", Fault(held=held))
    first = asyncio.create_task(make_process().token("T1"))
    await slack.until(lambda: slack.api.installing.renewals == 1)
    assert await make_process().token("T1") == "xoxb-T1"
    held.set()
    assert await first == "xoxe.xoxb-T1-1"


async def test_what_was_lost_between_renewal_and_commit_is_said_with_its_remedy(
    slack: SlackServer, install: Callable[[int], Awaitable[None]], make_process: MakeProcess
) -> None:
    await install(1)
    held = asyncio.Event()
    slack.faults.order("oauth.v2.access", Fault(held=held))
    dying = asyncio.create_task(make_process().token("T1"))
    await slack.until(lambda: slack.api.installing.renewals == 1)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    held.set()
    process = make_process()
    await asyncio.sleep(1.1)
    for _ in range(3):
        with pytest.raises(UnauthorizedError, match="/slack/install once more"):
            await process.token("T1")
    assert len(slack.calls_of("oauth.v2.access")) == 2  # the one that was lost, and one try


async def test_slack_that_is_away_costs_nothing_while_the_token_lasts(
    slack: SlackServer, install: Callable[[int], Awaitable[None]], make_process: MakeProcess
) -> None:
    await install(HOUR)
    slack.faults.order("oauth.v2.access", Fault(reset="before"))
    process = make_process()
    assert await process.token("T1") == "xoxb-T1"
    assert await process.token("T1") == "xoxe.xoxb-T1-1"
