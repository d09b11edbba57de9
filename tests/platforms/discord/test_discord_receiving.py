"""What reaches the sink through the real library: places, threads, order, faults of the store and the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.discord.commands import NOT_TAKEN
from bot.discord.listening import DiscordLimits
from bot.testing.discord.faults import Fault
from bot.testing.discord_server import DiscordServer
from core.errors import SettingsError, StorageUnavailableError
from core.messages import Event, FeedbackGiven, MessageDeleted, MessageEdited, MessagePosted
from tests.contracts.adapter_harness import EventLog
from tests.contracts.test_adapter import answered, asked
from tests.platforms.discord.harness import DiscordHarness, make_adapter, open_harness


@pytest.fixture
async def harness() -> AsyncIterator[DiscordHarness]:
    async with open_harness() as opened:
        yield opened


async def posted(harness: DiscordHarness, message_id: str) -> MessagePosted:
    return await harness.log.next(MessagePosted, lambda event: event.message.id == message_id)


# --- places and threads ------------------------------------------------------------------------------


async def test_a_public_channel_is_public_and_a_closed_one_private(harness: DiscordHarness) -> None:
    closed = harness.server.add_channel("closed", private=True)
    public = await posted(harness, harness.server.mention("alice", "a"))
    private = await posted(harness, harness.server.mention("alice", "b", channel=closed))
    assert not public.message.thread.channel.private
    assert private.message.thread.channel.private


@pytest.mark.parametrize(("closed", "private"), [(False, False), (True, False), (False, True)])
async def test_a_thread_is_as_public_as_its_channel(
    harness: DiscordHarness, closed: bool, private: bool
) -> None:
    parent = harness.server.add_channel("parent", private=closed)
    thread = harness.server.create_thread("talk", parent=parent, private=private)
    event = await posted(harness, harness.server.post_message("alice", "and now?", channel=thread))
    assert event.addressing == "thread"
    assert event.message.thread.channel.private == (closed or private)
    assert event.message.thread.id == thread
    assert event.message.thread.audience.channel == parent


async def test_names_of_roles_and_channels_are_written_out(harness: DiscordHarness) -> None:
    server = harness.server
    text = f"who may post in <#{server.general}>? <@&{server.world.bot_role_id}>"
    event = await posted(harness, server.post_message("alice", text))
    assert event.addressing == "mention"
    assert event.message.text == "who may post in #general?"


async def test_the_thread_of_a_command_goes_on_in_replies(harness: DiscordHarness) -> None:
    server = harness.server
    command = server.slash_ask("alice", "What is it?")
    question = await posted(harness, command)
    answer = await answered(harness, question, "This.")
    for text in ("Why?", "Since when?", "Who says so?"):
        event = await posted(harness, server.reply("alice", text, to=answer))
        assert event.message.thread.key == question.message.thread.key
        answer = await answered(harness, event, f"Answer to {text}")


async def test_a_deep_thread_is_looked_up_at_most_once(harness: DiscordHarness) -> None:
    question = await asked(harness)
    answer = await answered(harness, question)
    for n in range(4):
        event = await posted(harness, harness.server.reply("alice", f"more {n}", to=answer))
        answer = await answered(harness, event)
    lookups = [call for call in harness.server.calls if call.method == "GET" and "/messages/" in call.path]
    assert lookups == []


async def test_a_reply_after_a_restart_still_finds_its_thread(harness: DiscordHarness) -> None:
    question = await asked(harness)
    answer = await answered(harness, question)
    first = await posted(harness, harness.server.reply("alice", "more", to=answer))
    second_answer = await answered(harness, first)
    await harness.adapter.aclose()
    log = EventLog()
    restarted = make_adapter(harness.server)
    await restarted.start(log.take)
    message_id = harness.server.reply("alice", "even more", to=second_answer)
    event = await log.next(MessagePosted, lambda e: e.message.id == message_id)
    await restarted.aclose()
    assert event.message.thread.key == question.message.thread.key


# --- edits, deletions, feedback ----------------------------------------------------------------------


async def test_a_link_preview_is_no_edit(harness: DiscordHarness) -> None:
    question = harness.server.dm("alice", "https://example.org")
    harness.server.show_preview(question)
    harness.server.edit(question, "changed")
    event = await harness.log.next(MessageEdited)
    assert event.message.text == "changed"
    assert sum(isinstance(e, MessageEdited) for e in harness.log.events) == 1


async def test_many_deletions_at_once_arrive_one_by_one(harness: DiscordHarness) -> None:
    ids = [harness.server.mention("alice", str(n)) for n in range(3)]
    harness.server.delete_many(ids)
    events = await harness.log.several(3, (MessageDeleted,))
    assert [event.message_id for event in events] == ids


async def test_thumbs_down_offers_a_comment(harness: DiscordHarness) -> None:
    server = harness.server
    answer = await answered(harness, await asked(harness))
    click = server.click_feedback("bob", answer, "down")
    await server.wait_until(lambda: server.interaction(click).form)
    form = server.submit_modal("bob", click, "It is out of date.")
    event = await harness.log.next(FeedbackGiven, lambda e: e.comment is not None)
    assert (event.comment, event.rating) == ("It is out of date.", -1)
    await server.wait_until(lambda: server.interaction(form).callback)
    assert len(server.ephemeral_to("bob")) == 1


async def test_thumbs_up_is_thanked_for_in_private(harness: DiscordHarness) -> None:
    server = harness.server
    answer = await answered(harness, await asked(harness))
    server.click_feedback("bob", answer, "up")
    await server.wait_until(lambda: server.ephemeral_to("bob"))


async def test_marks_of_bots_do_not_count(harness: DiscordHarness) -> None:
    answer = await answered(harness, await asked(harness))
    harness.server.react("robot", answer, "👍", bot=True)
    harness.server.react("bob", answer, "👎")
    event = await harness.log.next(FeedbackGiven)
    assert event.author.id == harness.author_id("bob")


async def test_custom_emoji_count_as_the_setting_says() -> None:
    async with DiscordServer() as server:
        log = EventLog()
        adapter = make_adapter(server, feedback_emoji="party_parrot=1")
        await adapter.start(log.take)
        answer = server.world.add_message(server.general, server.bot_id, "An answer.")
        server.react("bob", answer["id"], "party_parrot")
        event = await log.next(FeedbackGiven)
        assert (event.symbol, event.rating) == ("party_parrot", 1)
        await adapter.aclose()


# --- commands ----------------------------------------------------------------------------------------


async def test_the_commands_are_published_with_their_options(harness: DiscordHarness) -> None:
    commands = {command["name"]: command for command in harness.server.rest.commands}
    assert set(commands) == {"ask", "help"}
    assert [option["name"] for option in commands["ask"]["options"]] == ["question", "private"]
    assert commands["ask"]["integration_types"] == [0]
    assert sorted(commands["ask"]["contexts"]) == [0, 1]


async def test_a_command_is_stored_before_it_is_acknowledged() -> None:
    async with DiscordServer() as server:
        stored, release = asyncio.Event(), asyncio.Event()

        async def slow_sink(event: Event) -> bool:
            stored.set()
            await release.wait()
            return True

        adapter = make_adapter(server)
        await adapter.start(slow_sink)
        command = server.slash_ask("alice", "What?")
        await asyncio.wait_for(stored.wait(), 5)
        assert server.interaction(command).callback is None
        release.set()
        assert await server.wait_until(lambda: server.interaction(command).callback) == 5
        await adapter.aclose()


async def test_leaving_acknowledges_a_command_that_is_being_stored() -> None:
    async with DiscordServer() as server:
        stored, release = asyncio.Event(), asyncio.Event()

        async def slow_sink(event: Event) -> bool:
            stored.set()
            await release.wait()
            return True

        adapter = make_adapter(server)
        await adapter.start(slow_sink)
        command = server.slash_ask("alice", "What?")
        await asyncio.wait_for(stored.wait(), 5)
        leaving = asyncio.create_task(adapter.aclose())
        release.set()
        await asyncio.wait_for(leaving, 5)
        assert server.interaction(command).callback == 5


@pytest.mark.parametrize("private", [True, False])
async def test_only_a_private_command_is_acknowledged_in_private(
    harness: DiscordHarness, private: bool
) -> None:
    command = harness.server.slash_ask("alice", "What?", private=private)
    await harness.server.wait_until(lambda: harness.server.interaction(command).callback)
    assert harness.server.interaction(command).ephemeral == private


async def test_a_command_that_cannot_be_stored_is_refused_aloud() -> None:
    async with DiscordServer() as server:

        async def broken_sink(event: Event) -> bool:
            raise StorageUnavailableError("away")

        adapter = make_adapter(server)
        await adapter.start(broken_sink)
        server.slash_ask("alice", "What?")
        (message,) = await server.wait_until(lambda: server.ephemeral_to("alice"))
        assert message["content"] == NOT_TAKEN
        await adapter.aclose()


async def test_help_is_shown_to_the_asker(harness: DiscordHarness) -> None:
    harness.server.slash("help", "alice")
    (message,) = await harness.server.wait_until(lambda: harness.server.ephemeral_to("alice"))
    assert "/ask" in message["content"]


# --- faults ------------------------------------------------------------------------------------------


async def test_events_wait_for_a_store_that_is_away_and_keep_their_order() -> None:
    async with DiscordServer() as server:
        log, attempts = EventLog(), 0

        async def sink(event: Event) -> bool:
            nonlocal attempts
            attempts += 1
            if attempts <= 2:
                raise StorageUnavailableError("away")
            return await log.take(event)

        adapter = make_adapter(server)
        await adapter.start(sink)
        ids = [server.dm("alice", text) for text in ("one", "two", "three")]
        events = await log.several(3, (MessagePosted,))
        assert [event.message.id for event in events] == ids
        await adapter.aclose()


async def test_a_dropped_connection_is_resumed_and_loses_nothing(harness: DiscordHarness) -> None:
    server = harness.server
    await server.gateway.drop_connections()
    ids = [server.mention("alice", f"question {n}") for n in range(5)]
    events = await harness.log.several(5, (MessagePosted,), timeout_seconds=20)
    assert [event.message.id for event in events] == ids
    assert server.gateway.identifies == 1
    assert server.gateway.resumes >= 1


async def test_a_silent_gateway_is_not_receiving() -> None:
    async with DiscordServer(heartbeat_seconds=0.2) as server:
        adapter = make_adapter(server, limits=DiscordLimits(longest_silence_seconds=0.3))
        await adapter.start(EventLog().take)
        assert adapter.is_receiving()
        server.gateway.heartbeats_answered = False
        async with asyncio.timeout(10):
            while adapter.is_receiving():  # noqa: ASYNC110 - there is nothing to be told by
                await asyncio.sleep(0.05)
        await adapter.aclose()


async def test_a_refused_token_names_the_setting() -> None:
    async with DiscordServer() as server:
        server.token = "another.token"
        adapter = make_adapter(server)
        with pytest.raises(SettingsError) as refused:
            await adapter.open()
        assert refused.value.setting == "DISCORD_TOKEN"
        await adapter.aclose()


async def test_a_missing_intent_names_the_remedy() -> None:
    async with DiscordServer() as server:
        server.gateway.message_content_allowed = False
        adapter = make_adapter(server)
        with pytest.raises(SettingsError, match="Message Content Intent"):
            await adapter.start(EventLog().take)
        assert not adapter.is_receiving()
        await adapter.aclose()


async def test_commands_that_cannot_be_published_keep_nobody_from_asking() -> None:
    async with DiscordServer() as server:
        server.fail(Fault(r"^PUT /applications/", status=403))
        log = EventLog()
        adapter = make_adapter(server)
        await adapter.start(log.take)
        server.mention("alice", "hello")
        await log.next(MessagePosted)
        await adapter.aclose()


async def test_a_hundred_questions_at_once_all_arrive(harness: DiscordHarness) -> None:
    ids = {harness.server.mention(f"user{n}", f"question {n}") for n in range(100)}
    events = await harness.log.several(100, (MessagePosted,))
    assert {event.message.id for event in events} == ids


async def test_a_message_that_comes_before_its_server_is_known_waits_for_it() -> None:
    async with DiscordServer() as server:
        server.gateway.guild_is_late = True
        log = EventLog()
        adapter = make_adapter(server)
        await adapter.start(log.take)
        thread = server.world.add_thread(server.general, "talk")
        server.post_message("alice", "and now?", channel=thread)
        server.gateway.send_guild()
        event = await log.next(MessagePosted)
        assert event.message.thread.id == thread
        assert not event.message.thread.channel.private
        await adapter.aclose()


async def test_a_crash_loop_stops_before_the_sessions_are_used_up() -> None:
    async with DiscordServer() as server:
        server.rest.session_limit = 40
        adapter = make_adapter(server)
        await adapter.start(EventLog().take)
        assert not adapter.is_receiving()
        assert "only 40 gateway sessions are left" in adapter.why_deaf()
        assert server.gateway.identifies == 0
        await adapter.aclose()
