"""A channel of Discord is a source: what was said there before answers a question, and what its author wants
forgotten is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from bot.testing.discord_server import DiscordServer
from core.storage.database import Database
from tests.acceptance.installation import Installation, eventually, settings_for_discord, until

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
async def discord() -> AsyncIterator[DiscordServer]:
    async with DiscordServer() as server:
        yield server
        assert server.violations == []


async def test_what_was_said_in_a_channel_answers_until_it_is_forgotten(
    installation: Installation, own_database: Database, discord: DiscordServer
) -> None:
    place = f"discord:{discord.guild_id}/{discord.general}"
    ada = discord.world.user("ada")["id"]
    discord.world.add_message(discord.general, ada, "The sauna on the roof opens at seven in the evening.")
    settings = settings_for_discord(discord)
    settings["KNOWLEDGE"] = f"{installation.folder / 'handbook'}, {place}"

    async def stored(words: str) -> bool:
        rows = await own_database.run(
            text("select 1 from chunks where text like :words"), {"words": f"%{words}%"}
        )
        return bool(rows)

    async with installation.serving(**settings):
        await eventually(lambda: stored("sauna on the roof"))
        question = discord.mention("ben", "When does the sauna on the roof open?")
        await until(lambda: [m for m in discord.replies_to(question) if m["components"]])
        (answer,) = discord.replies_to(question)
        assert "seven in the evening" in answer["content"]
        discord.post_message("ada", "The sauna towels lie behind the door.")
        await eventually(lambda: stored("behind the door"))

        listed = await installation.run("sources", "--json", **settings)
        (source,) = (one for one in listed.lines()[0] if one["kind"] == "channel")
        assert (source["uri"], source["state"], source["error"]) == (place, "ok", None)
        found = await installation.run("search", "sauna towels", "--as", place, "--json", **settings)
        assert "behind the door" in found.out
        elsewhere = await installation.run("search", "sauna towels", "--json", **settings)
        assert "behind the door" not in elsewhere.out

        person = f"discord:{discord.guild_id}/{ada}"
        forgotten = await installation.run("forget", "user", person, "--yes", "--json", **settings)
        assert forgotten.lines()[0]["messages"] == 2
        assert not await stored("behind the door")
        assert not await stored("sauna on the roof")
