"""Discord for the adapter contract: the loopback server, an adapter that receives and one that only sends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from bot.adapter import Adapter
from bot.discord.adapter import DiscordAdapter
from bot.discord.listening import Coordination, DiscordLimits
from bot.discord.settings import DiscordSettings
from bot.metrics import Metrics
from bot.testing.discord.faults import Fault
from bot.testing.discord_server import DiscordServer
from core.testing.leases import InMemoryAllowances, InMemoryLeases
from core.testing.positions import InMemoryChannelPositions
from tests.contracts.adapter_harness import EventLog, Shown

POST = r"^POST /channels/\d+/messages$"


def settings_for(server: DiscordServer, **more: str) -> DiscordSettings:
    return DiscordSettings.model_validate(
        {
            "discord_token": server.token,
            "discord_api_url": server.api_url,
            "discord_gateway_url": server.gateway_url,
            **more,
        }
    )


def make_coordination() -> Coordination:
    """What the processes of one token share, within one process."""
    return Coordination(InMemoryLeases(), InMemoryAllowances(), InMemoryChannelPositions())


def make_adapter(
    server: DiscordServer,
    coordination: Coordination | None = None,
    limits: DiscordLimits | None = None,
    metrics: Metrics | None = None,
    **more: str,
) -> DiscordAdapter:
    """An adapter on the loopback server; alone, unless it shares the coordination of another."""
    return DiscordAdapter(
        settings_for(server, **more), coordination or make_coordination(), metrics, limits=limits
    )


class DiscordHarness:
    """Implements AdapterHarness."""

    def __init__(self, server: DiscordServer, adapter: Adapter, sender: Adapter) -> None:
        self.server = server
        self.adapter = adapter
        self.sender = sender
        self.log = EventLog()
        self.limit = 2000

    async def ask(self, author: str, text: str, *, bot: bool = False) -> str:
        return self.server.mention(author, text, bot=bot)

    async def ask_directly(self, author: str, text: str) -> str:
        return self.server.dm(author, text)

    async def follow_up(self, author: str, text: str, question: str, answer: str) -> str:
        return self.server.reply(author, text, to=answer)

    async def chat(self, author: str, text: str) -> str:
        return self.server.post_message(author, text)

    async def edit(self, message_id: str, text: str) -> None:
        self.server.edit(message_id, text)

    async def delete(self, message_id: str) -> None:
        self.server.delete(message_id)

    async def react(self, author: str, message_id: str, emoji: Literal["👍", "👎"]) -> None:
        self.server.react(author, message_id, emoji)

    async def unreact(self, author: str, message_id: str, emoji: Literal["👍", "👎"]) -> None:
        self.server.unreact(author, message_id, emoji)

    async def click(self, author: str, message_id: str, mark: Literal["up", "down"]) -> None:
        self.server.click_feedback(author, message_id, mark)

    def author_id(self, name: str) -> str:
        return str(self.server.world.user(name)["id"])

    def shown(self) -> list[Shown]:
        messages = [m for channel in self.server.world.channels for m in self.server.visible(channel)]
        return [Shown(str(m["id"]), str(m["content"])) for m in sorted(messages, key=lambda m: int(m["id"]))]

    def notified(self) -> list[str]:
        return [whom for _, whom in self.server.world.pings]

    def lose_next_reply(self) -> None:
        self.server.fail(Fault(POST, status=None, accepted=True))

    def forbid_posting(self) -> None:
        self.server.rest.forbidden_channels.add(self.server.general)

    def refuse_token(self) -> None:
        self.server.fail(Fault(".", status=401, times=1000))


@asynccontextmanager
async def open_harness() -> AsyncIterator[DiscordHarness]:
    """A new server for each test: nothing is left of the one before."""
    async with DiscordServer() as server:
        adapter, sender = (make_adapter(server) for _ in range(2))
        harness = DiscordHarness(server, adapter, sender)
        await sender.open()
        await adapter.start(harness.log.take)
        try:
            yield harness
            assert server.violations == []
        finally:
            await adapter.aclose()
            await sender.aclose()
