"""What Discord refuses: no permission, no token, no server any more. We stop asking, and say so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bot.adapter import ForbiddenError, RateLimitedError, UnauthorizedError
from bot.discord.ban_guard import BanLimits
from bot.discord.listening import DiscordLimits
from bot.testing.discord.faults import Fault
from bot.testing.discord_server import DiscordServer
from core.messages import MessagePosted
from core.testing.making import make_number
from tests.contracts.adapter_harness import EventLog
from tests.contracts.test_adapter import delivery_of
from tests.platforms.discord.harness import POST, make_adapter, make_coordination
from tests.platforms.discord.test_discord_shards import until


class Ground:
    """One adapter that receives and sends, and the questions that it received."""

    def __init__(self, server: DiscordServer, limits: DiscordLimits | None = None) -> None:
        self.server = server
        self.log = EventLog()
        self.adapter = make_adapter(server, limits=limits)

    async def asked(self, channel: str | None = None) -> MessagePosted:
        id_ = self.server.mention("alice", f"What is {make_number()}?", channel=channel)
        return await self.log.next(MessagePosted, lambda e: e.message.id == id_)

    async def answer(self, question: MessagePosted, text: str = "An answer.") -> str:
        return await self.adapter.post(delivery_of(question, self.adapter.render_notice(text)))


@pytest.fixture
async def ground() -> AsyncIterator[Ground]:
    async with DiscordServer() as server:
        opened = Ground(server)
        await opened.adapter.start(opened.log.take)
        yield opened
        await opened.adapter.aclose()


async def test_a_channel_that_refuses_three_times_is_left_alone_and_the_others_are_not(
    ground: Ground,
) -> None:
    server = ground.server
    channels = [server.add_channel(f"closed {n}") for n in range(20)]
    questions = [await ground.asked(channel) for channel in channels]
    open_question = await ground.asked()
    server.rest.forbidden_channels.update(channels)
    for _ in range(10):
        for question in questions:
            with pytest.raises(ForbiddenError):
                await ground.answer(question)
    assert len(server.rest.refused) == 3 * len(channels)
    await ground.answer(open_question)


async def test_a_channel_that_was_left_alone_is_tried_again_after_a_while() -> None:
    async with DiscordServer() as server:
        ground = Ground(server, DiscordLimits(bans=BanLimits(channel_pause_seconds=0.3)))
        await ground.adapter.start(ground.log.take)
        question = await ground.asked()
        server.rest.forbidden_channels.add(server.general)
        for _ in range(5):
            with pytest.raises(ForbiddenError):
                await ground.answer(question)
        server.rest.forbidden_channels.clear()
        await asyncio.sleep(0.35)
        await ground.answer(question)
        await ground.adapter.aclose()


async def test_a_refused_token_stops_everything_and_says_why(ground: Ground) -> None:
    server, question = ground.server, await ground.asked()
    server.fail(Fault(".", status=401, times=1000))
    for _ in range(20):
        with pytest.raises(UnauthorizedError):
            await ground.answer(question)
    assert len(server.rest.refused) == 1
    await until(lambda: not server.gateway.connected)
    assert not ground.adapter.is_receiving()
    assert "Discord refuses this token" in ground.adapter.why_deaf()
    identifies = server.gateway.identifies
    server.heal()
    await asyncio.sleep(1.2)
    assert server.gateway.identifies == identifies


async def test_all_processes_together_stay_far_below_the_ban() -> None:
    limits = DiscordLimits(bans=BanLimits(at_most=30, per_channel=1000))
    async with DiscordServer() as server:
        shared = make_coordination()
        ground = Ground(server)
        await ground.adapter.start(ground.log.take)
        question = await ground.asked()
        server.rest.forbidden_channels.add(server.general)
        senders = [make_adapter(server, shared, limits) for _ in range(3)]
        for sender in senders:
            await sender.open()
        for _ in range(40):
            for sender in senders:
                with pytest.raises((ForbiddenError, RateLimitedError)):
                    await sender.post(delivery_of(question, sender.render_notice("No.")))
                await asyncio.sleep(0)
        # Each process learns of the limit by one refusal of its own.
        assert 30 <= len(server.rest.refused) <= 30 + 2 * len(senders)
        for adapter in (*senders, ground.adapter):
            await adapter.aclose()


# --- a server that the bot was removed from ----------------------------------------------------------


async def test_nothing_is_sent_any_more_to_a_server_that_removed_the_bot(ground: Ground) -> None:
    server, question = ground.server, await ground.asked()
    in_private = server.dm("bob", "And me?")
    direct = await ground.log.next(MessagePosted, lambda e: e.message.id == in_private)
    server.remove_bot()
    await asyncio.sleep(0.2)
    calls = len(server.calls)
    with pytest.raises(ForbiddenError):
        await ground.answer(question)
    with pytest.raises(ForbiddenError):
        await ground.adapter.delete(question.message.thread.channel, "1")
    assert len(server.calls) == calls
    await ground.answer(direct)


async def test_an_outage_of_a_server_is_no_removal(ground: Ground) -> None:
    question = await ground.asked()
    ground.server.gateway.dispatch("GUILD_DELETE", {"id": ground.server.guild_id, "unavailable": True})
    await asyncio.sleep(0.2)
    await ground.answer(question)


async def test_a_server_that_takes_the_bot_back_is_answered_again(ground: Ground) -> None:
    server, question = ground.server, await ground.asked()
    server.remove_bot()
    await asyncio.sleep(0.2)
    server.world.has_bot = True
    server.gateway.send_guild()
    await asyncio.sleep(0.2)
    await ground.answer(question)


# --- commands whose token is over --------------------------------------------------------------------


async def commanded(ground: Ground, *, private: bool = False) -> MessagePosted:
    command = ground.server.slash_ask("alice", "What is it?", private=private)
    event = await ground.log.next(MessagePosted, lambda e: e.message.id == command)
    await ground.server.wait_until(lambda: ground.server.interaction(command).callback)
    return event


async def test_where_the_bot_may_not_speak_a_late_answer_goes_to_the_asker(ground: Ground) -> None:
    server, question = ground.server, await commanded(ground)
    server.expire_interactions()
    server.rest.forbidden_channels.add(server.general)
    await ground.answer(question, "Late, but here.")
    assert [m["content"] for m in server.visible(server.dm_channel("alice"))] == ["Late, but here."]


async def test_a_private_answer_that_is_being_shown_when_the_token_ends_is_shown_whole(
    ground: Ground,
) -> None:
    server, question = ground.server, await commanded(ground, private=True)
    half = delivery_of(question, ground.adapter.render_notice("Half"))
    message_id = await ground.adapter.post(half)
    server.expire_interactions()
    whole = half.model_copy(update={"rendered": ground.adapter.render_notice("Half and half.")})
    await ground.adapter.edit(whole, message_id)
    await ground.adapter.edit(whole, message_id)
    assert [m["content"] for m in server.visible(server.dm_channel("alice"))] == ["Half and half."]


async def test_where_the_bot_may_not_speak_further_parts_go_through_the_token(ground: Ground) -> None:
    server, question = ground.server, await commanded(ground)
    first = delivery_of(question, ground.adapter.render_notice("One."))
    await ground.adapter.post(first)
    server.rest.forbidden_channels.add(server.general)
    second = delivery_of(question, ground.adapter.render_notice("Two."), part=1)
    await ground.adapter.post(second)
    assert [m["content"] for m in server.visible(server.general)] == ["One.", "Two."]


# --- content that is withheld ------------------------------------------------------------------------


async def test_a_message_whose_content_is_withheld_is_not_answered(ground: Ground) -> None:
    server = ground.server
    answer = await ground.answer(await ground.asked())
    withheld = server.world.add_message(
        server.general, server.world.user("alice")["id"], "", reference=answer
    )
    server.rest.dispatch_message("MESSAGE_CREATE", withheld)
    picture = server.world.add_message(
        server.general,
        server.world.user("alice")["id"],
        "",
        reference=answer,
        attachments=[{"id": "1", "filename": "cat.png", "size": 1, "url": "", "proxy_url": ""}],
    )
    server.rest.dispatch_message("MESSAGE_CREATE", picture)
    event = await ground.log.next(MessagePosted, lambda e: e.message.id == picture["id"])
    assert event.addressing == "mention"
    assert all(e.message.id != withheld["id"] for e in ground.log.events if isinstance(e, MessagePosted))


async def test_repeated_rate_limits_are_counted(ground: Ground) -> None:
    question = await ground.asked()
    ground.server.fail(replace(Fault(POST, status=429), retry_after_seconds=0.01, times=2))
    await ground.answer(question)
    assert [status for status, _ in ground.server.rest.refused] == [429, 429]
