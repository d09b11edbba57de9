"""The two loopback platforms as a crash test sees them: ask, look at what is visible, keep answers back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from bot.testing import discord_server
from bot.testing.discord.faults import Fault as DiscordFault
from bot.testing.slack import Fault as SlackFault
from bot.testing.slack import SlackServer
from tests.acceptance.installation import PATIENCE_SECONDS, settings_for_discord

CHANNEL = "C1"
POST = r"^POST /channels/\d+/messages$"


@dataclass(frozen=True)
class Visible:
    """A message of the bot that stands there. `is_whole`: sources and buttons are under it."""

    id: str
    text: str
    is_whole: bool


class Platform(Protocol):
    """One loopback platform."""

    def environment(self) -> dict[str, str]: ...

    async def ask(self, text: str) -> str:
        """Put a question by mention; returns its message id."""
        ...

    def visible(self) -> list[Visible]:
        """Everything that the bot shows anywhere, oldest first."""
        ...

    def answers(self, question: str) -> list[Visible]:
        """What the bot shows as reply to this question."""
        ...

    def refuse_streams(self) -> None:
        """From now on an answer can be posted only when it is whole."""
        ...

    def keep_back_posts(self) -> asyncio.Event:
        """From now on new messages are accepted, and the bot is not told so before the event is set."""
        ...

    def keep_back_last_changes(self) -> asyncio.Event:
        """The same for the change that makes a message whole: the last edit, the end of a stream."""
        ...

    async def taken_in(self) -> None:
        """Wait until the bot has acknowledged all that it was told, where the platform asks for that."""
        ...


class Slack:
    """Implements Platform over Socket Mode."""

    def __init__(self, server: SlackServer) -> None:
        self.server = server

    def environment(self) -> dict[str, str]:
        return self.server.environment()

    async def ask(self, text: str) -> str:
        return await self.server.mention("U1", CHANNEL, text)

    def visible(self) -> list[Visible]:
        bot = self.server.workspace.bot_user_id
        return [
            Visible(m.ts, m.markdown, not m.is_streaming and m.block("context_actions") is not None)
            for m in self.server.channel(CHANNEL).messages.values()
            if m.user == bot and not m.deleted
        ]

    def answers(self, question: str) -> list[Visible]:
        ids = {message.ts for message in self.server.replies(CHANNEL, question)}
        return [message for message in self.visible() if message.id in ids]

    def refuse_streams(self) -> None:
        self.server.faults.order_for_good("chat.startStream", SlackFault(error="feature_not_enabled"))
        # The beginning would be posted instead: it is told to wait, and the whole answer is there before.
        self.server.faults.order("chat.postMessage", SlackFault(retry_after_seconds=2))

    def keep_back_posts(self) -> asyncio.Event:
        return self._keep_back("chat.postMessage", "chat.startStream")

    def keep_back_last_changes(self) -> asyncio.Event:
        return self._keep_back("chat.update", "chat.stopStream")

    def _keep_back(self, *methods: str) -> asyncio.Event:
        held = asyncio.Event()
        for method in methods:
            self.server.faults.order_for_good(method, SlackFault(held=held))
        return held

    async def taken_in(self) -> None:
        await self.server.settled(PATIENCE_SECONDS)


class Discord:
    """Implements Platform."""

    def __init__(self, server: discord_server.DiscordServer) -> None:
        self.server = server

    def environment(self) -> dict[str, str]:
        return settings_for_discord(self.server)

    async def ask(self, text: str) -> str:
        return self.server.mention("ada", text)

    def visible(self) -> list[Visible]:
        messages = self.server.visible(self.server.general)
        return [Visible(m["id"], m["content"], bool(m["components"])) for m in messages]

    def answers(self, question: str) -> list[Visible]:
        ids = {message["id"] for message in self.server.replies_to(question)}
        return [message for message in self.visible() if message.id in ids]

    def refuse_streams(self) -> None:
        # What is not whole yet has no buttons.
        self.server.fail(DiscordFault(POST, status=400, times=1000, body=r'"components": \[\]'))

    def keep_back_posts(self) -> asyncio.Event:
        return self._keep_back(POST)

    def keep_back_last_changes(self) -> asyncio.Event:
        return self._keep_back(r"^PATCH .*/messages/", r'"components": \[\{')

    def _keep_back(self, route: str, body: str = "") -> asyncio.Event:
        held = asyncio.Event()
        self.server.fail(DiscordFault(route, body=body, times=1000, held=held))
        return held

    async def taken_in(self) -> None:
        """The gateway knows no acknowledgement."""


@asynccontextmanager
async def open_platforms() -> AsyncIterator[list[Platform]]:
    """Fresh loopback servers of every kind."""
    async with SlackServer() as slack, discord_server.DiscordServer() as discord:
        yield [Slack(slack), Discord(discord)]
