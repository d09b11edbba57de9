"""What can be wrong with Slack's settings, found by asking Slack: tokens, their kinds, scopes, Socket Mode."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import httpx

from bot.doctor import Finding, bad, certificates, good, judge_address, judge_clock, off
from bot.feedback_emoji import parse_emoji_ratings
from bot.slack.installations import InstallationStore, list_bots
from bot.slack.rotation import NOT_RENEWED, is_over
from bot.slack.settings import SlackSettings

WHERE = "at https://api.slack.com/apps"
REFUSED_TOKENS = ("invalid_auth", "not_authed", "token_revoked", "account_inactive", "token_expired")


async def check_slack(
    settings: SlackSettings, scopes: Collection[str], installed: InstallationStore | None = None
) -> list[Finding]:
    """`scopes`: those that the manifest asks for; `installed`: where workspaces' own tokens are kept.
    Raises SettingsError for settings that contradict, StorageError."""
    settings.require_complete()
    parse_emoji_ratings(settings.feedback_emoji)
    if settings.mode == "off":
        return [
            off(
                "slack",
                "no token is set",
                "`threadlore manifest slack` prints the manifest of the app to create.",
            )
        ]
    if unsafe := judge_address("slack", "SLACK_API_URL", settings.slack_api_url):
        return unsafe
    findings: list[Finding] = []
    async with httpx.AsyncClient(
        base_url=settings.slack_api_url, timeout=15, verify=certificates()
    ) as client:
        if settings.slack_bot_token is not None:
            findings += await _check_bot_token(client, settings.slack_bot_token.get_secret_value(), scopes)
        else:
            findings.append(good("slack", "workspaces install the app at /slack/install"))
            findings += await _check_installations(client, installed) if installed is not None else []
        if settings.slack_app_token is not None:
            findings.append(await _check_app_token(client, settings.slack_app_token.get_secret_value()))
        else:
            findings += _judge_http(settings)
    return findings


def _judge_http(settings: SlackSettings) -> list[Finding]:
    """What Slack signs with cannot be asked: only that it is no other secret of the app's."""
    signing, client = settings.slack_signing_secret, settings.slack_client_secret
    value = signing.get_secret_value().strip() if signing is not None else ""
    where = f"Copy the Signing Secret from Basic Information {WHERE}."
    if value.startswith(("xox", "xapp")):
        return [bad("slack events", "SLACK_SIGNING_SECRET is a token, not the signing secret", where)]
    if client is not None and value == client.get_secret_value().strip():
        return [bad("slack events", "SLACK_SIGNING_SECRET is the client secret", where)]
    return [
        good("slack events", "over HTTP, at POST /slack/events, signed"),
        off(
            "slack delayed events",
            "Slack does not tell whether Delayed Events are on",
            f"Switch them on under Event Subscriptions {WHERE}: after an outage Slack then repeats for a day.",
        ),
    ]


async def _check_installations(client: httpx.AsyncClient, installed: InstallationStore) -> list[Finding]:
    """Each workspace with the token that it gave; nothing is renewed here."""
    findings = []
    for workspace, bot in await list_bots(installed):
        name, again = f"slack {workspace}", "Open /slack/install once more for this workspace."
        refused = bot.get_custom_value(NOT_RENEWED)
        if refused:
            findings.append(bad(name, f"Slack no longer renews the token: {refused}", again))
        elif is_over(bot) and bot.bot_refresh_token is None:
            findings.append(bad(name, "the token has expired, and there is none to renew it with", again))
        elif is_over(bot):
            findings.append(good(name, "the token has expired and is renewed with its next use"))
        else:
            findings.append(await _check_installation(client, name, bot.bot_token, again))
    return findings


async def _check_installation(client: httpx.AsyncClient, name: str, token: str, again: str) -> Finding:
    try:
        body, _ = await _call(client, "auth.test", token)
    except httpx.HTTPError as error:
        return _unreachable(name, error)
    if not body.get("ok"):
        return bad(name, f"Slack refuses the token: {body.get('error')}", again)
    return good(name, f"{body.get('user')} in {body.get('team')}")


async def _check_bot_token(client: httpx.AsyncClient, token: str, scopes: Collection[str]) -> list[Finding]:
    try:
        body, headers = await _call(client, "auth.test", token)
    except httpx.HTTPError as error:
        return [_unreachable("slack", error)]
    if not body.get("ok"):
        return [
            bad(
                "slack",
                f"Slack refuses SLACK_BOT_TOKEN: {body.get('error')}",
                f"Copy the xoxb-... token from OAuth & Permissions {WHERE}; install the app again if it was removed.",
            )
        ]
    findings = [good("slack", f"{body.get('user')} in {body.get('team')}")]
    findings += judge_clock(headers.get("date"))
    granted = {scope.strip() for scope in headers.get("x-oauth-scopes", "").split(",") if scope.strip()}
    missing = sorted(set(scopes) - granted)
    if granted and missing:
        findings.append(
            bad(
                "slack scopes",
                f"missing: {', '.join(missing)}",
                f"Update the app from `threadlore manifest slack` {WHERE}, then reinstall it.",
            )
        )
    elif granted:
        findings.append(good("slack scopes", "all that are needed"))
    return findings


async def _check_app_token(client: httpx.AsyncClient, token: str) -> Finding:
    try:
        body, _ = await _call(client, "apps.connections.open", token)
    except httpx.HTTPError as error:
        return _unreachable("slack events", error)
    code = body.get("error")
    if code in REFUSED_TOKENS:
        return bad(
            "slack events",
            f"Slack refuses SLACK_APP_TOKEN: {code}",
            f"Copy the xapp-... token from App-Level Tokens under Basic Information {WHERE}.",
        )
    if not body.get("ok"):
        return bad(
            "slack events",
            f"Slack opens no socket: {code}",
            f"Switch Socket Mode on, and give the app-level token the scope connections:write, {WHERE}.",
        )
    return good("slack events", "over Socket Mode")


async def _call(client: httpx.AsyncClient, method: str, token: str) -> tuple[dict[str, Any], httpx.Headers]:
    response = await client.post(method, headers={"Authorization": f"Bearer {token}"})
    try:
        body = response.json()
    except ValueError:
        body = {"ok": False, "error": f"HTTP {response.status_code}"}
    return (body if isinstance(body, dict) else {}), response.headers


def _unreachable(name: str, error: httpx.HTTPError) -> Finding:
    return bad(
        name, f"Slack cannot be reached: {type(error).__name__}", "Check the network and SLACK_API_URL."
    )
