"""The Discord adapter: receives through the gateway, sends through REST; either half works without the other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import discord
import structlog

from bot.adapter import (
    AdapterError,
    Capabilities,
    Delivery,
    OnPosted,
    Rendered,
    ReplyStream,
    ReplyTarget,
    Sink,
    UnauthorizedError,
    UnavailableError,
)
from bot.discord import render
from bot.discord.commands import parse_handle
from bot.discord.errors import speaking_adapter_errors
from bot.discord.events import PLATFORM
from bot.discord.gateway import DiscordClient, use_addresses
from bot.discord.history import History
from bot.discord.interacting import InteractionReceiver
from bot.discord.posting import Poster
from bot.discord.receiving import EventReceiver
from bot.discord.rest import ChannelCalls, InteractionCalls
from bot.discord.settings import DiscordSettings
from bot.discord.stream import DiscordStream
from bot.feedback_emoji import parse_emoji_ratings
from core.errors import SettingsError
from core.messages import Answer, Channel, Message

DRAIN_SECONDS = 5.0
FEWEST_SESSIONS = 50

log = structlog.get_logger(__name__)


class DiscordAdapter:
    """Implements bot.adapter.Adapter. `longest_silence_seconds`: how much later than a heartbeat the gateway
    may speak and still count as alive."""

    def __init__(self, settings: DiscordSettings, *, longest_silence_seconds: float = 15.0) -> None:
        if settings.discord_token is None:
            raise SettingsError(
                "DISCORD_TOKEN", "is not set.", "Copy it from the Bot page of your application."
            )
        self._token = settings.discord_token
        self._settings = settings
        self._longest_silence_seconds = longest_silence_seconds
        self._ratings = parse_emoji_ratings(settings.feedback_emoji)
        self._client = DiscordClient()
        self._channels = ChannelCalls(self._client)
        self._interactions = InteractionCalls()
        self._poster = Poster(self._channels, self._interactions, lambda: self._self_id)
        self._receiver: EventReceiver | None = None
        self._interactor: InteractionReceiver | None = None
        self._connection: asyncio.Task[None] | None = None
        self._is_open = False

    @property
    def platform(self) -> str:
        return PLATFORM

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            streams=True, edits=True, deletes=True, thread_history=True, status=True, knows_people=True
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
            raise _token_refused() from error
        self._is_open = True

    async def start(self, sink: Sink) -> None:
        await self.open()
        self._receiver = EventReceiver(self._client, self._channels, sink, self._self_id, self._ratings)
        self._interactor = InteractionReceiver(sink, self._self_id)
        self._client.frames, self._client.interactions = self._receiver, self._interactor
        await self._publish_commands()
        await self._check_session_budget()
        self._connection = asyncio.create_task(self._client.connect())
        ready = asyncio.create_task(self._client.wait_until_ready())
        await asyncio.wait({self._connection, ready}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            raise _connection_error(self._connection)
        self._connection.add_done_callback(_note_end)

    def is_receiving(self) -> bool:
        return (
            self._receiver is not None
            and self._connection is not None
            and not self._connection.done()
            and self._client.is_ready()
            and self._receiver.is_alive(self._longest_silence_seconds)
        )

    async def aclose(self) -> None:
        if self._interactor is not None:
            await self._interactor.settle(DRAIN_SECONDS)
        await self._client.close()
        if self._receiver is not None:
            await self._receiver.drain(DRAIN_SECONDS)
        if self._connection is not None:
            await asyncio.wait({self._connection}, timeout=DRAIN_SECONDS)
        await self._interactions.aclose()

    async def _publish_commands(self) -> None:
        """Once per start; Discord changes nothing when nothing has changed."""
        try:
            with speaking_adapter_errors():
                await self._client.tree.sync()
        except AdapterError as error:
            # Mentions and DMs work without commands.
            log.warning("commands_not_published", error=type(error).__name__)

    async def _check_session_budget(self) -> None:
        """Discord resets a token that begins 1,000 sessions in a day; a crash loop must stop well before."""
        with speaking_adapter_errors():
            _, _, limit = await self._client.http.get_bot_gateway()
        if limit["remaining"] < FEWEST_SESSIONS:
            log.error("discord_sessions_used_up", remaining=limit["remaining"])
            raise SettingsError(
                "DISCORD_TOKEN",
                f"only {limit['remaining']} gateway sessions are left for today.",
                "Find out what restarts Threadlore again and again, stop it, and start it tomorrow.",
            )

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


def _token_refused() -> SettingsError:
    return SettingsError(
        "DISCORD_TOKEN",
        "Discord refuses this token.",
        "Reset it on the Bot page of your application at https://discord.com/developers and copy it anew.",
    )


def _connection_error(connection: asyncio.Task[None]) -> Exception:
    """Why the first connection to the gateway ended."""
    error = connection.exception()
    if isinstance(error, discord.PrivilegedIntentsRequired):
        return SettingsError(
            "DISCORD_TOKEN",
            "this application may not read messages (gateway close code 4014).",
            'Switch on "Message Content Intent" on the Bot page of your application at'
            " https://discord.com/developers.",
        )
    if isinstance(error, discord.ConnectionClosed) and error.code == 4004:
        return _token_refused()
    return UnavailableError(f"gateway: {type(error).__name__}", maybe_accepted=False)


def _note_end(connection: asyncio.Task[None]) -> None:
    if not connection.cancelled() and (error := connection.exception()) is not None:
        log.error("discord_gateway_ended", error=type(error).__name__, code=getattr(error, "code", None))
