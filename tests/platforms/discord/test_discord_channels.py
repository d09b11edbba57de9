"""A Discord channel as a source: its messages and its public threads, at work or archived; what is said from then
on, what is changed and what is deleted; and nobody finds what they could not read there."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.discord.adapter import DiscordAdapter
from bot.testing.discord_server import DiscordServer
from core.messages import MessageDeleted, MessageEdited, MessagePosted
from core.storage.database import Database
from tests.platforms.channel_ground import ChannelGround
from tests.platforms.discord.harness import make_adapter


@pytest.fixture
async def discord() -> AsyncIterator[DiscordServer]:
    async with DiscordServer() as server:
        yield server
        assert server.violations == []


@pytest.fixture
def ground(database: Database, discord: DiscordServer) -> ChannelGround:
    return ChannelGround(database, f"discord:{discord.guild_id}/{discord.general}")


@pytest.fixture
async def adapter(discord: DiscordServer, ground: ChannelGround) -> AsyncIterator[DiscordAdapter]:
    adapter = make_adapter(discord)
    await adapter.start(ground.take)
    yield adapter
    await adapter.aclose()


async def find(ground: ChannelGround, discord: DiscordServer, question: str, channel: str = "1") -> str:
    return await ground.find(question, channel=channel, workspace=discord.guild_id, platform="discord")


async def test_messages_and_public_threads_of_the_history_are_read(
    discord: DiscordServer, adapter: DiscordAdapter, ground: ChannelGround
) -> None:
    for n in range(120):
        discord.world.add_message(discord.general, discord.world.user("ada")["id"], f"Chat number {n}.")
    root = discord.post_message("ada", "The printer jams, what now?")
    thread = discord.create_thread("printer", starter=root)
    discord.post_message("ben", "Open the rear tray.", channel=thread)
    old = discord.create_thread("scanner")
    discord.post_message("ben", "The scanner needs paper of weight ninety.", channel=old)
    discord.world.channels[old]["thread_metadata"]["archived"] = True
    hidden = discord.create_thread("salaries", private=True)
    discord.post_message("ada", "Salaries rise by nine percent.", channel=hidden)
    discord.post_message("build", "Build failed loudly", bot=True)
    discord.mention("ada", "where is the tray?")
    await ground.until_whole(await ground.upkeep(adapter))
    found = await find(ground, discord, "printer rear tray")
    assert "#general: The printer jams, what now?" in found
    assert "Open the rear tray." in found
    assert f"https://discord.com/channels/{discord.guild_id}/{discord.general}/{root}" in found
    assert "weight ninety" in await find(ground, discord, "scanner paper weight")
    stored = await ground.stored()
    assert "Chat number 0." in stored
    assert not any(secret in stored for secret in ("nine percent", "Build failed", "where is the tray"))


async def test_what_is_said_changed_and_deleted_is_followed(
    discord: DiscordServer, adapter: DiscordAdapter, ground: ChannelGround
) -> None:
    upkeep = await ground.upkeep(adapter)
    await ground.until_whole(upkeep)
    elsewhere = discord.add_channel("elsewhere")
    thread, hidden = discord.create_thread("parking"), discord.create_thread("hidden", private=True)
    discord.post_message("ben", "Parking is a secret elsewhere.", channel=elsewhere)
    discord.post_message("ben", "Parking is whispered about.", channel=hidden)
    said = discord.post_message("ada", "Parking is on level four.", channel=thread)
    discord.post_message("ben", "Level five is for guests.", channel=thread)
    await ground.until(lambda event: isinstance(event, MessagePosted) and "guests" in event.message.text)
    await upkeep.work()
    assert "level four" in await find(ground, discord, "parking level")
    discord.edit(said, "Parking is on level six.")
    await ground.until(lambda event: isinstance(event, MessageEdited) and "six" in event.message.text)
    await upkeep.work()
    assert "level six" in await find(ground, discord, "parking level")
    stored = await ground.stored()
    assert not any(word in stored for word in ("level four", "secret", "whispered"))
    discord.delete(said)
    await ground.until(lambda event: isinstance(event, MessageDeleted))
    assert "level six" not in await ground.stored()  # at once, before anything is taken in again
    await upkeep.work()
    assert "level six" not in await ground.stored()
    assert "Level five is for guests." in await find(ground, discord, "level guests")


async def test_only_who_can_read_the_channel_finds_it(discord: DiscordServer, database: Database) -> None:
    board = discord.world.add_channel("board", private=True)
    ground = ChannelGround(database, f"discord:{discord.guild_id}/{board}")
    adapter = make_adapter(discord)
    await adapter.start(ground.take)
    discord.post_message("ada", "The budget is forty thousand.", channel=board)
    await ground.until_whole(await ground.upkeep(adapter))
    assert "forty thousand" in await find(ground, discord, "what is the budget", board)
    assert await find(ground, discord, "what is the budget", discord.general) == ""
    await adapter.aclose()


async def test_a_thread_cannot_be_a_source(
    discord: DiscordServer, adapter: DiscordAdapter, database: Database
) -> None:
    thread = discord.create_thread("printer")
    ground = ChannelGround(database, f"discord:{discord.guild_id}/{thread}")
    await ground.upkeep(adapter)
    assert (await ground.source()).state == "incomplete"
