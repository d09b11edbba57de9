"""The Discord adapter: receives through the gateway, sends through REST; either half works without the other."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import structlog

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
    UnauthorizedError,
    UnavailableError,
)
from bot.discord import channel_history, render
from bot.discord.ban_guard import BanGuard
from bot.discord.commands import parse_handle
from bot.discord.errors import speaking_adapter_errors
from bot.discord.events import PLATFORM
from bot.discord.gateway import DiscordClient, use_addresses
from bot.discord.history import History
from bot.discord.listening import Coordination, DiscordLimits, Listening
from bot.discord.posting import Poster
from bot.discord.rest import ChannelCalls, InteractionCalls
from bot.discord.settings import DiscordSettings
from bot.discord.shards import token_refused
from bot.discord.stream import DiscordStream
from bot.feedback_emoji import parse_emoji_ratings
from bot.metrics import Metrics
from core.answers import Answer
from core.errors import SettingsError
from core.messages import Channel, Message

DRAIN_SECONDS = 5.0

log = structlog.get_logger(__name__)


class DiscordAdapter:
    """Implements bot.adapter.Adapter. Receives what the shards tell that this process owns by lease."""

    def __init__(
        self,
        settings: DiscordSettings,
        coordination: Coordination,
        metrics: Metrics | None = None,
        *,
        limits: DiscordLimits | None = None,
    ) -> None:
        if settings.discord_token is None:
            raise SettingsError(
                "DISCORD_TOKEN", "is not set.", "Copy it from the Bot page of your application."
            )
        self._token = settings.discord_token
        self._settings = settings
        limits, metrics = limits or DiscordLimits(), metrics or Metrics()
        ban_guard = BanGuard(coordination.allowances, metrics, limits.bans)
        self._client = DiscordClient(ban_guard.build_trace())
        self._channels = ChannelCalls(self._client, ban_guard)
        self._interactions = InteractionCalls(ban_guard)
        self._poster = Poster(self._channels, self._interactions, lambda: self._self_id)
        self._listening = Listening(
            self._client,
            self._channels,
            coordination,
            limits,
            metrics,
            ban_guard,
            token=self._token,
            ratings=parse_emoji_ratings(settings.feedback_emoji),
        )
        metrics.standing_by.labels(PLATFORM).set_function(lambda: bool(self.standing_by()))
        self._is_open = False

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
            knows_people=True,
            channel_history=True,
        )

    # --- coming and going -------------------------------------------------------------------------

    async def open(self) -> None:
        if self._is_open:
            return
        use_addresses(self._settings.discord_api_url, self._settings.discord_gateway_url)
        try:
            with speaking_adapter_errors():
                await self._client.login(self._token.get_secret_value())
        except UnauthorizedError as error:
            raise token_refused() from error
        self._is_open = True

    async def start(self, sink: Sink) -> None:
        await self.open()
        await self._publish_commands()
        await self._listening.start(sink, self._self_id)

    def is_receiving(self) -> bool:
        return self._listening.is_receiving()

    def why_deaf(self) -> str:
        """A sentence for the operator; "" when events reach us."""
        return self._listening.why_deaf()

    def standing_by(self) -> str:
        """A sentence for the operator while another process listens; "" while this one does."""
        return self._listening.standing_by()

    async def aclose(self) -> None:
        await self._listening.aclose(DRAIN_SECONDS)
        await self._client.close()
        await self._interactions.aclose()

    async def _publish_commands(self) -> None:
        """Once per start; Discord changes nothing when nothing has changed."""
        try:
            with speaking_adapter_errors():
                await self._client.tree.sync()
        except AdapterError as error:
            # Mentions and DMs work without commands.
            log.warning("commands_not_published", error=type(error).__name__)

    @property
    def _self_id(self) -> str:
        if self._client.user is None:
            raise UnavailableError("the adapter is not open", maybe_accepted=False)
        return str(self._client.user.id)

    # --- rendering --------------------------------------------------------------------------------

    def render_answer(self, answer: Answer, turn_id: UUID) -> Sequence[Rendered]:
        return render.render_answer(answer, turn_id)

    def render_notice(self, text: str) -> Rendered:
        return render.render_notice(text)

    # --- sending ----------------------------------------------------------------------------------

    async def post(self, delivery: Delivery) -> str:
        return await self._poster.post(delivery)

    def open_stream(self, delivery: Delivery, on_posted: OnPosted) -> ReplyStream:
        async def post(rendered: Rendered) -> str:
            return await self._poster.post(delivery.model_copy(update={"rendered": rendered}))

        async def edit(rendered: Rendered, message_id: str) -> None:
            await self._poster.edit(delivery.model_copy(update={"rendered": rendered}), message_id)

        return DiscordStream(post, edit, on_posted)

    async def find_posted(self, delivery: Delivery) -> str | None:
        return await self._poster.find_posted(delivery)

    async def edit(self, delivery: Delivery, message_id: str) -> None:
        await self._poster.edit(delivery, message_id)

    async def delete(self, channel: Channel, message_id: str) -> None:
        await self._channels.delete_message(channel.id, message_id)

    async def show_status(self, target: ReplyTarget, text: str) -> None:
        # A command shows "is thinking" by itself; a typing sign ends by itself.
        if text and parse_handle(target.reply_handle) is None:
            await self._channels.show_typing(target.thread.channel.id)

    async def fetch_thread(self, message: Message, limit: int) -> list[Message]:
        return await History(self._channels, self._self_id).fetch_thread(message, limit)

    async def describe_channel(self, channel: Channel) -> ChannelFacts:
        return await channel_history.describe_channel(self._channels, channel)

    async def read_history(self, channel: Channel, cursor: str | None, until: str | None) -> HistoryPage:
        return await channel_history.read_history(self._channels, self._self_id, channel, cursor, until)
