"""The loopback REST API v10 with the limits of the real one; what a client must not do is kept in `violations`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any, cast

from aiohttp import web

from bot.testing.discord.faults import BODY, answer, error
from bot.testing.discord.gateway import Gateway
from bot.testing.discord.limits import RateLimits
from bot.testing.discord.portal import Portal
from bot.testing.discord.servers import add_server_routes
from bot.testing.discord.world import EPHEMERAL, LOADING, Interaction, Json, World, now_text

CONTENT_LIMIT = 2000
NONCE_LIMIT = 25
NONCE_SECONDS = 180.0
CUSTOM_ID_LIMIT = 100
CALLBACK_SECONDS = 3.0
TOKEN_SECONDS = 900.0
HISTORY_LIMIT = 100
UNKNOWN_CHANNEL, UNKNOWN_MESSAGE, UNKNOWN_WEBHOOK, UNKNOWN_INTERACTION = 10003, 10008, 10015, 10062
EMPTY, INVALID_FORM, INVALID_WEBHOOK_TOKEN, ALREADY_ANSWERED = 50006, 50035, 50027, 40060
NO_ACCESS, NOT_THE_AUTHOR = 50001, 50005


class RefusedError(Exception):
    """The request is answered with an error."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.response = error(status, code, message)


class RestApi:
    """Routes and their rules. `changed` is called after everything that people could see.

    `clock_seconds` is how far Discord's clock is ahead of this machine's.
    """

    def __init__(self, world: World, gateway: Gateway, token: str, changed: Callable[[], None]) -> None:
        self._world = world
        self._gateway = gateway
        self._token = token
        self._changed = changed
        self._nonces: dict[tuple[str, str], tuple[float, Json]] = {}
        self.commands: list[Json] = []
        self.violations: list[str] = []
        self.forbidden_channels: set[str] = set()
        self.unreadable_channels: set[str] = set()
        self.typing: list[str] = []
        self.limits = RateLimits()
        self.token_seconds = TOKEN_SECONDS
        self.session_limit = 1000
        self.session_reset_seconds = 0.0
        self.refused: list[tuple[int, str]] = []
        self.portal = Portal(world)
        self.clock_seconds = 0.0

    def add_routes(self, router: web.UrlDispatcher, prefix: str) -> None:
        add = router.add_route
        add("GET", f"{prefix}/users/@me", self._me)
        self.portal.add_routes(router, prefix)
        add("POST", f"{prefix}/users/@me/channels", self._open_dm)
        add("GET", f"{prefix}/gateway/bot", self._gateway_bot)
        add("PUT", f"{prefix}/applications/{{application}}/commands", self._put_commands)
        add("GET", f"{prefix}/applications/{{application}}/commands", self._get_commands)
        add("GET", f"{prefix}/channels/{{channel}}", self._get_channel)
        add_server_routes(router, prefix, self._world)
        add("POST", f"{prefix}/channels/{{channel}}/typing", self._typing)
        messages = f"{prefix}/channels/{{channel}}/messages"
        add("POST", messages, self._create_message)
        add("GET", messages, self._history)
        add("GET", messages + "/{message}", self._get_message)
        add("PATCH", messages + "/{message}", self._edit_message)
        add("DELETE", messages + "/{message}", self._delete_message)
        add("PUT", messages + "/{message}/reactions/{emoji}/@me", self._react)
        add("POST", messages + "/{message}/threads", self._create_thread)
        add("POST", f"{prefix}/interactions/{{interaction}}/{{token}}/callback", self._callback)
        add("POST", f"{prefix}/webhooks/{{application}}/{{token}}", self._follow_up)
        webhook = f"{prefix}/webhooks/{{application}}/{{token}}/messages/{{message}}"
        add("GET", webhook, self._get_webhook_message)
        add("PATCH", webhook, self._edit_webhook_message)
        add("DELETE", webhook, self._delete_webhook_message)

    @web.middleware
    async def count_refusals(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Keeps what Discord would count before it bans an address."""
        response: web.StreamResponse = await handler(request)
        if response.status in (401, 403, 429):
            self.refused.append((response.status, f"{request.method} {request.path}"))
        return response

    @web.middleware
    async def guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Checks the bot's token where one is needed, and answers refusals."""
        needs_token = not any(
            part in request.path for part in ("/webhooks/", "/interactions/", "/gateway-socket")
        )
        if needs_token and request.headers.get("Authorization") != f"Bot {self._token}":
            return error(401, 0, "401: Unauthorized")
        headers: dict[str, str] = {}
        if (
            request.method in ("POST", "PATCH")
            and "/messages" in request.path
            and "channel" in request.match_info
        ):
            headers, refusal = self.limits.take(request.method, request.match_info["channel"])
            if refusal is not None:
                return refusal
        try:
            response: web.StreamResponse = await handler(request)
        except RefusedError as refused:
            response = refused.response
        response.headers.update(headers)
        response.headers["Date"] = formatdate(time.time() + self.clock_seconds, usegmt=True)
        return response

    # --- the application --------------------------------------------------------------------------

    async def _me(self, request: web.Request) -> web.Response:
        return answer(self._world.bot)

    async def _gateway_bot(self, request: web.Request) -> web.Response:
        remaining = self.session_limit - self._gateway.identifies
        if remaining < 0:
            self.violations.append("more sessions than Discord allows: it would reset the token")
        reset_after = int(self.session_reset_seconds * 1000)
        limit = {"total": 1000, "remaining": remaining, "reset_after": reset_after, "max_concurrency": 1}
        return answer(
            {"url": self._gateway.url, "shards": self._gateway.shards, "session_start_limit": limit}
        )

    async def _put_commands(self, request: web.Request) -> web.Response:
        commands = cast(list[Json], request[BODY])
        added = {"application_id": self._world.application_id, "version": "1"}
        self.commands = [command | added | {"id": self._world.next_id()} for command in commands]
        return answer(self.commands)

    async def _get_commands(self, request: web.Request) -> web.Response:
        return answer(self.commands)

    # --- channels ---------------------------------------------------------------------------------

    async def _open_dm(self, request: web.Request) -> web.Response:
        user_id = str(request[BODY]["recipient_id"])
        if user_id not in self._world.users:
            raise RefusedError(400, 50033, "Invalid Recipient(s)")
        return answer(self._world.channels[self._world.dm_with(user_id)])

    async def _get_channel(self, request: web.Request) -> web.Response:
        return answer(self._world.channels[self._channel(request)])

    async def _typing(self, request: web.Request) -> web.Response:
        self.typing.append(self._channel(request))
        self._changed()
        return web.Response(status=204)

    async def _create_thread(self, request: web.Request) -> web.Response:
        message = self._message(request)
        thread = self._world.add_thread(message["channel_id"], request[BODY]["name"], starter=message["id"])
        self._gateway.dispatch("THREAD_CREATE", self._world.channels[thread] | {"newly_created": True})
        return answer(self._world.channels[thread], 201)

    # --- messages ---------------------------------------------------------------------------------

    async def _create_message(self, request: web.Request) -> web.Response:
        channel_id, body = self._channel(request), request[BODY]
        self._check_body(body, "create")
        nonce = body.get("nonce")
        if nonce is not None and len(str(nonce)) > NONCE_LIMIT:
            raise RefusedError(400, INVALID_FORM, "nonce is too long")
        earlier = self._nonces.get((channel_id, str(nonce))) if body.get("enforce_nonce") else None
        if earlier is not None and time.monotonic() - earlier[0] < NONCE_SECONDS:
            return answer(earlier[1] | {"nonce": nonce})
        message = self._world.add_message(
            channel_id,
            self._world.bot["id"],
            body.get("content") or "",
            reference=self._reference(channel_id, body),
            components=body.get("components") or [],
            flags=body.get("flags", 0),
        )
        if nonce is not None:
            self._nonces[channel_id, str(nonce)] = (time.monotonic(), message)
        self._world.note_pings(message, body.get("allowed_mentions"))
        self.dispatch_message("MESSAGE_CREATE", message)
        return answer(self._world.with_reference(message) | {"nonce": nonce})

    def _reference(self, channel_id: str, body: Json) -> str | None:
        reference = body.get("message_reference")
        if reference is None:
            return None
        if str(reference["message_id"]) in self._world.messages[channel_id]:
            return str(reference["message_id"])
        if reference.get("fail_if_not_exists", True):
            raise RefusedError(400, INVALID_FORM, "message_reference: Unknown message")
        return None

    async def _history(self, request: web.Request) -> web.Response:
        if self._channel(request) in self.unreadable_channels:
            raise RefusedError(403, NO_ACCESS, "Missing Access")
        messages = sorted(self._world.messages[self._channel(request)].values(), key=lambda m: int(m["id"]))
        limit = int(request.query.get("limit", 50))
        if not 1 <= limit <= HISTORY_LIMIT:
            raise RefusedError(400, INVALID_FORM, "limit must be between 1 and 100")
        if "before" in request.query:
            messages = [m for m in messages if int(m["id"]) < int(request.query["before"])]
        if "after" in request.query:
            messages = [m for m in messages if int(m["id"]) > int(request.query["after"])][:limit]
        return answer([self._world.with_reference(m) for m in reversed(messages[-limit:])])

    async def _get_message(self, request: web.Request) -> web.Response:
        return answer(self._world.with_reference(self._message(request)))

    async def _edit_message(self, request: web.Request) -> web.Response:
        message = self._message(request)
        if message["author"]["id"] != self._world.bot["id"]:
            raise RefusedError(403, NOT_THE_AUTHOR, "Cannot edit a message authored by another user")
        return self._edited(message, request[BODY])

    async def _delete_message(self, request: web.Request) -> web.Response:
        message = self._message(request)
        self.remove_message(message)
        return web.Response(status=204)

    async def _react(self, request: web.Request) -> web.Response:
        self._message(request)
        return web.Response(status=204)

    def _edited(self, message: Json, body: Json) -> web.Response:
        self._check_body(body, "edit")
        message |= {key: body[key] for key in ("content", "components") if key in body}
        flags = int(body.get("flags") or message["flags"])
        message |= {"edited_timestamp": now_text(), "flags": flags & ~LOADING}
        if message["id"] in self._world.ephemeral:
            message["flags"] |= EPHEMERAL
        self._world.note_pings(message, body.get("allowed_mentions"))
        self.dispatch_message("MESSAGE_UPDATE", message)
        return answer(self._world.with_reference(message))

    def remove_message(self, message: Json) -> None:
        """Delete a message, visible to all or to one, and say so."""
        if self._world.ephemeral.pop(message["id"], None) is None:
            del self._world.messages[message["channel_id"]][message["id"]]
            deleted = {"id": message["id"], "channel_id": message["channel_id"]}
            self._gateway.dispatch("MESSAGE_DELETE", deleted | self._guild_of(message["channel_id"]))
        self._changed()

    def dispatch_message(self, name: str, message: Json) -> None:
        """Tell the gateway about a message that everybody in the channel sees."""
        if message["id"] not in self._world.ephemeral:
            guild = self._guild_of(message["channel_id"])
            member = {"member": self._world.member()} if guild and "webhook_id" not in message else {}
            self._gateway.dispatch(name, self._world.with_reference(message) | guild | member)
        self._changed()

    def _guild_of(self, channel_id: str) -> Json:
        guild_id = self._world.guild_id_of(channel_id)
        return {"guild_id": guild_id} if guild_id else {}

    # --- interactions -----------------------------------------------------------------------------

    async def _callback(self, request: web.Request) -> web.Response:
        interaction = self._world.interactions.get(request.match_info["token"])
        if interaction is None or time.monotonic() - interaction.began_at > CALLBACK_SECONDS:
            raise RefusedError(404, UNKNOWN_INTERACTION, "Unknown interaction")
        if interaction.callback is not None:
            raise RefusedError(400, ALREADY_ANSWERED, "Interaction has already been acknowledged.")
        body = request[BODY]
        data = body.get("data") or {}
        message: Json | None = None
        if body["type"] == 4:
            self._check_body(data, "callback")
        if body["type"] in (4, 5):
            message = self._respond(interaction, data, loading=body["type"] == 5)
        elif body["type"] == 9:
            interaction.form = data
        interaction.callback = body["type"]
        self._changed()
        resource = {"type": body["type"]} | ({"message": message} if message else {})
        return answer({"interaction": {"id": interaction.id, "type": interaction.type}, "resource": resource})

    def _respond(self, interaction: Interaction, data: Json, *, loading: bool) -> Json:
        interaction.ephemeral = bool(data.get("flags", 0) & EPHEMERAL)
        flags = data.get("flags", 0) | (LOADING if loading else 0)
        message = self._make_response(interaction, data, flags)
        interaction.original_id = message["id"]
        return message

    def _make_response(self, interaction: Interaction, data: Json, flags: int) -> Json:
        metadata = {
            "id": interaction.id,
            "type": interaction.type,
            "user": self._world.users[interaction.user_id],
        }
        message = self._world.build_message(
            interaction.channel_id,
            self._world.bot["id"],
            data.get("content") or "",
            type_=20 if interaction.command else 0,
            flags=flags,
            components=data.get("components") or [],
            interaction_metadata=metadata,
            webhook_id=self._world.application_id,
        )
        visible_to_all = not flags & EPHEMERAL
        store = self._world.messages[interaction.channel_id] if visible_to_all else self._world.ephemeral
        store[message["id"]] = message
        self._world.note_pings(message, data.get("allowed_mentions"))
        self.dispatch_message("MESSAGE_CREATE", message)
        return message

    async def _follow_up(self, request: web.Request) -> web.Response:
        interaction, body = self._interaction(request), request[BODY]
        self._check_body(body, "follow-up")
        return answer(self._make_response(interaction, body, body.get("flags", 0)))

    async def _get_webhook_message(self, request: web.Request) -> web.Response:
        return answer(self._webhook_message(request))

    async def _edit_webhook_message(self, request: web.Request) -> web.Response:
        return self._edited(self._webhook_message(request), request[BODY])

    async def _delete_webhook_message(self, request: web.Request) -> web.Response:
        self.remove_message(self._webhook_message(request))
        return web.Response(status=204)

    def _interaction(self, request: web.Request) -> Interaction:
        interaction = self._world.interactions.get(request.match_info["token"])
        if interaction is None or interaction.callback is None:
            raise RefusedError(404, UNKNOWN_WEBHOOK, "Unknown Webhook")
        if time.monotonic() - interaction.began_at > self.token_seconds:
            raise RefusedError(401, INVALID_WEBHOOK_TOKEN, "Invalid Webhook Token")
        return interaction

    def _webhook_message(self, request: web.Request) -> Json:
        interaction, id_ = self._interaction(request), request.match_info["message"]
        message_id = interaction.original_id if id_ == "@original" else id_
        message = self._world.find_message(message_id or "")
        if message is None:
            raise RefusedError(404, UNKNOWN_MESSAGE, "Unknown Message")
        return message

    # --- rules ------------------------------------------------------------------------------------

    def _channel(self, request: web.Request) -> str:
        channel_id = request.match_info["channel"]
        if channel_id not in self._world.channels:
            raise RefusedError(404, UNKNOWN_CHANNEL, "Unknown Channel")
        gone = not self._world.has_bot and self._world.guild_id_of(channel_id) is not None
        if channel_id in self.forbidden_channels or gone:
            raise RefusedError(403, NO_ACCESS, "Missing Access")
        return channel_id

    def _message(self, request: web.Request) -> Json:
        message = self._world.messages[self._channel(request)].get(request.match_info["message"])
        if message is None:
            raise RefusedError(404, UNKNOWN_MESSAGE, "Unknown Message")
        return message

    def _check_body(self, body: Json, what: str) -> None:
        if "allowed_mentions" not in body:
            self.violations.append(f"{what} without allowed_mentions")
        if not body.get("flags", 0) & 4:
            self.violations.append(f"{what} without suppressed embeds")
        content = body.get("content")
        if content is not None and len(content) > CONTENT_LIMIT:
            raise RefusedError(400, INVALID_FORM, "content: Must be 2000 or fewer in length.")
        if not (content or "").strip() and not body.get("components") and not body.get("embeds"):
            raise RefusedError(400, EMPTY, "Cannot send an empty message")
        rows = body.get("components") or []
        ids = [component.get("custom_id", "") for row in rows for component in row.get("components", ())]
        if len(rows) > 5 or len(set(ids)) != len(ids) or any(len(id_) > CUSTOM_ID_LIMIT for id_ in ids):
            raise RefusedError(400, INVALID_FORM, f"components: invalid: {json.dumps(ids)}")
