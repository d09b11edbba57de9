"""The library's client as we use it: few intents, no caches of people or messages, every frame seen, and the
slash commands. What arrives is handed on; nothing is decided here."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import aiohttp
import discord
import structlog
import yarl
from discord import app_commands
from discord.gateway import DiscordWebSocket
from discord.http import Route

log = structlog.get_logger(__name__)

LONGEST_RATE_LIMIT_WAIT_SECONDS = 30.0
GUILD_WAIT_SECONDS = 0.2
"""How long after the last server's data the library waits for more; a message that is earlier waits by itself."""


class TakesFrames(Protocol):
    """Who takes the gateway's frames, as they came."""

    async def take_frame(self, frame: str) -> None: ...


class TakesInteractions(Protocol):
    """Who takes commands, and clicks and forms."""

    async def take_command(self, interaction: discord.Interaction) -> None: ...

    async def take_click(self, interaction: discord.Interaction) -> None: ...

    async def show_help(self, interaction: discord.Interaction) -> None: ...


def use_addresses(api_url: str, gateway_url: str) -> None:
    """Tell the library where Discord is; it keeps both addresses for the whole process."""
    Route.BASE = api_url.rstrip("/")
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway_url)


class WatchesConnection(Protocol):
    """Who decides whether a session may begin, and is told that one has."""

    async def admit(self) -> None: ...

    def note_ready(self) -> None: ...


class DiscordClient(discord.Client):
    """Sends as soon as it is logged in; hands on, once connected, what arrives.

    `shard`: the number of the shard to listen to, and of how many. `trace` sees every call over HTTP.
    """

    def __init__(self, trace: aiohttp.TraceConfig, shard: tuple[int, int] | None = None) -> None:
        intents = discord.Intents(
            guilds=True,
            guild_messages=True,
            dm_messages=True,
            guild_reactions=True,
            dm_reactions=True,
            message_content=True,
        )
        super().__init__(
            intents=intents,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            max_messages=None,
            allowed_mentions=discord.AllowedMentions.none(),
            max_ratelimit_timeout=LONGEST_RATE_LIMIT_WAIT_SECONDS,
            guild_ready_timeout=GUILD_WAIT_SECONDS,
            # Frames as they are: the library's objects leave out what Events need.
            enable_debug_events=True,
            http_trace=trace,
            shard_id=None if shard is None else shard[0],
            shard_count=None if shard is None else shard[1],
        )
        self.session: WatchesConnection | None = None
        self.frames: TakesFrames | None = None
        self.interactions: TakesInteractions | None = None
        self.tree = _build_commands(self)

    async def close(self) -> None:
        # The library waits for more servers after READY, and would tell a loop that is gone.
        waiting: asyncio.Task[None] | None = getattr(self._connection, "_ready_task", None)
        if waiting is not None:
            waiting.cancel()
        await super().close()

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        if self.session is not None:
            await self.session.admit()

    async def on_ready(self) -> None:
        if self.session is not None:
            self.session.note_ready()

    async def on_socket_raw_receive(self, frame: str) -> None:
        if self.frames is not None:
            await self.frames.take_frame(frame)

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        clicked = (discord.InteractionType.component, discord.InteractionType.modal_submit)
        if self.interactions is not None and interaction.type in clicked:
            await self.interactions.take_click(interaction)

    async def on_error(self, event_method: str, /, *args: Any, **kwargs: Any) -> None:
        log.exception("discord_event_failed", handler=event_method)


def _build_commands(client: DiscordClient) -> app_commands.CommandTree[DiscordClient]:
    """/ask and /help, in servers and in DMs with the bot; not in places the bot itself cannot read."""
    tree: app_commands.CommandTree[DiscordClient] = app_commands.CommandTree(client)

    @tree.command(name="ask", description="Ask a question about your team's documents.")
    @app_commands.describe(question="What would you like to know?", private="Only you see the answer.")
    @app_commands.allowed_installs(guilds=True, users=False)
    @app_commands.allowed_contexts(guilds=True, dms=True, private_channels=False)
    async def ask(interaction: discord.Interaction, question: str, private: bool = False) -> None:
        if client.interactions is not None:
            await client.interactions.take_command(interaction)

    @tree.command(name="help", description="How to ask, and what I remember.")
    @app_commands.allowed_installs(guilds=True, users=False)
    @app_commands.allowed_contexts(guilds=True, dms=True, private_channels=False)
    async def show_help(interaction: discord.Interaction) -> None:
        if client.interactions is not None:
            await client.interactions.show_help(interaction)

    @tree.error
    async def note_error(interaction: discord.Interaction, error: app_commands.AppCommandError) -> None:
        log.error("discord_command_failed", error=type(error).__name__, exc_info=error)

    return tree
