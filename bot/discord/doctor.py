"""What can be wrong with Discord's settings, found by asking Discord: token, intents, sessions left."""

from __future__ import annotations

from typing import Any

import httpx

from bot.discord.settings import DiscordSettings
from bot.doctor import Finding, bad, good, off

MESSAGE_CONTENT = 1 << 18
MESSAGE_CONTENT_LIMITED = 1 << 19
FEWEST_SESSIONS = 50
WHERE = "on the Bot page of the application at https://discord.com/developers/applications"


async def check_discord(settings: DiscordSettings) -> list[Finding]:
    """Three reads of the REST API; nothing is posted, and the gateway is not joined."""
    if settings.discord_token is None:
        return [off("discord", "no token is set", "`threadlore manifest discord` prints the invite link.")]
    headers = {"Authorization": f"Bot {settings.discord_token.get_secret_value().strip()}"}
    base_url = settings.discord_api_url.rstrip("/") + "/"
    try:
        async with httpx.AsyncClient(base_url=base_url, headers=headers, timeout=15) as client:
            me = await client.get("users/@me")
            if me.status_code == 401:
                return [
                    bad(
                        "discord",
                        "Discord refuses DISCORD_TOKEN",
                        f"Reset the token {WHERE}, and set it anew.",
                    )
                ]
            if me.status_code != 200:
                return [
                    bad(
                        "discord",
                        f"Discord answers {me.status_code}",
                        "Try again later; see discordstatus.com.",
                    )
                ]
            application = await client.get("applications/@me")
            gateway = await client.get("gateway/bot")
    except httpx.HTTPError as error:
        return [
            bad(
                "discord",
                f"Discord cannot be reached: {type(error).__name__}",
                "Check the network and DISCORD_API_URL.",
            )
        ]
    findings = [good("discord", f"{_body(me).get('username')} ({_body(me).get('id')})")]
    return [*findings, *_judge_intents(application), *_judge_sessions(gateway)]


def _judge_intents(response: httpx.Response) -> list[Finding]:
    if response.status_code != 200:
        return []
    flags = int(_body(response).get("flags") or 0)
    if flags & (MESSAGE_CONTENT | MESSAGE_CONTENT_LIMITED):
        return [good("discord intents", "message content is on")]
    return [
        bad(
            "discord intents",
            "the Message Content intent is off: follow-ups without a mention arrive empty",
            f"Switch Message Content Intent on {WHERE}.",
        )
    ]


def _judge_sessions(response: httpx.Response) -> list[Finding]:
    if response.status_code != 200:
        return []
    limit = _body(response).get("session_start_limit") or {}
    remaining = limit.get("remaining")
    if isinstance(remaining, int) and remaining < FEWEST_SESSIONS:
        hours = float(limit.get("reset_after") or 0) / 3_600_000
        return [
            bad(
                "discord gateway",
                f"only {remaining} session starts are left for {hours:.1f} hours",
                "Find out what restarts so often before you start Threadlore again: at zero Discord resets the token.",
            )
        ]
    return [good("discord gateway", f"{remaining} session starts are left today")]


def _body(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
