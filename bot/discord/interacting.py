"""Commands, clicks and forms: stored first, then acknowledged, within the 3 seconds that Discord gives."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import discord
import structlog

from bot.adapter import Sink
from bot.discord.commands import HELP, NOT_TAKEN, THANKS, moment_of, parse_command
from bot.discord.errors import LIBRARY_ERRORS
from bot.discord.feedback import build_comment_form_id, parse_button, parse_comment
from bot.discord.places import place_of_interaction
from core.messages import FeedbackGiven, MessagePosted

STORE_WITHIN_SECONDS = 2.0
"""What is not stored by then is refused aloud."""

log = structlog.get_logger(__name__)


class InteractionReceiver:
    """Takes what people do with commands, buttons and forms, and tells them that it arrived."""

    def __init__(self, sink: Sink, self_id: str) -> None:
        self._sink = sink
        self._self_id = self_id
        self._acknowledging: set[asyncio.Task[Any]] = set()

    async def settle(self, timeout_seconds: float) -> None:
        """Let commands and clicks that are stored be acknowledged, while the connection still stands."""
        if self._acknowledging:
            await asyncio.wait(set(self._acknowledging), timeout=timeout_seconds)

    def _note_under_way(self) -> None:
        if (task := asyncio.current_task()) is not None:
            self._acknowledging.add(task)
            task.add_done_callback(self._acknowledging.discard)

    async def take_command(self, interaction: discord.Interaction) -> None:
        self._note_under_way()
        payload = payload_of(interaction)
        event = parse_command(payload, place_of_interaction(interaction), self._self_id)
        if event is None or not await self._put_in_time(event):
            await self._say(interaction, NOT_TAKEN)
            return
        try:
            await interaction.response.defer(ephemeral=event.only_author_sees, thinking=True)
        except LIBRARY_ERRORS as error:
            # The question is stored: its answer goes to the channel instead.
            log.warning("command_not_acknowledged", error=type(error).__name__)

    async def take_click(self, interaction: discord.Interaction) -> None:
        self._note_under_way()
        payload = payload_of(interaction)
        place, at = place_of_interaction(interaction), moment_of(str(interaction.id))
        is_form = interaction.type is discord.InteractionType.modal_submit
        event = (parse_comment if is_form else parse_button)(payload, place, self._self_id, at)
        if event is None:
            if is_form:
                await self._say(interaction, THANKS)
            return
        if not await self._put_in_time(event):
            await self._say(interaction, NOT_TAKEN)
        elif event.rating == -1 and event.turn_id is not None and not is_form:
            await self._ask_for_comment(interaction, event.turn_id)
        else:
            await self._say(interaction, THANKS)

    async def show_help(self, interaction: discord.Interaction) -> None:
        await self._say(interaction, HELP)

    async def _ask_for_comment(self, interaction: discord.Interaction, turn_id: UUID) -> None:
        form = discord.ui.Modal(
            title="What was wrong?", custom_id=build_comment_form_id(turn_id), timeout=900.0
        )
        form.add_item(
            discord.ui.Label(
                text="Your comment (optional)",
                component=discord.ui.TextInput(
                    style=discord.TextStyle.paragraph, required=False, max_length=1000
                ),
            )
        )
        try:
            await interaction.response.send_modal(form)
        except LIBRARY_ERRORS as error:
            log.warning("comment_not_asked_for", error=type(error).__name__)

    async def _say(self, interaction: discord.Interaction, text: str) -> None:
        try:
            await interaction.response.send_message(
                text, ephemeral=True, suppress_embeds=True, allowed_mentions=discord.AllowedMentions.none()
            )
        except LIBRARY_ERRORS as error:
            log.warning("interaction_not_answered", error=type(error).__name__)

    async def _put_in_time(self, event: MessagePosted | FeedbackGiven) -> bool:
        """One attempt: whoever asked is waiting, and can ask again."""
        try:
            async with asyncio.timeout(STORE_WITHIN_SECONDS):
                await self._sink(event)
        except Exception as error:
            log.warning("event_refused", kind=event.kind, error=type(error).__name__)
            return False
        return True


def payload_of(interaction: discord.Interaction) -> dict[str, Any]:
    """The interaction as the platform sent it, as far as Events need it."""
    user = interaction.user
    return {
        "id": str(interaction.id),
        "application_id": str(interaction.application_id),
        "token": interaction.token,
        "guild_id": None if interaction.guild_id is None else str(interaction.guild_id),
        "channel_id": str(interaction.channel_id),
        "user": {
            "id": str(user.id),
            "username": user.name,
            "global_name": user.global_name,
            "bot": user.bot,
        },
        "member": {"nick": getattr(user, "nick", None)},
        "data": dict(interaction.data or {}),
    }
