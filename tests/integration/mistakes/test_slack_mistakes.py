"""O2: what operators get wrong about Slack, one mistake at a time; the doctor names it with its remedy."""

from __future__ import annotations

import time

import pytest
from slack_sdk.oauth.installation_store import Installation
from slack_sdk.oauth.token_rotation.async_rotator import AsyncTokenRotator

from bot.adapter import UnauthorizedError
from bot.slack.api import SlackApi
from bot.slack.installations import Installations
from bot.slack.manifest import BOT_SCOPES
from bot.slack.rotation import TokenRotation
from bot.testing.slack import APP_TOKEN, BOT_TOKEN, SIGNING_SECRET
from bot.testing.slack import Fault as SlackFault
from core.storage.exclusive import PostgresExclusive
from core.storage.installations import PostgresInstallationStore
from tests.integration.mistakes.making import NOBODY, Ground, Mistake, Mistakes, require_named

REMOTE = "http://slack.example.com/api/"
HTTP_MODE = {"SLACK_APP_TOKEN": "", "SLACK_SIGNING_SECRET": SIGNING_SECRET}
INSTALLED = {
    **HTTP_MODE,
    "SLACK_BOT_TOKEN": "",
    "SLACK_CLIENT_ID": "123.456",
    "SLACK_CLIENT_SECRET": "client-secret",
}


MISTAKES = Mistakes()

MISTAKES.setting(
    "tokens swapped", "slack", "slack", "xapp-", SLACK_BOT_TOKEN=APP_TOKEN, SLACK_APP_TOKEN=BOT_TOKEN
)
MISTAKES.setting("a person's token", "slack", "slack", "SLACK_BOT_TOKEN", "xoxp-", SLACK_BOT_TOKEN="xoxp-1")
MISTAKES.setting("a token that expires", "slack", "slack", "SLACK_CLIENT_ID", SLACK_BOT_TOKEN="xoxe.xoxb-1")
MISTAKES.setting("a bot token of another", "slack", "slack", "SLACK_BOT_TOKEN", SLACK_BOT_TOKEN="xoxb-other")
MISTAKES.setting(
    "an app token of another", "slack", "slack events", "SLACK_APP_TOKEN", SLACK_APP_TOKEN="xapp-other"
)
MISTAKES.setting("no way in", "slack", "slack", "SLACK_SIGNING_SECRET", SLACK_APP_TOKEN="")
MISTAKES.setting(
    "an empty signing secret", "slack", "slack", "empty", **HTTP_MODE | {"SLACK_SIGNING_SECRET": " "}
)
MISTAKES.setting(
    "a token for a signing secret",
    "slack",
    "slack events",
    "SLACK_SIGNING_SECRET",
    **HTTP_MODE | {"SLACK_SIGNING_SECRET": "xoxb-1"},
)
MISTAKES.setting(
    "the client secret for the signing secret",
    "slack",
    "slack events",
    "client secret",
    **INSTALLED | {"SLACK_SIGNING_SECRET": "client-secret"},
)
MISTAKES.setting("half of OAuth", "slack", "slack", "SLACK_CLIENT_SECRET", SLACK_CLIENT_ID="1.2")
MISTAKES.setting("tokens in clear", "slack", "slack", "https", SLACK_API_URL=REMOTE)
MISTAKES.setting("Slack away", "slack", "slack", "SLACK_API_URL", SLACK_API_URL=f"{NOBODY}/api/")
MISTAKES.setting("an emoji without a rating", "slack", "slack", "FEEDBACK_EMOJI", FEEDBACK_EMOJI="tada")


@MISTAKES.elsewhere("a missing scope", "slack", "slack scopes", "im:history", "reinstall")
async def _(ground: Ground) -> None:
    ground.slack.scopes = set(BOT_SCOPES) - {"im:history"}


@MISTAKES.elsewhere("Socket Mode off", "slack", "slack events", "Socket Mode", "connections:write")
async def _(ground: Ground) -> None:
    ground.slack.faults.order_for_good("apps.connections.open", SlackFault(error="missing_scope"))


@MISTAKES.elsewhere("the app removed", "slack", "slack", "token_revoked", "install")
async def _(ground: Ground) -> None:
    ground.slack.faults.order_for_good("auth.test", SlackFault(error="token_revoked"))


@MISTAKES.elsewhere("a clock ten minutes fast", "slack", "clock", "10 minutes ahead", "NTP")
async def _(ground: Ground) -> None:
    ground.slack.clock_seconds = -600


async def _install(ground: Ground, *, expires_in: int, refresh_token: str | None) -> None:
    await Installations(PostgresInstallationStore(ground.database)).async_save(
        Installation(
            user_id="U0INSTALLER",
            team_id="T1",
            bot_token="xoxe.xoxb-lost",
            bot_id="B1",
            bot_user_id="U1",
            bot_refresh_token=refresh_token,
            bot_token_expires_at=int(time.time()) + expires_in,
        )
    )


@MISTAKES.elsewhere("a renewal that was lost", "slack", "slack T1", "invalid_refresh_token", "/slack/install")
async def _(ground: Ground) -> dict[str, str]:
    await _install(ground, expires_in=-1, refresh_token="xoxe-1-used-up")
    store = PostgresInstallationStore(ground.database)
    api = SlackApi(ground.slack.api_url, Installations(store))
    ground.stack.push_async_callback(api.aclose)

    def make_rotator() -> AsyncTokenRotator:
        return AsyncTokenRotator(client_id="1", client_secret="2", client=api.client())

    process = Installations(store, TokenRotation(make_rotator, PostgresExclusive(ground.database)))
    with pytest.raises(UnauthorizedError):
        await process.token("T1")
    return INSTALLED


@MISTAKES.elsewhere("a workspace's token expired for good", "slack", "slack T1", "expired", "/slack/install")
async def _(ground: Ground) -> dict[str, str]:
    await _install(ground, expires_in=-1, refresh_token=None)
    return INSTALLED


@MISTAKES.elsewhere("a workspace that removed the app", "slack", "slack T1", "invalid_auth", "/slack/install")
async def _(ground: Ground) -> dict[str, str]:
    await _install(ground, expires_in=90_000, refresh_token=None)
    return INSTALLED


@pytest.mark.parametrize("mistake", MISTAKES.cases())
async def test_the_doctor_names_the_mistake_and_its_remedy(
    mistake: Mistake, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    await require_named(mistake, ground, monkeypatch)
