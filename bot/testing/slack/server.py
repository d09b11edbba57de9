"""A Slack of our own on a loopback address: the real protocols for real libraries, and people to play.

    async with SlackServer() as slack:
        settings = slack.environment()          # what an app needs to talk to it, over its socket
        question = await slack.mention("U1", "C1", "How do I deploy?")
        await slack.until(lambda: slack.answers(question))

Verbs such as `mention` build the payloads that Slack would send and return at once; `until` waits.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, Self
from uuid import uuid4

from aiohttp import web

from bot.testing.slack.delivering import Deliverer, Kind, SlackDelivery, Timing
from bot.testing.slack.faults import ApiCall, Fault, Faults
from bot.testing.slack.limits import TRIGGER_SECONDS, ApiError
from bot.testing.slack.state import ChannelKind, Clock, Json, SlackChannel, SlackMessage, Workspace, kind_of
from bot.testing.slack.web_api import WebApi, parse_form

BOT_TOKEN = "xoxb-loopback"
APP_TOKEN = "xapp-loopback"
SIGNING_SECRET = "loopback-signing-secret"
_MAX_BODY_BYTES = 4 * 2**20


class SlackServer:
    """Slack, as far as an app can see it. `echoes` says whether the app hears of its own posts, as it does there."""

    def __init__(self, *, team_id: str = "T0LOOP", echoes: bool = True, timing: Timing | None = None) -> None:
        self.clock = Clock()
        self.workspace = Workspace(team_id, BOT_TOKEN, "U0BOT", "B0BOT")
        self.api = WebApi(self.clock, self._announce)
        self.api.workspaces[BOT_TOKEN] = self.workspace
        self.api.app_tokens.add(APP_TOKEN)
        self.api.socket_url = self._socket_url
        self.deliverer = Deliverer(SIGNING_SECRET, timing or Timing(), self._note_change)
        self.faults = Faults()
        self.calls: list[ApiCall] = []
        self.echoes = echoes
        self._port = 0
        self._runner: web.AppRunner | None = None
        self._changed = asyncio.Event()
        self._tickets: set[str] = set()

    # --- life ---------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.router.add_route("*", "/api/{method}", self._serve_call)
        app.router.add_get("/link", self._serve_link)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.deliverer.aclose()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def api_url(self) -> str:
        """The value of SLACK_API_URL."""
        return f"http://127.0.0.1:{self._port}/api/"

    def environment(self, mode: str = "socket") -> dict[str, str]:
        """The settings of an app that is to talk to this server, `socket` or `http`."""
        values = {"SLACK_BOT_TOKEN": self.workspace.bot_token, "SLACK_API_URL": self.api_url}
        if mode == "socket":
            return {**values, "SLACK_APP_TOKEN": APP_TOKEN}
        return {**values, "SLACK_SIGNING_SECRET": SIGNING_SECRET}

    def deliver_to(self, events_url: str) -> None:
        """From here on events go to this address over HTTP instead of over sockets."""
        self.deliverer.url = events_url

    async def until(self, condition: Callable[[], object], timeout_seconds: float = 5.0) -> None:
        """Return once the condition holds; raises TimeoutError."""
        async with asyncio.timeout(timeout_seconds):
            while not condition():
                self._changed.clear()
                try:
                    async with asyncio.timeout(0.01):
                        await self._changed.wait()
                except TimeoutError:
                    continue

    async def settled(self, timeout_seconds: float = 10.0) -> None:
        """Return once every delivery was acknowledged or given up."""
        await self.until(lambda: all(d.is_done for d in self.deliverer.deliveries), timeout_seconds)

    # --- what there is ------------------------------------------------------------------------------

    def channel(
        self, channel_id: str, kind: ChannelKind | None = None, team_id: str | None = None
    ) -> SlackChannel:
        """The channel of this id; made on first use, its kind by the first letter."""
        found = self.api.channels.get(channel_id)
        if found is None:
            team = team_id or self.workspace.team_id
            found = SlackChannel(channel_id, kind or kind_of(channel_id), team)
            self.api.channels[channel_id] = found
        return found

    def add_workspace(self, team_id: str) -> str:
        """A second workspace that consents to install the app; returns the code for the redirect."""
        code = f"code-{uuid4().hex}"
        number = len(self.api.codes) + len(self.api.workspaces)
        self.api.codes[code] = Workspace(team_id, f"xoxb-{team_id}", f"U{number}BOT", f"B{number}BOT")
        return code

    def message(self, channel: str, ts: str) -> SlackMessage:
        """Raises KeyError."""
        return self.channel(channel).messages[ts]

    def replies(self, channel: str, thread_ts: str) -> list[SlackMessage]:
        """The bot's messages in a thread that everybody sees, oldest first."""
        bots = {workspace.bot_user_id for workspace in self.api.workspaces.values()}
        return [m for m in self.channel(channel).thread(thread_ts) if m.user in bots]

    def calls_of(self, method: str) -> list[ApiCall]:
        """The calls of one method so far."""
        return [call for call in self.calls if call.method == method]

    # --- people -------------------------------------------------------------------------------------

    async def post_message(
        self,
        user: str,
        channel: str,
        text: str,
        thread_ts: str | None = None,
        *,
        subtype: str | None = None,
        bot_id: str | None = None,
        **fields: Any,
    ) -> str:
        """Somebody writes; returns the ts. `fields` go into the event as they are (files, user_team, ...)."""
        place = self.channel(channel)
        message = SlackMessage(
            channel, self.clock.ts(), user, text, thread_ts, bot_id=bot_id, subtype=subtype
        )
        place.messages[message.ts] = message
        event = {**message.payload(), "team": place.team_id, **fields}
        self._announce(place, event, to_all=True)
        workspace = self._workspace_of(place)
        if f"<@{workspace.bot_user_id}" in text and place.kind != "im" and subtype is None:
            mention = {**event, "type": "app_mention", "channel": channel, "event_ts": message.ts}
            self.emit(mention, team_id=place.team_id)
        return message.ts

    async def mention(self, user: str, channel: str, text: str, thread_ts: str | None = None) -> str:
        """Somebody names the bot and asks."""
        bot = self._workspace_of(self.channel(channel)).bot_user_id
        return await self.post_message(user, channel, f"<@{bot}> {text}", thread_ts)

    async def dm(self, user: str, text: str, thread_ts: str | None = None) -> str:
        """Somebody writes to the bot alone; the channel is D and the user's id."""
        return await self.post_message(user, f"D{user}", text, thread_ts)

    async def edit(self, channel: str, ts: str, text: str) -> None:
        """The author changes a message. With the text as it was: what Slack sends for a link preview."""
        place, message = self.channel(channel), self.message(channel, ts)
        before = message.payload()
        message.edits += text != message.text
        message.text = text
        event = {"subtype": "message_changed", "hidden": True}
        self._announce(
            place, {**event, "message": message.payload(), "previous_message": before}, to_all=True
        )

    async def delete(self, channel: str, ts: str) -> None:
        """Somebody removes a message; the root of a thread with replies leaves a tombstone."""
        place, message = self.channel(channel), self.message(channel, ts)
        before = message.payload()
        has_replies = any(m.thread_ts == ts and not m.deleted for m in place.messages.values())
        message.deleted = True
        if has_replies:
            tombstone = {
                **before,
                "subtype": "tombstone",
                "text": "This message was deleted.",
                "user": "USLACKBOT",
            }
            event: Json = {"subtype": "message_changed", "hidden": True, "message": tombstone}
        else:
            event = {"subtype": "message_deleted", "hidden": True, "deleted_ts": ts}
        self._announce(place, {**event, "previous_message": before}, to_all=True)

    async def react(self, user: str, channel: str, ts: str, emoji: str) -> None:
        """Somebody puts an emoji under a message."""
        self.message(channel, ts).reactions.setdefault(emoji, set()).add(user)
        self._emit_reaction("reaction_added", user, channel, ts, emoji)

    async def unreact(self, user: str, channel: str, ts: str, emoji: str) -> None:
        """Somebody takes an emoji back."""
        self.message(channel, ts).reactions.get(emoji, set()).discard(user)
        self._emit_reaction("reaction_removed", user, channel, ts, emoji)

    async def click_feedback(self, user: str, channel: str, ts: str, rating: int) -> SlackDelivery:
        """Somebody clicks a thumb under an answer."""
        message = self.message(channel, ts)
        block = message.block("context_actions")
        if block is None:
            raise ValueError("the message has no feedback buttons")
        element = block["elements"][0]
        button = element["positive_button" if rating > 0 else "negative_button"]
        action_ts, trigger_id = self.clock.ts(), uuid4().hex
        self.api.triggers[trigger_id] = time.monotonic() + TRIGGER_SECONDS
        action = {
            "type": element["type"],
            "action_id": element["action_id"],
            "block_id": "thumbs",
            "value": button["value"],
            "text": button["text"],
            "action_ts": action_ts,
        }
        container = {"type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": False}
        if message.thread_ts is not None:
            container["thread_ts"] = message.thread_ts
        payload = {
            **self._interaction("block_actions", user, self.channel(channel).team_id),
            "container": container,
            "channel": {"id": channel, "name": channel.lower()},
            "message": message.payload(),
            "actions": [action],
            "trigger_id": trigger_id,
            "response_url": f"{self.api_url}response",
        }
        return self.deliverer.deliver("interactive", payload)

    async def submit_modal(self, user: str, comment: str | None) -> SlackDelivery:
        """Somebody fills the field of the modal that was opened last and sends it."""
        view = list(self.api.views.values())[-1]
        field = view["blocks"][0]
        value = {"type": "plain_text_input", "value": comment}
        state = {"values": {field["block_id"]: {field["element"]["action_id"]: value}}}
        payload = {
            **self._interaction("view_submission", user, view["team_id"]),
            "view": {**view, "state": state, "hash": uuid4().hex},
        }
        return self.deliverer.deliver("interactive", payload)

    # --- payloads -----------------------------------------------------------------------------------

    def emit(self, event: Json, team_id: str | None = None, **envelope: Any) -> SlackDelivery:
        """Deliver any event, in the envelope that Slack puts round it."""
        team = team_id or self.workspace.team_id
        workspace = next(w for w in self.api.workspaces.values() if w.team_id == team)
        authorization = {
            "enterprise_id": None,
            "team_id": team,
            "user_id": workspace.bot_user_id,
            "is_bot": True,
            "is_enterprise_install": False,
        }
        payload = {
            "token": "loopback",
            "team_id": team,
            "context_team_id": team,
            "api_app_id": "A0LOOPBACK",
            "event": event,
            "type": "event_callback",
            "event_id": f"Ev{uuid4().hex[:12].upper()}",
            "event_time": int(time.time()),
            "authorizations": [authorization],
            "is_ext_shared_channel": False,
            **envelope,
        }
        return self.deliverer.deliver("events_api", payload)

    def redeliver(self, delivery: SlackDelivery) -> SlackDelivery:
        """The same payload once more, as Slack does when it believes that it was not heard."""
        kind: Kind = delivery.kind
        return self.deliverer.deliver(kind, delivery.payload)

    def _announce(self, channel: SlackChannel, event: Json, *, to_all: bool = False) -> None:
        if not channel.has_bot or not (to_all or self.echoes):
            return
        ts = self.clock.ts() if "subtype" in event and "ts" not in event else event["ts"]
        event = {
            "type": "message",
            **event,
            "channel": channel.id,
            "channel_type": channel.kind,
            "ts": ts,
            "event_ts": ts,
        }
        self.emit(event, team_id=channel.team_id)

    def _emit_reaction(self, kind: str, user: str, channel: str, ts: str, emoji: str) -> None:
        place = self.channel(channel)
        event = {
            "type": kind,
            "user": user,
            "reaction": emoji,
            "item_user": self.message(channel, ts).user,
            "item": {"type": "message", "channel": channel, "ts": ts},
            "event_ts": self.clock.ts(),
        }
        self.emit(event, team_id=place.team_id)

    def _interaction(self, kind: str, user: str, team_id: str) -> Json:
        return {
            "type": kind,
            "user": {"id": user, "username": user.lower(), "name": user.lower(), "team_id": team_id},
            "team": {"id": team_id, "domain": "loopback"},
            "api_app_id": "A0LOOPBACK",
            "token": "loopback",
            "enterprise": None,
            "is_enterprise_install": False,
        }

    def _workspace_of(self, channel: SlackChannel) -> Workspace:
        return next(w for w in self.api.workspaces.values() if w.team_id == channel.team_id)

    # --- serving ------------------------------------------------------------------------------------

    def _note_change(self) -> None:
        self._changed.set()

    def _socket_url(self) -> str:
        ticket = uuid4().hex
        self._tickets.add(ticket)
        return f"ws://127.0.0.1:{self._port}/link?ticket={ticket}&app_id=A0LOOPBACK"

    async def _serve_link(self, request: web.Request) -> web.StreamResponse:
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.Response(status=403)
        self._tickets.discard(ticket)
        return await self.deliverer.serve_socket(request)

    async def _serve_call(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        arguments = await _arguments_of(request)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        token = token or str(arguments.get("token", ""))
        self.calls.append(ApiCall(method, arguments, asyncio.get_running_loop().time()))
        fault = self.faults.next(method)
        if fault is None:
            answer = self._answer(method, token, arguments)
        else:
            answer = await self._answer_with(fault, request, method, token, arguments)
        self._note_change()
        return answer

    def _answer(self, method: str, token: str, arguments: Json) -> web.Response:
        try:
            return web.json_response(self.api.call(method, token, arguments))
        except ApiError as error:
            if error.code == "ratelimited":
                return _rate_limited(1.0)
            return web.json_response({"ok": False, "error": error.code})

    async def _answer_with(
        self, fault: Fault, request: web.Request, method: str, token: str, arguments: Json
    ) -> web.Response:
        await asyncio.sleep(fault.delay_seconds)
        if fault.retry_after_seconds is not None:
            return _rate_limited(fault.retry_after_seconds)
        if fault.status is not None:
            return web.Response(status=fault.status, text="upstream trouble", content_type="text/html")
        if fault.error is not None:
            return web.json_response({"ok": False, "error": fault.error})
        if fault.reset == "before":
            _cut(request)
            return web.Response()
        answer = self._answer(method, token, arguments)
        if fault.reset == "after":
            _cut(request)
        return answer


async def _arguments_of(request: web.Request) -> Json:
    if request.method == "GET":
        return parse_form(dict(request.query))
    if request.content_type == "application/json":
        body: Json = json.loads(await request.read() or b"{}")
        if request.match_info["method"] in {"conversations.replies", "conversations.history"}:
            return {}  # as there: what only reads takes a form, and passes over JSON
        return body
    return parse_form({**request.query, **await request.post()})


def _rate_limited(retry_after_seconds: float) -> web.Response:
    headers = {"Retry-After": f"{retry_after_seconds:g}"}
    return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers=headers)


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
