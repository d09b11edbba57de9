"""The Discord adapter: receives through the gateway, sends through REST; either half works without the other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import discord
import structlog

from bot.adapter import (
    AdapterError,
    Capabilities,
    Delivery,
    MessageGoneError,
    OnPosted,
    Rendered,
    ReplyStream,
    ReplyTarget,
    Sink,
    UnauthorizedError,
    UnavailableError,
)
from bot.discord import render
from bot.discord.commands import InteractionHandle, parse_handle
from bot.discord.errors import NotAcknowledgedError, TokenExpiredError, speaking_adapter_errors
from bot.discord.events import PLATFORM, Place, parse_history, parse_reply_reference
from bot.discord.gateway import DiscordClient, use_addresses
from bot.discord.interacting import InteractionReceiver
from bot.discord.receiving import EventReceiver
from bot.discord.rest import ChannelCalls, InteractionCalls, nonce_of
from bot.discord.settings import DiscordSettings
from bot.discord.stream import DiscordStream
from bot.feedback_emoji import parse_emoji_ratings
from core.errors import SettingsError
from core.messages import Answer, Channel, Message, Thread

DRAIN_SECONDS = 5.0
ACKNOWLEDGED_WITHIN_SECONDS = 4.0
"""A worker may be quicker than the acknowledgement of a command; after this long it never came."""
PAGES = 3
PAGE = 100
LONGEST_REPLY_CHAIN = 10
LOADING = 1 << 7
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
        self._receiver: EventReceiver | None = None
        self._interactor: InteractionReceiver | None = None
        self._connection: asyncio.Task[None] | None = None
        self._is_open = False

    @property
    def platform(self) -> str:
        return PLATFORM

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(streams=True, edits=True, deletes=True, thread_history=True, status=True)

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
        handle = parse_handle(delivery.target.reply_handle)
        if handle is None:
            return await self._post_in_channel(delivery, _reference(delivery.target))
        try:
            return await self._answer_command(handle, delivery)
        except (TokenExpiredError, MessageGoneError):
            return await self._post_in_channel(delivery, None)

    def open_stream(self, delivery: Delivery, on_posted: OnPosted) -> ReplyStream:
        async def post(rendered: Rendered) -> str:
            return await self.post(delivery.model_copy(update={"rendered": rendered}))

        async def edit(rendered: Rendered, message_id: str) -> None:
            await self.edit(delivery.model_copy(update={"rendered": rendered}), message_id)

        return DiscordStream(post, edit, on_posted)

    async def edit(self, delivery: Delivery, message_id: str) -> None:
        target, body = delivery.target, delivery.rendered.body
        handle = parse_handle(target.reply_handle)
        through_token = handle is not None and (delivery.part == 0 or target.only_author_sees)
        if handle is not None and through_token and handle.is_valid(datetime.now(UTC)):
            try:
                await self._interactions.edit_message(handle, message_id, body)
                return
            except TokenExpiredError:
                log.info("command_token_expired")
        await self._channels.edit_message(await self._channel_of(target), message_id, body)

    async def delete(self, channel: Channel, message_id: str) -> None:
        await self._channels.delete_message(channel.id, message_id)

    async def find_posted(self, delivery: Delivery) -> str | None:
        handle = parse_handle(delivery.target.reply_handle)
        if handle is None:
            return await self._search(delivery, _reference(delivery.target))
        try:
            original = await self._original(handle)
        except (TokenExpiredError, MessageGoneError):
            return await self._search(delivery, None)
        if delivery.part == 0:
            return str(original["id"]) if _is_written(original) else None
        # Further parts that only the asker sees cannot be read back by anybody.
        return None if delivery.target.only_author_sees else await self._search(delivery, str(original["id"]))

    async def show_status(self, target: ReplyTarget, text: str) -> None:
        # A command shows "is thinking" by itself; a typing sign ends by itself.
        if text and parse_handle(target.reply_handle) is None:
            await self._channels.show_typing(target.thread.channel.id)

    async def fetch_thread(self, message: Message, limit: int) -> list[Message]:
        thread = message.thread
        if thread.id != thread.channel.id:
            return await self._fetch_replied_to(message, min(limit, LONGEST_REPLY_CHAIN))
        history = await self._channels.fetch_history(thread.channel.id, min(limit, PAGE), before=message.id)
        messages = (self._read_back(payload, thread) for payload in reversed(history))
        return [message for message in messages if message is not None]

    # --- parts of sending -------------------------------------------------------------------------

    async def _answer_command(self, handle: InteractionHandle, delivery: Delivery) -> str:
        if not handle.is_valid(datetime.now(UTC)):
            raise TokenExpiredError("15 minutes are over")
        if delivery.part == 0:
            return await self._edit_original(handle, delivery.rendered)
        if delivery.target.only_author_sees:
            return await self._interactions.follow_up(handle, delivery.rendered.body)
        # Follow-ups have no nonce, posts in the channel do.
        original = await self._original(handle)
        return await self._post_in_channel(delivery, str(original["id"]))

    async def _edit_original(self, handle: InteractionHandle, rendered: Rendered) -> str:
        while True:
            try:
                return await self._interactions.edit_original(handle, rendered.body)
            except NotAcknowledgedError:
                if (datetime.now(UTC) - handle.began_at).total_seconds() > ACKNOWLEDGED_WITHIN_SECONDS:
                    raise
            await asyncio.sleep(0.1)

    async def _original(self, handle: InteractionHandle) -> dict[str, Any]:
        if not handle.is_valid(datetime.now(UTC)):
            raise TokenExpiredError("15 minutes are over")
        return await self._interactions.fetch_original(handle)

    async def _post_in_channel(self, delivery: Delivery, reference: str | None) -> str:
        return await self._channels.create_message(
            await self._channel_of(delivery.target),
            delivery.rendered.body,
            nonce=nonce_of(delivery.effect_id),
            reference=reference,
        )

    async def _channel_of(self, target: ReplyTarget) -> str:
        """Where a post goes: what only the asker may see, and can no longer go through a command, is a DM."""
        if target.only_author_sees and not target.thread.channel.workspace.startswith("dm:"):
            return await self._channels.open_dm(target.asker.id)
        return target.thread.channel.id

    async def _search(self, delivery: Delivery, reference: str | None) -> str | None:
        """Our post since the question that refers to what this one would refer to and belongs to no other
        effect. The first part may have been posted half-written; the others have their text."""
        channel_id = await self._channel_of(delivery.target)
        wanted = str(delivery.rendered.body.get("content", "")).strip()
        after, candidates = delivery.target.question_message_id, []
        for _ in range(PAGES):
            page = await self._channels.fetch_history(channel_id, PAGE, after=after)
            for payload in reversed(page):
                if self._is_candidate(payload, delivery, reference):
                    candidates.append(payload)
            if len(page) < PAGE:
                break
            after = str(page[0]["id"])
        for payload in candidates:
            if str(payload.get("content", "")).strip() == wanted:
                return str(payload["id"])
        if delivery.part > 0 or reference is None or not candidates:
            return None
        return str(candidates[0]["id"])

    def _is_candidate(self, payload: dict[str, Any], delivery: Delivery, reference: str | None) -> bool:
        refers_to = (payload.get("message_reference") or {}).get("message_id")
        return (
            str(payload["author"]["id"]) == self._self_id
            and str(payload["id"]) not in delivery.known_message_ids
            and (refers_to is None if reference is None else str(refers_to) == reference)
        )

    # --- parts of reading back --------------------------------------------------------------------

    async def _fetch_replied_to(self, message: Message, limit: int) -> list[Message]:
        """The messages that the question replies to, one after the other."""
        found: list[Message] = []
        payload = await self._channels.fetch_message(message.thread.channel.id, message.id)
        while len(found) < limit:
            answered = payload.get("referenced_message")
            if not answered:
                break
            if (earlier := self._read_back(answered, message.thread)) is not None:
                found.append(earlier)
            if not answered.get("message_reference"):
                break
            payload = await self._channels.fetch_message(message.thread.channel.id, str(answered["id"]))
        return found[::-1]

    def _read_back(self, payload: dict[str, Any], thread: Thread) -> Message | None:
        channel = thread.channel
        guild_id = None if channel.workspace.startswith("dm:") else channel.workspace
        message = parse_history({"guild_id": guild_id, **payload}, Place(), self._self_id)
        return None if message is None else message.model_copy(update={"thread": thread})


def _reference(target: ReplyTarget) -> str:
    """The message that a post refers to: in a channel the one that began the Thread, so that a reply to
    our post finds back to it; in a thread or DM, where the channel is the Thread, the question."""
    if target.thread.id == target.thread.channel.id:
        return target.question_message_id
    return parse_reply_reference(target.reply_handle) or target.thread.id


def _is_written(original: dict[str, Any]) -> bool:
    return bool(original.get("content")) and not int(original.get("flags", 0)) & LOADING


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
