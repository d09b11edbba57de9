"""Every call that leaves for Discord's REST API. Each raises AdapterError and nothing else.

Calls with the bot's token go through the library, which keeps the rate limits and repeats what failed with
5xx: posts carry a nonce that Discord enforces, so that a repeated one shows once. Calls with a command's
token have no nonce; they go out once from here, and only what is idempotent is repeated.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import aiohttp
import discord
from discord.http import Route

from bot.adapter import (
    AdapterError,
    ForbiddenError,
    RateLimitedError,
    UnauthorizedError,
    UnavailableError,
)
from bot.discord.ban_guard import BanGuard
from bot.discord.commands import InteractionHandle
from bot.discord.errors import NotAcknowledgedError, TokenExpiredError, adapter_error, speaking_adapter_errors
from bot.discord.render import NO_MENTIONS, SUPPRESS_EMBEDS

UNKNOWN_WEBHOOK = 10015
EPHEMERAL = 1 << 6
CALL_TIMEOUT = aiohttp.ClientTimeout(total=20)
IDEMPOTENT_ATTEMPTS = 3
LONGEST_WAIT_SECONDS = 10.0

Json = dict[str, Any]


@dataclass(frozen=True)
class GatewayLimits:
    """How many shards Discord recommends, and how many sessions may still be begun, until when."""

    shards: int
    remaining: int
    reset_after_seconds: float
    max_concurrency: int


def nonce_of(effect_id: UUID) -> str:
    """22 characters that stand for the effect, so that Discord takes it once (at most 25 are allowed)."""
    return base64.urlsafe_b64encode(effect_id.bytes).rstrip(b"=").decode()


class ChannelCalls:
    """Calls with the bot's own token."""

    def __init__(self, client: discord.Client, ban_guard: BanGuard) -> None:
        self._client = client
        self._ban_guard = ban_guard

    def _http(self, channel_id: str | None = None) -> discord.http.HTTPClient:
        """The library's calls, where they may be made now. They break in odd ways before the login."""
        if self._client.user is None:
            raise UnavailableError("not logged in", maybe_accepted=False)
        self._ban_guard.require_allowed(channel_id)
        return self._client.http

    async def create_message(
        self, channel_id: str, body: Mapping[str, Any], *, nonce: str, reference: str | None
    ) -> str:
        """Post; returns the message id. The same nonce within a few minutes gives the same message, which
        then takes the new text."""
        payload = {**_safe(body), "nonce": nonce, "enforce_nonce": True}
        if reference is not None:
            payload["message_reference"] = {"message_id": reference, "fail_if_not_exists": False}
        route = Route("POST", "/channels/{channel_id}/messages", channel_id=channel_id)
        with speaking_adapter_errors(posting=True):
            message = cast(Json, await self._http(channel_id).request(route, json=payload))
        message_id = str(message["id"])
        if str(message.get("content", "")).strip() != str(body.get("content", "")).strip():
            await self.edit_message(channel_id, message_id, body)
        return message_id

    async def edit_message(self, channel_id: str, message_id: str, body: Mapping[str, Any]) -> None:
        with speaking_adapter_errors():
            route = _message_route("PATCH", channel_id, message_id)
            await self._http(channel_id).request(route, json=_safe(body))

    async def delete_message(self, channel_id: str, message_id: str) -> None:
        with speaking_adapter_errors():
            await self._http(channel_id).delete_message(int(channel_id), int(message_id))

    async def fetch_message(self, channel_id: str, message_id: str) -> Json:
        with speaking_adapter_errors():
            route = _message_route("GET", channel_id, message_id)
            return cast(Json, await self._http(channel_id).request(route))

    async def fetch_history(self, channel_id: str, limit: int, **around: str) -> list[Json]:
        """At most 100 messages, newest first; `before` or `after` a message id."""
        route = Route("GET", "/channels/{channel_id}/messages", channel_id=channel_id)
        with speaking_adapter_errors():
            params = {"limit": limit, **around}
            return cast(list[Json], await self._http(channel_id).request(route, params=params))

    async def fetch_channel(self, channel_id: str) -> Json:
        with speaking_adapter_errors():
            return cast(Json, await self._http(channel_id).get_channel(int(channel_id)))

    async def fetch_roles(self, guild_id: str) -> list[Json]:
        with speaking_adapter_errors():
            return cast(list[Json], await self._http().get_roles(int(guild_id)))

    async def fetch_active_threads(self, guild_id: str) -> list[Json]:
        """Those of the whole server that the bot can see."""
        with speaking_adapter_errors():
            return cast(list[Json], (await self._http().get_active_threads(int(guild_id)))["threads"])

    async def fetch_archived_threads(self, channel_id: str, before: str | None) -> tuple[list[Json], bool]:
        """At most 100 public threads of a channel, the one archived last first, from `before` (a time) on; and
        whether there are more."""
        with speaking_adapter_errors():
            page = await self._http(channel_id).get_public_archived_threads(int(channel_id), before, 100)
        return cast(list[Json], page["threads"]), bool(page.get("has_more"))

    async def show_typing(self, channel_id: str) -> None:
        with speaking_adapter_errors():
            await self._http(channel_id).send_typing(int(channel_id))

    async def fetch_gateway_limits(self) -> GatewayLimits:
        with speaking_adapter_errors():
            shards, _, limit = await self._http().get_bot_gateway()
        return GatewayLimits(
            shards=shards,
            remaining=limit["remaining"],
            reset_after_seconds=limit["reset_after"] / 1000,
            max_concurrency=limit["max_concurrency"],
        )

    async def open_dm(self, user_id: str) -> str:
        """The id of the channel that is shared with this person alone."""
        with speaking_adapter_errors():
            return str((await self._http().start_private_message(int(user_id)))["id"])


