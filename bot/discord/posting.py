"""Where a message goes and how: into the channel, or through the token of a command for as long as it serves."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog

from bot.adapter import (
    Delivery,
    ForbiddenError,
    MessageGoneError,
    Rendered,
    ReplyTarget,
    UndecidableError,
)
from bot.discord.commands import InteractionHandle, parse_handle
from bot.discord.errors import NotAcknowledgedError, TokenExpiredError
from bot.discord.events import parse_reply_reference
from bot.discord.rest import ChannelCalls, InteractionCalls, nonce_of

ACKNOWLEDGED_WITHIN_SECONDS = 4.0
"""A worker may be quicker than the acknowledgement of a command; after this long it never came."""
PAGES = 20
PAGE = 100
LOADING = 1 << 7
REMEMBERED_MOVES = 1000

log = structlog.get_logger(__name__)


class Poster:
    """Posts, edits and finds again the messages of replies. `self_id` is asked when it is needed."""

    def __init__(
        self, channels: ChannelCalls, interactions: InteractionCalls, self_id: Callable[[], str]
    ) -> None:
        self._channels = channels
        self._interactions = interactions
        self._self_id = self_id
        self._in_private: OrderedDict[UUID, None] = OrderedDict()

    async def post(self, delivery: Delivery) -> str:
        handle = parse_handle(delivery.target.reply_handle)
        if handle is None:
            return await self._post_in_channel(delivery, _reference(delivery.target))
        try:
            return await self._answer_command(handle, delivery)
        except (TokenExpiredError, MessageGoneError):
            return await self._post_after_token(delivery)

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
        if handle is not None and target.only_author_sees:
            # What only the asker sees can be changed through the token alone: the whole goes out anew.
            await self._post_after_token(delivery)
            return
        if delivery.effect_id in self._in_private:
            target = target.model_copy(update={"only_author_sees": True})
        await self._channels.edit_message(await self._channel_of(target), message_id, body)

    async def find_posted(self, delivery: Delivery) -> str | None:
        handle = parse_handle(delivery.target.reply_handle)
        if handle is None:
            return await self._search(delivery, _reference(delivery.target))
        if delivery.part > 0 and delivery.target.only_author_sees:
            # A follow-up cannot be read back; what went out after the token's end stands in the DM.
            if (found := await self._search(delivery, None)) is None:
                raise UndecidableError("a further part that only the asker sees cannot be read back")
            return found
        try:
            original = await self._original(handle)
        except (TokenExpiredError, MessageGoneError):
            return await self._search(delivery, None)
        if delivery.part == 0:
            return str(original["id"]) if _is_written(original) else None
        return await self._search(delivery, str(original["id"]))

    async def _post_after_token(self, delivery: Delivery) -> str:
        """The answer to a command goes to the channel instead; to the asker, where the bot may not speak."""
        try:
            return await self._post_in_channel(delivery, None)
        except ForbiddenError:
            if delivery.target.only_author_sees:
                raise
            log.info("command_answered_in_private")
            private = delivery.target.model_copy(update={"only_author_sees": True})
            self._in_private[delivery.effect_id] = None
            if len(self._in_private) > REMEMBERED_MOVES:
                self._in_private.popitem(last=False)
            return await self._post_in_channel(delivery.model_copy(update={"target": private}), None)

    async def _answer_command(self, handle: InteractionHandle, delivery: Delivery) -> str:
        if not handle.is_valid(datetime.now(UTC)):
            raise TokenExpiredError("15 minutes are over")
        if delivery.part == 0:
            return await self._edit_original(handle, delivery.rendered)
        if delivery.target.only_author_sees:
            return await self._interactions.follow_up(handle, delivery.rendered.body, ephemeral=True)
        # Follow-ups have no nonce, posts in the channel do.
        original = await self._original(handle)
        try:
            return await self._post_in_channel(delivery, str(original["id"]))
        except ForbiddenError:
            # Commands work where the bot may not speak: there it can speak through the token alone.
            return await self._interactions.follow_up(handle, delivery.rendered.body, ephemeral=False)

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
        else:
            raise UndecidableError("more was said since than we read back")
        for payload in candidates:
            if str(payload.get("content", "")).strip() == wanted:
                return str(payload["id"])
        if delivery.part > 0 or reference is None or not candidates:
            return None
        return str(candidates[0]["id"])

    def _is_candidate(self, payload: dict[str, Any], delivery: Delivery, reference: str | None) -> bool:
        refers_to = (payload.get("message_reference") or {}).get("message_id")
        return (
            str(payload["author"]["id"]) == self._self_id()
            and str(payload["id"]) not in delivery.known_message_ids
            and (refers_to is None if reference is None else str(refers_to) == reference)
        )


def _reference(target: ReplyTarget) -> str:
    """The message that a post refers to: in a channel the one that began the Thread, so that a reply to
    our post finds back to it; in a thread or DM, where the channel is the Thread, the question."""
    if target.thread.id == target.thread.channel.id:
        return target.question_message_id
    return parse_reply_reference(target.reply_handle) or target.thread.id


def _is_written(original: dict[str, Any]) -> bool:
    return bool(original.get("content")) and not int(original.get("flags", 0)) & LOADING
