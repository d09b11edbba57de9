"""Which tokens make which mode, and what is said about those that cannot work."""

from __future__ import annotations

import pytest

from bot.slack.manifest import BOT_SCOPES, EVENT_SCOPES, METHOD_SCOPES, build_manifest
from bot.slack.settings import SlackSettings
from core.errors import SettingsError

BOT, APP, SIGNING = "xoxb-1", "xapp-1", "secret"


def settings(**values: str) -> SlackSettings:
    return SlackSettings.model_validate({f"slack_{name}": value for name, value in values.items()})


@pytest.mark.parametrize(
    ("values", "mode"),
    [
        ({}, "off"),
        ({"signing_secret": SIGNING}, "off"),
        ({"bot_token": BOT, "app_token": APP}, "socket"),
        ({"bot_token": BOT, "app_token": APP, "signing_secret": SIGNING}, "socket"),
        ({"bot_token": BOT, "signing_secret": SIGNING}, "http"),
        ({"client_id": "1.2", "client_secret": "s", "signing_secret": SIGNING}, "http"),
    ],
)
def test_tokens_decide_the_mode(values: dict[str, str], mode: str) -> None:
    chosen = settings(**values)
    chosen.require_complete()
    assert chosen.mode == mode


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"bot_token": APP, "app_token": BOT}, "SLACK_BOT_TOKEN"),
        ({"bot_token": BOT, "app_token": "xoxb-2"}, "SLACK_APP_TOKEN"),
        ({"bot_token": "xoxp-1", "app_token": APP}, "SLACK_BOT_TOKEN"),
        ({"bot_token": BOT}, "SLACK_APP_TOKEN"),
        ({"bot_token": BOT, "signing_secret": "  "}, "SLACK_SIGNING_SECRET"),
        ({"bot_token": BOT, "signing_secret": ""}, "SLACK_SIGNING_SECRET"),
        ({"app_token": APP}, "SLACK_BOT_TOKEN"),
        ({"client_id": "1.2", "signing_secret": SIGNING}, "SLACK_CLIENT_SECRET"),
        ({"client_id": "1.2", "client_secret": "s"}, "SLACK_APP_TOKEN"),
        ({"client_id": "1.2", "client_secret": "s", "app_token": APP}, "SLACK_SIGNING_SECRET"),
        (
            {"bot_token": BOT, "client_id": "1.2", "client_secret": "s", "signing_secret": SIGNING},
            "SLACK_BOT_TOKEN",
        ),
    ],
)
def test_tokens_that_cannot_work_are_named_with_a_remedy(values: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError) as refused:
        settings(**values).require_complete()
    assert refused.value.setting == named
    assert refused.value.remedy
    for value in values.values():
        assert not value.strip() or len(value) < 4 or value not in str(refused.value)


def test_secrets_do_not_show() -> None:
    assert "xoxb-1" not in repr(settings(bot_token=BOT, app_token=APP))


def test_the_address_of_the_api_ends_in_a_slash() -> None:
    assert settings(api_url="http://127.0.0.1:9/api").slack_api_url == "http://127.0.0.1:9/api/"


def test_the_manifest_has_the_scopes_of_all_methods_and_events_and_no_more() -> None:
    manifest = build_manifest(settings(bot_token=BOT, app_token=APP))
    needed = {s for scopes in (*METHOD_SCOPES.values(), *EVENT_SCOPES.values()) for s in scopes}
    assert manifest["oauth_config"] == {"scopes": {"bot": sorted(needed)}}
    assert set(BOT_SCOPES) == needed


def test_the_manifest_of_http_mode_names_addresses() -> None:
    manifest = build_manifest(
        settings(client_id="1.2", client_secret="s", signing_secret=SIGNING), "https://lore.example"
    )
    text = repr(manifest)
    assert "https://lore.example/slack/events" in text
    assert "https://lore.example/slack/oauth_redirect" in text
    assert "'socket_mode_enabled': False" in text


def test_the_manifest_without_any_token_is_for_socket_mode() -> None:
    assert "'socket_mode_enabled': True" in repr(build_manifest(settings()))
