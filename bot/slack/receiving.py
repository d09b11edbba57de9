"""How events reach us: slack-bolt over Slack's socket or over HTTP, and nothing before the sink but parsing.

An event is acknowledged after the sink has committed it, and not at all when the sink failed: Slack then
delivers it again.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, cast

import structlog
from pydantic import ValidationError
from slack_bolt.adapter.fastapi.async_handler import AsyncSlackRequestHandler
from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext
from slack_bolt.authorization.async_authorize import AsyncAuthorize
from slack_bolt.middleware.async_middleware import AsyncMiddleware
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.request import SocketModeRequest
from starlette.requests import Request
from starlette.responses import Response

from bot.adapter import AdapterError, Sink, UnauthorizedError, UnavailableError
from bot.gaps import Fate
from bot.slack.api import SlackApi, quiet_logger
from bot.slack.errors import translate_error
from bot.slack.events import is_echo, parse_payload
from bot.slack.feedback import FEEDBACK_ACTION, build_comment_view
from bot.slack.payloads import BotIdentity, workspace_of
from bot.slack.socket import SocketTimes
from bot.slack.sockets import SlackSockets
from core.errors import SettingsError, StorageError
from core.messages import Event, FeedbackGiven, MessageHeard, MessagePosted, Rating

if TYPE_CHECKING:
    from bot.slack.listening import Listening

_MAX_BODY_BYTES = 1_000_000
_KNOWN_CHANNELS = 10_000
_EVERYTHING = re.compile(".*", re.DOTALL)
_REVOCATIONS = frozenset({"tokens_revoked", "app_uninstalled"})

log = structlog.get_logger(__name__)

Revoked = Callable[[str], Awaitable[None]]
"""Called with a workspace that took our token back."""


@dataclass(frozen=True)
class HttpEndpoints:
    """What Slack calls over HTTP; each checks the request itself."""

    events: Callable[[Request], Awaitable[Response]]
    install: Callable[[Request], Awaitable[Response]] | None = None
    oauth_redirect: Callable[[Request], Awaitable[Response]] | None = None


class SlackReceiver:
    """The receiving half of the adapter. `ratings` says which emoji count."""

    def __init__(
        self,
        api: SlackApi,
        authorize: AsyncAuthorize,
        ratings: Mapping[str, Rating],
        on_revoked: Revoked,
        times: SocketTimes,
    ) -> None:
        self._api = api
        self._times = times
        self._authorize = authorize
        self._ratings = ratings
        self._on_revoked = on_revoked
        self._sink: Sink | None = None
        self._listening: Listening | None = None
        self._known_private: dict[str, bool] = {}
        self._errands: set[asyncio.Task[None]] = set()
        self._sockets: SlackSockets | None = None

    def build_app(self, signing_secret: str, oauth: AsyncOAuthSettings | None = None) -> AsyncApp:
        """The bolt app whose every listener ends in the sink."""
        app = AsyncApp(
            client=self._api.client(),
            signing_secret=signing_secret,
            authorize=cast(Any, self._authorize),
            oauth_settings=oauth,
            before_authorize=_PassOverEchoes(),
            process_before_response=True,
            ignoring_self_events_enabled=False,
            attaching_conversation_kwargs_enabled=False,
            logger=quiet_logger(),
            name="threadlore",
        )
        app.event(_EVERYTHING)(self._on_event)
        app.action(_EVERYTHING)(self._on_interaction)
        app.view(_EVERYTHING)(self._on_interaction)
        app.error(self._on_error)
        return app

    def receive(self, sink: Sink, listening: Listening | None = None) -> None:
        """From here on events go to the sink; before, they are refused. `listening` is told of them."""
        self._sink, self._listening = sink, listening

    async def connect(self, app: AsyncApp, app_token: str) -> None:
        """Open the sockets; returns once Slack has said hello, or refused us and is to be asked again.

        Raises SettingsError when the token is refused.
        """

        async def ask_for_address() -> str:
            return await self._socket_address(app_token)

        async def take(request: SocketModeRequest) -> BoltResponse:
            response: BoltResponse = await run_async_bolt_app(app, request)
            return response

        self._sockets = SlackSockets(
            ask_for_address, take, self._note_heard_again, self._times, proxy=self._api.client().proxy
        )
        await self._sockets.start()

    def hears(self) -> bool:
        """Whether a socket is alive: judged by the age of its last pong, not by its state alone."""
        return self._sockets is not None and self._sockets.hears()

    def heard_until(self) -> datetime | None:
        """When the socket answered last; None while it does not."""
        return self._sockets.heard_until() if self._sockets is not None else None

    def why_deaf(self) -> str:
        """What keeps us from hearing Slack's socket; "" while we do."""
        return self._sockets.why_deaf() if self._sockets is not None else "No socket was opened yet."

    async def aclose(self) -> None:
        """Stop receiving; errands such as opening a modal are let go."""
        if self._sockets is not None:
            await self._sockets.aclose()
            self._sockets = None
        for errand in tuple(self._errands):
            errand.cancel()
        await asyncio.gather(*self._errands, return_exceptions=True)

    # --- what bolt calls ----------------------------------------------------------------------------

    async def _on_event(
        self, ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext, request: AsyncBoltRequest
    ) -> None:
        event = body["event"]
        if event.get("type") in _REVOCATIONS:
            await self._take_revocation(body)
        else:
            self._learn_privacy(event)
            await self._take(body, context)
            if self._listening is not None:
                is_retry = request.headers.get("x-slack-retry-num", ["0"])[0] != "0"
                self._listening.note_stored(body, self._known_private, is_retry=is_retry)
        await ack()

    async def _on_interaction(self, ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        given = await self._take(body, context)
        if given is not None and given.rating == -1 and _is_click(body):
            self._run_errand(self._ask_for_comment(given, body["trigger_id"]))
        await ack()

    async def _take(self, body: dict[str, Any], context: AsyncBoltContext) -> FeedbackGiven | None:
        """Parse and put; the feedback, if it was that."""
        if self._sink is None:
            raise UnavailableError("not receiving", maybe_accepted=False)
        event = self._parse(body, BotIdentity(user_id=context.bot_user_id or "", bot_id=context.bot_id))
        if event is not None:
            try:
                await self._sink(event)
            except StorageError:
                if self._listening is not None:
                    self._listening.note_failure(body)
                raise
        return event if isinstance(event, FeedbackGiven) else None

    def _parse(self, body: Mapping[str, Any], bot: BotIdentity) -> Event | None:
        """What cannot be understood is passed over."""
        try:
            return parse_payload(body, bot, self._ratings, self._known_private, arrived_at=datetime.now(UTC))
        except (KeyError, TypeError, ValueError, AttributeError, ValidationError) as error:
            kind = (body.get("event") or body).get("type")
            log.warning("slack_payload_not_understood", kind=kind, error=type(error).__name__)
            return None

    async def take_missed(
        self, body: Mapping[str, Any], bot: BotIdentity, oldest: datetime
    ) -> Fate | Literal["in_thread"]:
        """A message that was read back, as the event that did not come. Nothing before `oldest` is put."""
        event = self._parse(body, bot)
        if self._sink is not None and isinstance(event, MessageHeard):
            await self._sink(event)
        if self._sink is None or not isinstance(event, MessagePosted) or event.message.author.is_bot:
            return "not_for_us"
        if event.message.at < oldest:
            return "too_old" if event.addressing != "thread" else "not_for_us"
        if not await self._sink(event):
            return "known"
        return "in_thread" if event.addressing == "thread" else "found"

    async def _on_error(self, error: Exception, body: dict[str, Any]) -> BoltResponse:
        log.error("slack_event_not_stored", kind=body.get("type"), error=type(error).__name__)
        return BoltResponse(status=500, body="")

    async def _take_revocation(self, body: dict[str, Any]) -> None:
        event = body["event"]
        if event["type"] == "tokens_revoked" and not (event.get("tokens") or {}).get("bot"):
            return
        workspace = workspace_of(body)
        await self._on_revoked(workspace)
        log.warning("slack_token_revoked", workspace=workspace, kind=event["type"])

    # --- errands ------------------------------------------------------------------------------------

    def _run_errand(self, errand: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _ask_for_comment(self, given: FeedbackGiven, trigger_id: str) -> None:
        body = {"trigger_id": trigger_id, "view": build_comment_view(given)}
        try:
            await self._api.post(given.channel.workspace, "views.open", body)
        except AdapterError as error:
            log.info("comment_not_asked_for", error=str(error))

    def _learn_privacy(self, event: Mapping[str, Any]) -> None:
        """Mentions and reactions do not say whether their channel is private; messages do."""
        channel_id, kind = event.get("channel"), event.get("channel_type")
        if not isinstance(channel_id, str) or not channel_id.startswith("C"):
            return
        if kind is not None:
            if len(self._known_private) >= _KNOWN_CHANNELS:
                self._known_private.clear()
            self._known_private[channel_id] = kind != "channel"

    # --- the socket ---------------------------------------------------------------------------------

    async def _socket_address(self, app_token: str) -> str:
        try:
            answer = await self._api.client().apps_connections_open(app_token=app_token)
        except (SlackApiError, OSError, TimeoutError) as error:
            translated = translate_error("apps.connections.open", error)
            if isinstance(translated, UnauthorizedError):
                raise SettingsError(
                    "SLACK_APP_TOKEN",
                    "is refused by Slack.",
                    "Make a new app-level token with connections:write under Basic Information, and enable Socket Mode.",
                ) from error
            raise translated from error
        return str(answer["url"])

    def _note_heard_again(self, deaf_since: float | None) -> None:
        if deaf_since is not None:
            log.warning("slack_heard_again", deaf_seconds=round(time.time() - deaf_since, 1))
        if self._listening is not None:
            self._listening.note_heard_again(deaf_since)


class _PassOverEchoes(AsyncMiddleware):
    """Every reply of ours comes back as events: acknowledged here, before bolt spends time on them."""

    async def async_process(
        self, *, req: AsyncBoltRequest, resp: BoltResponse, next: Callable[[], Awaitable[BoltResponse]]
    ) -> BoltResponse | None:
        if is_echo(req.body):
            return BoltResponse(status=200, body="")
        return await next()


def build_endpoints(app: AsyncApp) -> HttpEndpoints:
    """The app's endpoints for the HTTP server. Bolt checks the signature on the bytes as they came."""
    handler = AsyncSlackRequestHandler(app)

    async def events(request: Request) -> Response:
        body = await request.body()
        if len(body) > _MAX_BODY_BYTES:
            return Response(status_code=413)
        timestamp = request.headers.get("x-slack-request-timestamp", "")
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 20) or not _is_utf8(body):
            return Response(status_code=401)
        response: Response = await handler.handle(request)
        return response

    async def page(request: Request) -> Response:
        response: Response = await handler.handle(request)
        return response

    if app.oauth_flow is None:
        return HttpEndpoints(events=events)
    return HttpEndpoints(events=events, install=page, oauth_redirect=page)


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_click(body: Mapping[str, Any]) -> bool:
    actions = body.get("actions") or ()
    return any(action.get("action_id") == FEEDBACK_ACTION for action in actions)
