"""Two processes with one Discord token: the owner is stopped and killed, and every question is answered once."""

from __future__ import annotations

import signal

import pytest

from bot.testing.discord_server import DiscordServer
from core.storage.database import Database
from tests.acceptance.installation import (
    Installation,
    Serving,
    eventually,
    inbox_states,
    settings_for_discord,
    until,
    until_all_is_done,
)

QUESTION = "How are hotels paid?"


def owner_of(server: DiscordServer, servings: list[Serving]) -> Serving:
    """The process that acquired the shard last."""
    acquired = [
        (line["fence"], serving)
        for serving in servings
        for line in serving.logged("lease_acquired")
        if line["lease"].startswith("discord ")
    ]
    return max(acquired, key=lambda entry: entry[0])[1]


async def ask_and_be_answered(server: DiscordServer) -> None:
    """A question that is answered, wherever it is taken in."""
    question = server.mention("alice", QUESTION)
    await until(lambda: any(reply["components"] for reply in server.replies_to(question)))


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_stopped_owner_is_replaced_and_a_killed_one_too(
    installation: Installation, database: Database
) -> None:
    async with DiscordServer() as server:
        installation.settings |= settings_for_discord(server)
        servings = [await installation.start(), await installation.start()]
        assert server.gateway.identifies == 1
        await ask_and_be_answered(server)

        first = owner_of(server, servings)
        first.process.send_signal(signal.SIGSTOP)
        # Nobody else hears this one: it is read back.
        await ask_and_be_answered(server)
        assert server.gateway.identifies == 2
        second = owner_of(server, servings)
        assert second is not first
        first.process.send_signal(signal.SIGCONT)
        await until(lambda: len(server.gateway.connected) == 1)
        await ask_and_be_answered(server)

        await second.kill()
        await ask_and_be_answered(server)
        assert server.gateway.identifies == 3
        await until_all_is_done(database)
        await eventually(lambda: all_answered(database, 4))
        assert len(server.visible(server.general)) == 4
        await first.stop()


async def all_answered(database: Database, count: int) -> bool:
    return await inbox_states(database) == [("done", "answered")] * count
