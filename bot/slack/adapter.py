"""The adapter of Slack: receiving through slack-bolt, sending through the Web API."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from slack_bolt.async_app import AsyncApp, AsyncBoltContext
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.authorization.async_authorize import AsyncAuthorize
from slack_sdk.oauth.token_rotation.async_rotator import AsyncTokenRotator

from bot.adapter import (
    AdapterError,
    Capabilities,
    ChannelFacts,
    Delivery,
    ForbiddenError,
    HistoryPage,
    OnPosted,
    Rendered,
    ReplyStream,
    ReplyTarget,
    Sink,
    UnauthorizedError,
)
from bot.feedback_emoji import parse_emoji_ratings
from bot.metrics import Metrics
from bot.pacing import SendBudget
from bot.slack import channel_history, history, posting, render
from bot.slack.api import OneToken, SlackApi
from bot.slack.catching_up import Coordination
from bot.slack.events import BotIdentity
from bot.slack.interactions import PLATFORM
from bot.slack.listening import Listening
from bot.slack.missed import CatchUpLimits
from bot.slack.receiving import HttpEndpoints, SlackReceiver, build_endpoints
from bot.slack.rotation import TokenRotation
from bot.slack.settings import SlackSettings
from bot.slack.socket import SocketTimes
from bot.slack.stream import SlackStream
from core.answers import Answer
from core.errors import SettingsError
from core.messages import Channel, Message

if TYPE_CHECKING:
    from bot.slack.installations import Installations, InstallationStore

log = structlog.get_logger(__name__)


class SlackAdapter:
    """One Slack app: for one workspace by its bot token, or for every workspace that installs it.

    `settings` must be complete (SlackSettings.require_complete). `installations` is needed for the
    second kind only. `coordination` is what processes share to find what was missed; without it nothing
    is read back. `socket_times` and `catch_up` are for tests that cannot wait as long as people do.
    """

    def __init__(
        self,
        settings: SlackSettings,
        installations: InstallationStore | None = None,
        coordination: Coordination | None = None,
        metrics: Metrics | None = None,
        *,
        socket_times: SocketTimes | None = None,
        catch_up: CatchUpLimits | None = None,
        budget: SendBudget | None = None,
    ) -> None:
        self._settings = settings
        self._installed: Installations | None = None
        self._one_token: OneToken | None = None
        self._identity = BotIdentity(user_id="")
        authorize: AsyncAuthorize
        if settings.installs:
            from bot.slack.installations import Installations, InstalledAuthorize

            if installations is None:
                raise ValueError("several workspaces need a store of installations")
            self._installed = tokens = Installations(installations, self._build_rotation(coordination))
            authorize = InstalledAuthorize(tokens)
            self._api = SlackApi(settings.slack_api_url, tokens, budget)
        else:
            self._one_token = OneToken(settings.secret("slack_bot_token"))
            authorize = _OneWorkspace(self)
            self._api = SlackApi(settings.slack_api_url, self._one_token, budget)
        ratings = parse_emoji_ratings(settings.feedback_emoji)
        self._receiver = SlackReceiver(
            self._api, authorize, ratings, self._forget_token, socket_times or SocketTimes()
        )
        self._installation_store = installations
        self._coordination = coordination
        self._metrics = metrics or Metrics()
        self._catch_up = catch_up or CatchUpLimits()
        self._listening: Listening | None = None
        self._workspace: str | None = None
        self._home: str | None = None
        self._app: AsyncApp | None = None
        self._receiving = False
        self._statuses: set[asyncio.Task[None]] = set()

    @property
    def platform(self) -> str:
        return PLATFORM

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            streams=True,
            edits=True,
            deletes=True,
            thread_history=True,
            status=True,
            token_per_workspace=self._installed is not None,
            knows_people=True,
            channel_history=True,
        )

    @property
    def identity(self) -> BotIdentity:
        """Who we are, known once open; empty where every workspace has a bot user of its own."""
        return self._identity

    # --- life ---------------------------------------------------------------------------------------

    async def open(self) -> None:
        if self._installed is not None or self._identity.user_id:
            return
        try:
            answer = await self._api.post("", "auth.test", {})
        except UnauthorizedError as error:
            raise SettingsError(
                "SLACK_BOT_TOKEN",
                f"is refused by Slack ({error}).",
                "Copy the Bot User OAuth Token (xoxb-...) again, or install the app anew, under OAuth & Permissions.",
            ) from error
        self._identity = BotIdentity(user_id=str(answer["user_id"]), bot_id=answer.get("bot_id"))
        self._workspace, self._home = answer.get("team_id"), answer.get("url")
        log.info("slack_opened", workspace=answer.get("team_id"), bot=self._identity.user_id)

    async def start(self, sink: Sink) -> None:
        await self.open()
        app = self._bolt()
        self._listening = self._build_listening()
        self._receiver.receive(sink, self._listening)
        token = self._settings.slack_app_token
        if token is not None:
            await self._receiver.connect(app, token.get_secret_value().strip())
        elif self._listening is not None:
            self._listening.note_heard_again(None)
        self._receiving = True

    def is_receiving(self) -> bool:
        """Over HTTP nobody tells us that Slack cannot reach us: then started is all there is to know."""
        if not self._receiving or (self._one_token is not None and self._one_token.is_revoked):
            return False
        return self._settings.mode == "http" or self._receiver.hears()

    def why_deaf(self) -> str:
        """For the operator: what keeps events from us."""
        if self._one_token is not None and self._one_token.is_revoked:
            return "The app was removed from the workspace, or its token was taken back. Install it again."
        return self._receiver.why_deaf() if self._settings.mode == "socket" else ""

    async def aclose(self) -> None:
        if self._listening is not None:
            await self._listening.aclose()
        self._receiving = False
        await self._receiver.aclose()
        for status in tuple(self._statuses):
            status.cancel()
        await asyncio.gather(*self._statuses, return_exceptions=True)
        await self._api.aclose()

    def http_endpoints(self) -> HttpEndpoints | None:
        """What to mount in the HTTP server; None where there is no signing secret. Needs a running loop."""
        return build_endpoints(self._bolt()) if self._settings.slack_signing_secret is not None else None

    # --- sending ------------------------------------------------------------------------------------

    def render_answer(self, answer: Answer, turn_id: UUID) -> Sequence[Rendered]:
        return render.render_answer(answer, turn_id)

    def render_notice(self, text: str) -> Rendered:
        return render.render_notice(text)

    async def post(self, delivery: Delivery) -> str:
        method = "chat.postEphemeral" if delivery.target.only_author_sees else "chat.postMessage"
        await self._api.turn(delivery.target.thread.channel, method)
        return await posting.post_message(self._api, delivery, delivery.rendered)

    def open_stream(self, delivery: Delivery, on_posted: OnPosted) -> ReplyStream:
        return SlackStream(self._api, delivery, on_posted)

    async def find_posted(self, delivery: Delivery) -> str | None:
        bot = await self._bot_in(delivery.target.thread.channel.workspace)
        return await history.find_posted(self._api, bot, delivery)

    async def edit(self, delivery: Delivery, message_id: str) -> None:
        await self._api.turn(delivery.target.thread.channel, "chat.update")
        await posting.update_message(self._api, delivery, delivery.rendered, message_id)

    async def delete(self, channel: Channel, message_id: str) -> None:
        await self._api.turn(channel, "chat.delete")
        await posting.delete_message(self._api, channel, message_id)

    async def show_status(self, target: ReplyTarget, text: str) -> None:
        """Sent on the side: it neither delays nor fails a reply."""
        status = asyncio.create_task(self._set_status(target, text))
        self._statuses.add(status)
        status.add_done_callback(self._statuses.discard)

    async def fetch_thread(self, message: Message, limit: int) -> list[Message]:
        bot = await self._bot_in(message.thread.channel.workspace)
        return await history.fetch_thread(self._api, bot, message, limit)

    async def describe_channel(self, channel: Channel) -> ChannelFacts:
        await self._bot_in(channel.workspace)
        if self._one_token is not None and channel.workspace != self._workspace:
            raise ForbiddenError("the token is for another workspace")
        home = self._home or (await self._api.post(channel.workspace, "auth.test", {}))["url"]
        return await channel_history.describe_channel(self._api, channel, str(home))

    async def read_history(self, channel: Channel, cursor: str | None, until: str | None) -> HistoryPage:
        bot = await self._bot_in(channel.workspace)
        return await channel_history.read_history(self._api, bot, channel, cursor, until)

    # --- inside -------------------------------------------------------------------------------------

    def _bolt(self) -> AsyncApp:
        if self._app is None:
            secret = self._settings.slack_signing_secret
            signing_secret = secret.get_secret_value().strip() if secret is not None else ""
            oauth = None
            if self._installed is not None and self._installation_store is not None:
                from bot.slack.oauth import build_oauth_settings

                oauth = build_oauth_settings(self._settings, self._installed, self._installation_store)
            self._app = self._receiver.build_app(signing_secret, oauth)
        return self._app

    def _build_rotation(self, coordination: Coordination | None) -> TokenRotation | None:
        if coordination is None:
            return None
        client_id, secret = str(self._settings.slack_client_id), self._settings.secret("slack_client_secret")

        def make_rotator() -> AsyncTokenRotator:
            return AsyncTokenRotator(client_id=client_id, client_secret=secret, client=self._api.client())

        return TokenRotation(make_rotator, coordination.exclusive)

    def _build_listening(self) -> Listening | None:
        if self._coordination is None:
            return None
        return Listening(
            self._api,
            self._coordination,
            self._receiver.take_missed,
            self._bot_in,
            lambda: [self._workspace] if self._workspace else None,
            self._heard_until,
            self._catch_up,
            self._metrics,
        )

    def _heard_until(self) -> datetime | None:
        if not self.is_receiving():
            return None
        return datetime.now(UTC) if self._settings.mode == "http" else self._receiver.heard_until()

    async def _bot_in(self, workspace: str) -> BotIdentity:
        if self._installed is None:
            await self.open()
            return self._identity
        bot = await self._installed.bot_of(workspace)
        if bot is None:
            raise UnauthorizedError("not installed in this workspace")
        return BotIdentity(user_id=bot.bot_user_id, bot_id=bot.bot_id)

    async def _forget_token(self, workspace: str) -> None:
        """An app may be installed elsewhere too, and then its socket tells of that as well."""
        if self._one_token is not None and workspace == self._workspace:
            self._one_token.revoke()
        if self._installed is not None:
            await self._installed.async_delete_bot(enterprise_id=None, team_id=workspace)

    async def _set_status(self, target: ReplyTarget, text: str) -> None:
        body = {"channel_id": target.thread.channel.id, "thread_ts": target.thread.id, "status": text}
        try:
            await self._api.post(target.thread.channel.workspace, "assistant.threads.setStatus", body)
        except AdapterError as error:
            log.info("slack_status_not_shown", error=str(error))


class _OneWorkspace(AsyncAuthorize):
    """Who we are, from `open`: bolt asks before every event, and no call may stand before the ack."""

    def __init__(self, adapter: SlackAdapter) -> None:
        self._adapter = adapter

    async def __call__(
        self,
        *,
        context: AsyncBoltContext,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None,
        actor_enterprise_id: str | None = None,
        actor_team_id: str | None = None,
        actor_user_id: str | None = None,
    ) -> AuthorizeResult:
        bot = self._adapter.identity
        return AuthorizeResult(
            enterprise_id=enterprise_id, team_id=team_id, bot_id=bot.bot_id, bot_user_id=bot.user_id
        )
