"""The adapter of Slack: receiving through slack-bolt, sending through the Web API."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from slack_bolt.async_app import AsyncApp

from bot.adapter import (
    AdapterError,
    Capabilities,
    ChannelFacts,
    Delivery,
    HistoryPage,
    OnPosted,
    Rendered,
    ReplyStream,
    ReplyTarget,
    Sink,
)
from bot.feedback_emoji import parse_emoji_ratings
from bot.metrics import Metrics
from bot.pacing import SendBudget
from bot.slack import channel_history, history, posting, render
from bot.slack.api import SlackApi
from bot.slack.catching_up import Coordination
from bot.slack.listening import Listening
from bot.slack.missed import CatchUpLimits
from bot.slack.payloads import PLATFORM, BotIdentity
from bot.slack.receiving import HttpEndpoints, SlackReceiver, build_endpoints
from bot.slack.settings import SlackSettings
from bot.slack.socket import SocketTimes
from bot.slack.stream import SlackStream
from bot.slack.workspaces import build_workspaces
from core.answers import Answer
from core.messages import Channel, Message

if TYPE_CHECKING:
    from bot.slack.installations import InstallationStore

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
        exclusive = coordination.exclusive if coordination is not None else None
        self._workspaces = build_workspaces(settings, installations, exclusive, lambda: self._api.client())
        self._api = SlackApi(settings.slack_api_url, self._workspaces, budget)
        ratings = parse_emoji_ratings(settings.feedback_emoji)
        self._receiver = SlackReceiver(
            self._api,
            self._workspaces.build_authorize(),
            ratings,
            self._workspaces.forget,
            socket_times or SocketTimes(),
        )
        self._coordination = coordination
        self._metrics = metrics or Metrics()
        self._catch_up = catch_up or CatchUpLimits()
        self._listening: Listening | None = None
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
            token_per_workspace=self._workspaces.have_tokens_of_their_own,
            knows_people=True,
            channel_history=True,
        )

    # --- life ---------------------------------------------------------------------------------------

    async def open(self) -> None:
        await self._workspaces.open(self._api)

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
        if not self._receiving or self._workspaces.is_revoked:
            return False
        return self._settings.mode == "http" or self._receiver.hears()

    def why_deaf(self) -> str:
        """For the operator: what keeps events from us."""
        if self._workspaces.is_revoked:
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
        address = await self._workspaces.address_of(self._api, channel.workspace)
        return await channel_history.describe_channel(self._api, channel, address)

    async def read_history(self, channel: Channel, cursor: str | None, until: str | None) -> HistoryPage:
        bot = await self._bot_in(channel.workspace)
        return await channel_history.read_history(self._api, bot, channel, cursor, until)

    # --- inside -------------------------------------------------------------------------------------

    def _bolt(self) -> AsyncApp:
        if self._app is None:
            secret = self._settings.slack_signing_secret
            signing_secret = secret.get_secret_value().strip() if secret is not None else ""
            self._app = self._receiver.build_app(signing_secret, self._workspaces.build_oauth())
        return self._app

    def _build_listening(self) -> Listening | None:
        if self._coordination is None:
            return None
        return Listening(
            self._api,
            self._coordination,
            self._receiver.take_missed,
            self._bot_in,
            self._workspaces.names,
            self._heard_until,
            self._catch_up,
            self._metrics,
        )

    def _heard_until(self) -> datetime | None:
        if not self.is_receiving():
            return None
        return datetime.now(UTC) if self._settings.mode == "http" else self._receiver.heard_until()

    async def _bot_in(self, workspace: str) -> BotIdentity:
        return await self._workspaces.bot_in(self._api, workspace)

    async def _set_status(self, target: ReplyTarget, text: str) -> None:
        body = {"channel_id": target.thread.channel.id, "thread_ts": target.thread.id, "status": text}
        try:
            await self._api.post(target.thread.channel.workspace, "assistant.threads.setStatus", body)
        except AdapterError as error:
            log.info("slack_status_not_shown", error=str(error))
