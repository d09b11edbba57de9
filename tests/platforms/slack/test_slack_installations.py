"""Several workspaces: each installs the app, gets answers with its own token, and may leave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from bot.adapter import ForbiddenError, UnauthorizedError
from bot.slack.adapter import SlackAdapter
from bot.slack.catching_up import Coordination
from bot.slack.installations import Installations, InstallationStore
from bot.slack.manifest import BOT_SCOPES
from bot.slack.settings import SlackSettings
from bot.testing.installations import InMemoryInstallationStore
from bot.testing.slack import SIGNING_SECRET, SlackServer
from core.messages import MessagePosted
from core.storage.database import Database
from core.storage.installations import PostgresInstallationStore
from core.testing.positions import InMemoryChannelPositions
from tests.contracts.adapter_harness import EventLog
from tests.platforms.slack.harness import OneAtATime, Threads, serving
from tests.platforms.slack.making import make_delivery


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest) -> InstallationStore:
    if request.param == "memory":
        return InMemoryInstallationStore()
    database: Database = request.getfixturevalue("database")
    return PostgresInstallationStore(database)


def settings_for(slack: SlackServer) -> SlackSettings:
    return SlackSettings.model_validate(
        {
            "slack_client_id": "123.456",
            "slack_client_secret": "client-secret",
            "slack_signing_secret": SIGNING_SECRET,
            "slack_api_url": slack.api_url,
        }
    )


@asynccontextmanager
async def installable(
    slack: SlackServer, store: InstallationStore, log: EventLog
) -> AsyncIterator[tuple[SlackAdapter, str]]:
    coordination = Coordination(InMemoryChannelPositions(), Threads(), OneAtATime())
    adapter = SlackAdapter(settings_for(slack), store, coordination)
    await adapter.start(log.take)
    endpoints = adapter.http_endpoints()
    assert endpoints is not None
    async with serving(endpoints) as base_url:
        slack.deliver_to(f"{base_url}/slack/events")
        yield adapter, base_url
    await adapter.aclose()


async def install(slack: SlackServer, base_url: str, team_id: str) -> int:
    """Walk through Slack's consent as a browser does; the status of the last page."""
    async with aiohttp.ClientSession() as browser:
        async with browser.get(f"{base_url}/slack/install") as page:
            assert page.status == 200
            (link,) = (
                part.split('"')[0] for part in (await page.text()).split('href="')[1:] if "authorize" in part
            )
            cookie = page.headers["Set-Cookie"].split(";")[0]
        asked = parse_qs(urlsplit(link.replace("&amp;", "&")).query)
        assert set(asked["scope"][0].split(",")) == set(BOT_SCOPES)
        params = {"code": slack.add_workspace(team_id), "state": asked["state"][0]}
        async with browser.get(
            f"{base_url}/slack/oauth_redirect", params=params, headers={"Cookie": cookie}
        ) as page:
            status = page.status
        async with browser.get(
            f"{base_url}/slack/oauth_redirect", params=params, headers={"Cookie": cookie}
        ) as again:
            assert again.status == 401  # the state is used up
        return status


async def ask(slack: SlackServer, log: EventLog, channel: str, team_id: str) -> MessagePosted:
    slack.channel(channel, team_id=team_id)
    ts = await slack.mention("U1", channel, "How?")
    return await log.next(MessagePosted, lambda event: event.message.id == ts)


async def test_each_workspace_installs_asks_and_leaves(
    slack: SlackServer, store: InstallationStore, log: EventLog
) -> None:
    slack.api.workspaces.clear()
    async with installable(slack, store, log) as (adapter, base_url):
        for team in ("T1", "T2"):
            assert await install(slack, base_url, team) == 200
        for team in ("T1", "T2"):
            event = await ask(slack, log, f"C{team}", team)
            assert event.message.thread.channel.workspace == team
            assert event.message.text == "How?"
            delivery = make_delivery(event.message, adapter.render_notice(f"For {team}"))
            posted = await adapter.post(delivery)
            assert slack.message(f"C{team}", posted).markdown == f"For {team}"
            assert await adapter.find_posted(delivery) == posted
        await slack.remove_app("T1")
        await slack.settled()
        event = await log.next(MessagePosted, lambda e: e.message.thread.channel.workspace == "T1")
        before = len(slack.calls)
        with pytest.raises(UnauthorizedError):
            await adapter.post(make_delivery(event.message, adapter.render_notice("too late")))
        assert len(slack.calls) == before
        assert await store.find("slack", "T1") is None
        assert await store.find("slack", "T2") is not None


async def test_a_token_that_expires_is_renewed_before_it_is_used(
    slack: SlackServer, store: InstallationStore, log: EventLog
) -> None:
    slack.api.installing.expires_in_seconds = 60
    async with installable(slack, store, log) as (adapter, base_url):
        assert await install(slack, base_url, "T1") == 200
        slack.api.installing.expires_in_seconds = 12 * 3600
        event = await ask(slack, log, "CT1", "T1")
        for text in ("one", "two"):
            await adapter.post(make_delivery(event.message, adapter.render_notice(text)))
        assert slack.api.installing.renewals == 1


async def test_a_workspace_cannot_post_into_another(
    slack: SlackServer, store: InstallationStore, log: EventLog
) -> None:
    async with installable(slack, store, log) as (adapter, base_url):
        assert await install(slack, base_url, "T1") == 200
        assert await install(slack, base_url, "T2") == 200
        event = await ask(slack, log, "CT1", "T1")
        place = event.message.thread.channel.model_copy(update={"workspace": "T2"})
        thread = event.message.thread.model_copy(update={"channel": place})
        astray = event.message.model_copy(update={"thread": thread})
        with pytest.raises(ForbiddenError):
            await adapter.post(make_delivery(astray, adapter.render_notice("astray")))


async def test_an_installation_is_replaced_found_and_removed(store: InstallationStore) -> None:
    assert await store.find("slack", "T1") is None
    await store.save("slack", "T1", {"bot_token": "a", "scopes": ["x"]})
    await store.save("slack", "T1", {"bot_token": "b"})
    await store.save("other", "T1", {"bot_token": "c"})
    assert await store.find("slack", "T1") == {"bot_token": "b"}
    assert await store.remove("slack", "T1")
    assert not await store.remove("slack", "T1")
    assert await store.find("slack", "T1") is None
    assert await store.find("other", "T1") == {"bot_token": "c"}


async def test_a_state_is_good_once_and_for_a_while(store: InstallationStore) -> None:
    await store.issue_state("slack", "fresh", 60)
    await store.issue_state("slack", "stale", -1)
    assert not await store.consume_state("slack", "never")
    assert not await store.consume_state("slack", "stale")
    assert not await store.consume_state("other", "fresh")
    assert await store.consume_state("slack", "fresh")
    assert not await store.consume_state("slack", "fresh")


async def test_an_organisation_wide_installation_serves_its_workspaces(store: InstallationStore) -> None:
    bot = {
        "bot_token": "xoxb-org",
        "bot_id": "B1",
        "bot_user_id": "U1BOT",
        "enterprise_id": "E1",
        "is_enterprise_install": True,
        "installed_at": 1700000000.0,
    }
    await store.save("slack", "E1", bot)
    installations = Installations(store)
    with pytest.raises(UnauthorizedError):
        await installations.token("T7")
    found = await installations.async_find_bot(enterprise_id="E1", team_id="T7", is_enterprise_install=True)
    assert found is not None
    assert (
        await Installations(store).token("T7") == "xoxb-org"
    )  # as another process, which never saw the event
