"""What can be wrong with Discord's settings, found by asking Discord: token, intents, servers, sessions left."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import httpx

from bot.discord.manifest import PERMISSIONS
from bot.discord.settings import DiscordSettings
from bot.doctor import Finding, bad, certificates, good, judge_address, judge_clock, off
from bot.feedback_emoji import parse_emoji_ratings

MESSAGE_CONTENT = 1 << 18
MESSAGE_CONTENT_LIMITED = 1 << 19
ADMINISTRATOR = 1 << 3
FEWEST_SESSIONS = 50
HELLO_SECONDS = 10.0
INVITE = "Open the invite link that `threadlore manifest discord` prints."
WHERE = "on the Bot page of the application at https://discord.com/developers/applications"


async def check_discord(settings: DiscordSettings) -> list[Finding]:
    """Reads of the REST API, and a look at the gateway; nothing is posted, and no session is begun.
    Raises SettingsError for FEEDBACK_EMOJI."""
    if settings.discord_token is None:
        return [off("discord", "no token is set", "`threadlore manifest discord` prints the invite link.")]
    parse_emoji_ratings(settings.feedback_emoji)
    token = settings.discord_token.get_secret_value().strip()
    wrong = _judge_token(token)
    wrong += judge_address("discord", "DISCORD_API_URL", settings.discord_api_url)
    wrong += judge_address("discord gateway", "DISCORD_GATEWAY_URL", settings.discord_gateway_url)
    if wrong:
        return wrong
    base_url = settings.discord_api_url.rstrip("/") + "/"
    headers = {"Authorization": f"Bot {token}"}
    try:
        async with httpx.AsyncClient(
            base_url=base_url, headers=headers, timeout=15, verify=certificates()
        ) as client:
            findings = await _ask(client)
    except httpx.HTTPError as error:
        return [
            bad(
                "discord",
                f"Discord cannot be reached: {type(error).__name__}",
                "Check the network and DISCORD_API_URL.",
            )
        ]
    if findings[0].ok:
        findings.append(await _look_at_gateway(settings.discord_gateway_url))
    return findings


def _judge_token(token: str) -> list[Finding]:
    """What can be seen without asking: Discord counts every token that it refuses."""
    if token.lower().startswith("bot "):
        return [bad("discord", "DISCORD_TOKEN begins with Bot", "Leave that word out of DISCORD_TOKEN.")]
    if token.count(".") != 2:
        kind = "the application's id" if token.isdigit() else "no bot token: those have two dots"
        return [bad("discord", f"DISCORD_TOKEN is {kind}", f"Reset the token {WHERE}, and copy it.")]
    return []


async def _ask(client: httpx.AsyncClient) -> list[Finding]:
    me = await client.get("users/@me")
    if me.status_code == 401:
        remedy = f"Reset the token {WHERE}, and set it anew."
        return [bad("discord", "Discord refuses DISCORD_TOKEN", remedy)]
    if me.status_code == 404:
        remedy = "Correct DISCORD_API_URL: it ends in /api/v10, or is left out."
        return [bad("discord", "at DISCORD_API_URL there is no Discord API (404)", remedy)]
    if me.status_code != 200:
        remedy = "Try again later; see discordstatus.com."
        return [bad("discord", f"Discord answers {me.status_code}", remedy)]
    return [
        good("discord", f"{_body(me).get('username')} ({_body(me).get('id')})"),
        *judge_clock(me.headers.get("date")),
        *_judge_application(await client.get("applications/@me")),
        *_judge_servers(await client.get("users/@me/guilds")),
        *_judge_sessions(await client.get("gateway/bot")),
    ]


async def _look_at_gateway(url: str) -> Finding:
    """Whether it says hello; leaving before a session begins costs nothing."""
    remedy = "Check the network (a proxy, perhaps) and DISCORD_GATEWAY_URL."
    try:
        async with (
            asyncio.timeout(HELLO_SECONDS),
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{url}?v=10&encoding=json") as socket,
        ):
            hello = await socket.receive_json()
    except (aiohttp.ClientError, TimeoutError, OSError, TypeError, ValueError) as error:
        return bad("discord gateway", f"{url} cannot be reached: {type(error).__name__}", remedy)
    if not isinstance(hello, dict) or hello.get("op") != 10:
        return bad("discord gateway", f"{url} is no gateway of Discord's", remedy)
    return good("discord gateway", "says hello")


def _judge_application(response: httpx.Response) -> list[Finding]:
    if response.status_code != 200:
        return []
    application = _body(response)
    findings = _judge_intents(int(application.get("flags") or 0))
    where = "of the application at https://discord.com/developers/applications"
    if application.get("interactions_endpoint_url"):
        detail = "an Interactions Endpoint URL is set: slash commands and buttons never reach Threadlore"
        findings.append(
            bad("discord interactions", detail, f"Clear it on the General Information page {where}.")
        )
    if application.get("bot_require_code_grant"):
        detail = "Requires OAuth2 Code Grant is on: the invite link does not work"
        findings.append(bad("discord invite", detail, f"Switch it off {WHERE}."))
    return findings


def _judge_servers(response: httpx.Response) -> list[Finding]:
    try:
        servers = response.json() if response.status_code == 200 else None
    except ValueError:
        servers = None
    if not isinstance(servers, list):
        return []
    if not servers:
        return [bad("discord servers", "the bot is in no server", INVITE)]
    findings = []
    for server in servers:
        granted = int(server.get("permissions") or 0)
        missing = [name for name, bit in PERMISSIONS.items() if not granted & bit]
        if missing and not granted & ADMINISTRATOR:
            detail = f"in {server.get('name')} it lacks: {', '.join(missing)}"
            remedy = f"Give the bot's role these permissions in the server's settings. {INVITE}"
            findings.append(bad("discord permissions", detail, remedy))
    return findings or [good("discord servers", f"all permissions in {len(servers)}")]


def _judge_intents(flags: int) -> list[Finding]:
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
                "discord sessions",
                f"only {remaining} session starts are left for {hours:.1f} hours",
                "Find out what restarts so often before you start Threadlore again: at zero Discord resets the token.",
            )
        ]
    return [good("discord sessions", f"{remaining} session starts are left today")]


def _body(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
