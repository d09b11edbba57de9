"""What can be wrong with Slack's settings, found by asking Slack: tokens, their kinds, scopes, Socket Mode."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import httpx

from bot.doctor import Finding, bad, good, off
from bot.slack.settings import SlackSettings

WHERE = "at https://api.slack.com/apps"


async def check_slack(settings: SlackSettings, scopes: Collection[str]) -> list[Finding]:
    """`scopes`: those that the manifest asks for. Raises SettingsError for settings that contradict."""
    settings.require_complete()
    if settings.mode == "off":
        return [
            off(
                "slack",
                "no token is set",
                "`threadlore manifest slack` prints the manifest of the app to create.",
            )
        ]
    findings: list[Finding] = []
    async with httpx.AsyncClient(base_url=settings.slack_api_url, timeout=15) as client:
        if settings.slack_bot_token is not None:
            findings += await _check_bot_token(client, settings.slack_bot_token.get_secret_value(), scopes)
        else:
            findings.append(good("slack", "workspaces install the app at /slack/install"))
        if settings.slack_app_token is not None:
            findings.append(await _check_app_token(client, settings.slack_app_token.get_secret_value()))
        else:
            findings.append(good("slack events", "over HTTP, at POST /slack/events, signed"))
    return findings


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
    if not body.get("ok"):
        return bad(
            "slack events",
            f"Slack opens no socket: {body.get('error')}",
            f"Switch Socket Mode on, and make an app-level token with connections:write, {WHERE}.",
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