class InteractionCalls:
    """Calls with the token of a command; TokenExpiredError once it does not serve any more."""

    def __init__(self, ban_guard: BanGuard) -> None:
        self._ban_guard = ban_guard
        self._session: aiohttp.ClientSession | None = None

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def edit_original(self, handle: InteractionHandle, body: Mapping[str, Any]) -> str:
        """Give the answer to the command its text; idempotent. Returns the message id."""
        return await self.edit_message(handle, "@original", body)

    async def edit_message(self, handle: InteractionHandle, message_id: str, body: Mapping[str, Any]) -> str:
        answer = await self._repeated("PATCH", handle, f"/messages/{message_id}", _safe(body))
        return str(answer["id"])

    async def fetch_original(self, handle: InteractionHandle) -> Json:
        return await self._repeated("GET", handle, "/messages/@original", None)

    async def follow_up(self, handle: InteractionHandle, body: Mapping[str, Any], *, ephemeral: bool) -> str:
        """One more message, for all or for the asker alone; never repeated. Returns the message id."""
        payload = _safe(body)
        if ephemeral:
            payload["flags"] |= EPHEMERAL
        return str((await self._call("POST", handle, "?wait=true", payload))["id"])

    async def _repeated(
        self, method: str, handle: InteractionHandle, path: str, payload: Json | None
    ) -> Json:
        for attempt in range(1, IDEMPOTENT_ATTEMPTS):
            try:
                return await self._call(method, handle, path, payload)
            except RateLimitedError as error:
                if error.retry_after_seconds > LONGEST_WAIT_SECONDS:
                    raise
                await asyncio.sleep(error.retry_after_seconds)
            except UnavailableError:
                await asyncio.sleep(0.5 * attempt)
        return await self._call(method, handle, path, payload)

    async def _call(self, method: str, handle: InteractionHandle, path: str, payload: Json | None) -> Json:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=CALL_TIMEOUT,
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[self._ban_guard.build_trace()],
            )
        self._ban_guard.require_room()
        url = f"{Route.BASE}/webhooks/{handle.application_id}/{handle.token}{path}"
        posting = method == "POST"
        with speaking_adapter_errors(posting=posting):
            async with self._session.request(method, url, json=payload) as response:
                is_json = response.content_type == "application/json"
                answer = await response.json() if is_json else {}
                if response.status < 300:
                    return cast(Json, answer)
                error = _error(response.status, answer, posting=posting)
        raise error


def _error(status: int, answer: Json, *, posting: bool) -> AdapterError:
    code = int(answer.get("code", 0))
    if code == UNKNOWN_WEBHOOK:
        return NotAcknowledgedError(f"HTTP {status}, code {code}")
    error = adapter_error(status, code, posting=posting, retry_after_seconds=answer.get("retry_after"))
    if isinstance(error, ForbiddenError | UnauthorizedError):
        # The token of a command says nothing about the bot's own.
        return TokenExpiredError(str(error))
    return error


def _message_route(method: str, channel_id: str, message_id: str) -> Route:
    return Route(
        method, "/channels/{channel_id}/messages/{message_id}", channel_id=channel_id, message_id=message_id
    )


def _safe(body: Mapping[str, Any]) -> Json:
    """Whatever was stored: nobody is pinged and nothing is previewed."""
    return {**body, "allowed_mentions": NO_MENTIONS, "flags": int(body.get("flags", 0)) | SUPPRESS_EMBEDS}
