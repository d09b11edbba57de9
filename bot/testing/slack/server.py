"""A Slack of our own on a loopback address: the real protocols for real libraries, and people to play.

    async with SlackServer() as slack:
        settings = slack.environment()          # what an app needs to talk to it, over its socket
        question = await slack.mention("U1", "C1", "How do I deploy?")
        await slack.until(lambda: slack.replies("C1", question))

Verbs such as `mention` build the payloads that Slack would send and return at once; `until` waits.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Self
from uuid import uuid4

from aiohttp import web

from bot.testing.slack.delivering import Deliverer, Timing
from bot.testing.slack.faults import ApiCall, Fault, Faults
from bot.testing.slack.limits import ApiError
from bot.testing.slack.people import People
from bot.testing.slack.state import Clock, Json, SlackMessage, Workspace
from bot.testing.slack.web_api import parse_form

BOT_TOKEN = "xoxb-loopback"
APP_TOKEN = "xapp-loopback"
SIGNING_SECRET = "loopback-signing-secret"
_MAX_BODY_BYTES = 4 * 2**20


class SlackServer(People):
    """Slack, as far as an app can see it. `echoes` says whether the app hears of its own posts, as it does
    there; `scopes`, once filled, are what the token was granted; `clock_seconds` is how far Slack's clock is ahead
    of this machine's."""

    def __init__(self, *, team_id: str = "T0LOOP", echoes: bool = True, timing: Timing | None = None) -> None:
        self._changed = asyncio.Event()
        deliverer = Deliverer(SIGNING_SECRET, timing or Timing(), self._changed.set)
        workspace = Workspace(team_id, BOT_TOKEN, "U0BOT", "B0BOT")
        super().__init__(workspace, Clock(), deliverer, echoes=echoes)
        self.api.app_tokens.add(APP_TOKEN)
        self.api.socket_url = self._socket_url
        self.scopes: set[str] = set()
        self.clock_seconds = 0.0
        self.faults = Faults()
        self.calls: list[ApiCall] = []
        self._port = 0
        self._runner: web.AppRunner | None = None
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

    def add_workspace(self, team_id: str) -> str:
        """A second workspace that consents to install the app; returns the code for the redirect."""
        code = f"code-{uuid4().hex}"
        number = len(self.api.installing.codes) + len(self.api.workspaces)
        self.api.installing.codes[code] = Workspace(
            team_id, f"xoxb-{team_id}", f"U{number}BOT", f"B{number}BOT"
        )
        return code

    def replies(self, channel: str, thread_ts: str) -> list[SlackMessage]:
        """The bot's messages in a thread that everybody sees, oldest first."""
        bots = {workspace.bot_user_id for workspace in self.api.workspaces.values()}
        return [m for m in self.channel(channel).thread(thread_ts) if m.user in bots]

    def calls_of(self, method: str) -> list[ApiCall]:
        """The calls of one method so far."""
        return [call for call in self.calls if call.method == method]

    # --- serving ------------------------------------------------------------------------------------

    def _socket_url(self) -> str:
        ticket = uuid4().hex
        self._tickets.add(ticket)
        return f"ws://127.0.0.1:{self._port}/link?ticket={ticket}&app_id=A0LOOPBACK"

    async def _serve_link(self, request: web.Request) -> web.StreamResponse:
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.Response(status=403)
        self._tickets.discard(ticket)
        return await self.deliverer.links.serve(request)

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
        self._changed.set()
        return answer

    def _answer(self, method: str, token: str, arguments: Json) -> web.Response:
        headers = {"Date": formatdate(time.time() + self.clock_seconds, usegmt=True)}
        if self.scopes:
            headers["x-oauth-scopes"] = ",".join(sorted(self.scopes))
        try:
            return web.json_response(self.api.call(method, token, arguments), headers=headers)
        except ApiError as error:
            if error.code == "ratelimited":
                return _rate_limited(error.retry_after_seconds)
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
        if fault.held is not None:
            self._changed.set()
            await fault.held.wait()
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
