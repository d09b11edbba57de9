"""A Slack channel as a source: its history as far as Slack lets an app read, what is said from then on, what is
changed and what is deleted; and nobody finds what they could not read there."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.slack.adapter import SlackAdapter
from bot.testing.slack import SlackServer
from bot.testing.slack.limits import ReadingLimit
from core.messages import MessageDeleted, MessageEdited
from core.storage.database import Database
from tests.platforms.channel_ground import ChannelGround
from tests.platforms.slack.harness import settings_for

TEAM, CHANNEL, PRIVATE, ELSEWHERE = "T0LOOP", "C0OPS", "G0BOARD", "C0LUNCH"


@pytest.fixture
async def slack() -> AsyncIterator[SlackServer]:
    async with SlackServer() as server:
        yield server


@pytest.fixture
def ground(database: Database) -> ChannelGround:
    return ChannelGround(database, f"slack:{TEAM}/{CHANNEL}")


@pytest.fixture
async def adapter(slack: SlackServer, ground: ChannelGround) -> AsyncIterator[SlackAdapter]:
    adapter = SlackAdapter(settings_for(slack))
    await adapter.start(ground.take)
    yield adapter
    await adapter.aclose()


async def find(ground: ChannelGround, question: str, channel: str = ELSEWHERE, workspace: str = TEAM) -> str:
    return await ground.find(question, channel=channel, workspace=workspace, platform="slack")


async def test_a_thread_of_the_history_is_a_document_and_the_rest_of_a_day_another(
    slack: SlackServer, adapter: SlackAdapter, ground: ChannelGround
) -> None:
    root = await slack.post_message("UADA", CHANNEL, "The pager rings at night, what now?")
    await slack.post_message("UBEN", CHANNEL, "Restart the mail relay.", root)
    await slack.post_message(
        "UBOT", CHANNEL, "Relay build 7 failed", root, subtype="bot_message", bot_id="B7"
    )
    await slack.mention("UADA", CHANNEL, "where is the relay?")
    await slack.post_message("UCLEO", CHANNEL, "Lunch is at noon.")
    await ground.until_whole(await ground.upkeep(adapter))
    found = await find(ground, "restart mail relay")
    assert "#c0ops: The pager rings at night, what now?" in found
    assert f"https://loopback.slack.com/archives/{CHANNEL}/p{root.replace('.', '')}" in found
    assert "**UBEN**" in found
    assert "build 7" not in await ground.stored()
    assert "where is the relay" not in await ground.stored()
    source = await ground.source()
    assert (source.documents, source.kind, source.state, source.error) == (2, "channel", "ok", None)


async def test_the_strictest_limits_only_make_it_slower_and_a_new_process_goes_on(
    slack: SlackServer, adapter: SlackAdapter, ground: ChannelGround
) -> None:
    texts = [f"Rule {n} of the house is to be kind." for n in range(4)]
    for said in texts:
        await slack.post_message("UADA", CHANNEL, said)
    slack.api.reading_limit = ReadingLimit(window_seconds=3600.0, most_objects=2)
    await ground.upkeep(adapter)
    (history,) = await ground.said.histories()
    assert history.cursor is not None
    assert not history.is_whole
    assert texts[3] in await find(ground, texts[3])
    assert (await ground.source()).error == "The history of the channel is still being read."
    assert texts[0] not in await ground.stored()
    other = SlackAdapter(settings_for(slack))
    slack.api.reading_limit = ReadingLimit(window_seconds=0.0, most_objects=2)
    await ground.said.note_history(history, next_read_seconds=0.0)  # the hour is over
    await ground.until_whole(await ground.upkeep(other))
    await other.aclose()
    stored = await ground.stored()
    assert all(said in stored for said in texts)


async def test_what_is_said_changed_and_deleted_is_followed(
    slack: SlackServer, adapter: SlackAdapter, ground: ChannelGround
) -> None:
    slack.channel(CHANNEL)
    upkeep = await ground.upkeep(adapter)
    await ground.until_whole(upkeep)
    root = await slack.post_message("UADA", CHANNEL, "Parking is on level four.")
    await slack.post_message("UBEN", CHANNEL, "Level five is for guests.", root)
    await slack.post_message("UBEN", ELSEWHERE, "Parking is a secret elsewhere.")
    await slack.settled()
    await upkeep.work()
    assert "level four" in await find(ground, "parking level")
    assert "secret" not in await ground.stored()
    await slack.edit(CHANNEL, root, "Parking is on level six.")
    await ground.until(lambda event: isinstance(event, MessageEdited) and "six" in event.message.text)
    await upkeep.work()
    assert "level six" in await find(ground, "parking level")
    assert "level four" not in await ground.stored()
    await slack.delete(CHANNEL, root)
    await ground.until(lambda event: isinstance(event, MessageDeleted))
    assert "level six" not in await ground.stored()  # at once, before anything is taken in again
    await upkeep.work()
    assert "level six" not in await ground.stored()
    assert "Level five is for guests." in await find(ground, "level guests")


async def test_only_who_can_read_the_channel_finds_it(slack: SlackServer, database: Database) -> None:
    ground = ChannelGround(database, f"slack:{TEAM}/{PRIVATE}")
    adapter = SlackAdapter(settings_for(slack))
    await adapter.start(ground.take)
    await slack.post_message("UADA", PRIVATE, "The budget is forty thousand.")
    await ground.until_whole(await ground.upkeep(adapter))
    assert "forty thousand" in await find(ground, "what is the budget", PRIVATE)
    assert await find(ground, "what is the budget", ELSEWHERE) == ""
    assert await find(ground, "what is the budget", PRIVATE, workspace="TOTHER") == ""
    await adapter.aclose()


async def test_a_channel_that_becomes_private_is_granted_to_its_workspace_no_longer(
    slack: SlackServer, adapter: SlackAdapter, ground: ChannelGround
) -> None:
    await slack.post_message("UADA", CHANNEL, "The launch is in May.")
    upkeep = await ground.upkeep(adapter)
    await ground.until_whole(upkeep)
    assert "May" in await find(ground, "launch")
    slack.channel(CHANNEL).kind = "group"
    await upkeep.work()
    assert await find(ground, "launch") == ""
    assert "May" in await find(ground, "launch", CHANNEL)


async def test_what_keeps_a_channel_from_being_read_is_shown_with_the_source(
    slack: SlackServer, adapter: SlackAdapter, database: Database
) -> None:
    ground = ChannelGround(database, f"slack:{TEAM}/C0NOWHERE")
    await ground.upkeep(adapter)
    source = await ground.source()
    assert source.state == "incomplete"
    assert source.error is not None
    assert "invite it" in source.error
