"""What leaves through the real library: commands and their 15 minutes, faults between accepting and replying."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bot.adapter import RateLimitedError, Rendered, UnavailableError, UndecidableError
from bot.testing.discord.faults import Fault
from core.answers import Answer, turn_id_for
from core.messages import MessagePosted
from tests.contracts.test_adapter import answered, asked, delivery_of, target_of
from tests.platforms.discord.harness import POST, DiscordHarness, make_adapter, open_harness

LONG = "A sentence of the answer. " * 150


@pytest.fixture
async def harness() -> AsyncIterator[DiscordHarness]:
    async with open_harness() as opened:
        yield opened


async def commanded(
    harness: DiscordHarness, *, private: bool = False, acknowledged: bool = True, channel: str | None = None
) -> MessagePosted:
    """A question by command, as it arrived."""
    server = harness.server
    command = server.slash_ask("alice", "What is it?", private=private, channel=channel)
    event = await harness.log.next(MessagePosted, lambda e: e.message.id == command)
    if acknowledged:
        await server.wait_until(lambda: server.interaction(command).callback)
    return event


async def post_all(harness: DiscordHarness, question: MessagePosted, text: str) -> list[str]:
    parts = harness.sender.render_answer(Answer(text=text), turn_id_for(question.message))
    return [
        await harness.sender.post(delivery_of(question, rendered, part=n)) for n, rendered in enumerate(parts)
    ]


def expire_tokens(harness: DiscordHarness) -> None:
    harness.server.rest.token_seconds = 0.0


async def test_before_the_login_every_call_says_that_discord_cannot_be_reached(
    harness: DiscordHarness,
) -> None:
    question = await asked(harness)
    early = make_adapter(harness.server)
    delivery = delivery_of(question, early.render_notice("Hello"))
    for call in (
        early.post(delivery),
        early.edit(delivery, "1"),
        early.delete(question.message.thread.channel, "1"),
        early.find_posted(delivery),
        early.show_status(target_of(question), "is thinking"),
        early.fetch_thread(question.message, 5),
    ):
        with pytest.raises(UnavailableError) as caught:
            await call
        assert not caught.value.maybe_accepted
    await early.aclose()


# --- messages ----------------------------------------------------------------------------------------


async def test_an_answer_refers_to_its_question_without_pinging_and_without_previews(
    harness: DiscordHarness,
) -> None:
    question = await asked(harness)
    await answered(harness, question)
    (message,) = harness.server.replies_to(question.message.id)
    assert message["flags"] & 4
    (call,) = [call for call in harness.server.calls if call.method == "POST" and "/messages" in call.path]
    assert call.body["allowed_mentions"] == {"parse": [], "replied_user": False}
    assert call.body["enforce_nonce"] is True


async def test_an_answer_whose_question_is_gone_is_posted_all_the_same(harness: DiscordHarness) -> None:
    question = await asked(harness)
    harness.server.delete(question.message.id)
    await answered(harness, question, "Here it is.")
    assert [shown.text for shown in harness.shown()] == ["Here it is."]


async def test_the_same_effect_posted_twice_shows_once(harness: DiscordHarness) -> None:
    question = await asked(harness)
    delivery = delivery_of(question, harness.sender.render_notice("Once."))
    assert await harness.sender.post(delivery) == await harness.sender.post(delivery)
    assert len(harness.shown()) == 1


async def test_the_same_effect_posted_again_with_its_final_text_shows_that(harness: DiscordHarness) -> None:
    question = await asked(harness)
    half = delivery_of(question, harness.sender.render_notice("Half"))
    await harness.sender.post(half)
    whole = half.model_copy(update={"rendered": harness.sender.render_notice("Half and half.")})
    await harness.sender.post(whole)
    assert [shown.text for shown in harness.shown()] == ["Half and half."]


async def test_a_bad_gateway_after_the_post_shows_it_once(harness: DiscordHarness) -> None:
    question = await asked(harness)
    harness.server.fail(Fault(POST, status=502, accepted=True))
    await answered(harness, question, "Once.")
    assert [shown.text for shown in harness.shown()] == ["Once."]


async def test_a_short_rate_limit_is_waited_for(harness: DiscordHarness) -> None:
    question = await asked(harness)
    harness.server.fail(Fault(POST, status=429, retry_after_seconds=0.2))
    began = asyncio.get_running_loop().time()
    await answered(harness, question)
    assert asyncio.get_running_loop().time() - began >= 0.2
    assert len(harness.shown()) == 1


async def test_a_long_rate_limit_is_told(harness: DiscordHarness) -> None:
    question = await asked(harness)
    harness.server.fail(Fault(POST, status=429, retry_after_seconds=600))
    with pytest.raises(RateLimitedError) as limited:
        await answered(harness, question)
    assert limited.value.retry_after_seconds == 600


async def test_a_burst_in_one_channel_keeps_to_its_limits(harness: DiscordHarness) -> None:
    questions = [await asked(harness, f"Question {n}?") for n in range(8)]
    harness.server.rest.limits.calls, harness.server.rest.limits.seconds = 3, 0.4
    await asyncio.gather(
        *(answered(harness, question, f"Answer {n}.") for n, question in enumerate(questions))
    )
    assert sorted(shown.text for shown in harness.shown()) == [f"Answer {n}." for n in range(8)]


async def test_a_stream_that_was_cut_short_is_found_by_another_process(harness: DiscordHarness) -> None:
    question = await asked(harness)
    delivery = delivery_of(question, Rendered(body={}))
    noted: asyncio.Queue[str] = asyncio.Queue()
    stream = harness.sender.open_stream(delivery, noted.put)
    await stream.write("Half an ans")
    message_id = await asyncio.wait_for(noted.get(), 5)
    final = delivery.model_copy(update={"rendered": harness.sender.render_notice("Half an answer is whole.")})
    assert await harness.adapter.find_posted(final) == message_id
    await harness.adapter.edit(final, message_id)
    assert [shown.text for shown in harness.shown()] == ["Half an answer is whole."]


async def test_parts_are_told_apart_when_looked_for(harness: DiscordHarness) -> None:
    question = await asked(harness)
    parts = harness.sender.render_answer(Answer(text=LONG), turn_id_for(question.message))
    first, second = (delivery_of(question, rendered, part=n) for n, rendered in enumerate(parts))
    first_id = await harness.sender.post(first)
    assert await harness.sender.find_posted(second) is None
    second_id = await harness.sender.post(second)
    assert await harness.sender.find_posted(first) == first_id
    assert await harness.sender.find_posted(second) == second_id


async def test_typing_is_shown_for_messages(harness: DiscordHarness) -> None:
    question = await asked(harness)
    await harness.sender.show_status(target_of(question), "is reading")
    assert harness.server.rest.typing == [harness.server.general]


async def test_a_server_that_is_away_is_unavailable(harness: DiscordHarness) -> None:
    question = await asked(harness)
    harness.server.fail(Fault(POST, status=None))
    with pytest.raises(UnavailableError):
        await answered(harness, question)


@pytest.mark.parametrize("where", ["channel", "thread", "dm", "command"])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(".", status=None, accepted=True),
        Fault(".", status=None),
        Fault(".", status=503, accepted=True),
        Fault(".", status=503),
    ],
    ids=["reset after", "reset before", "503 after", "503 before"],
)
async def test_whatever_is_lost_on_the_way_the_message_shows_once(
    harness: DiscordHarness, where: str, fault: Fault
) -> None:
    server = harness.server
    channel = {"thread": lambda: server.create_thread("talk"), "dm": lambda: server.dm_channel("alice")}
    if where == "command":
        question = await commanded(harness)
    else:
        place = channel.get(where, lambda: server.general)()
        id_ = server.mention("alice", "What?", channel=place)
        question = await harness.log.next(MessagePosted, lambda e: e.message.id == id_)
    delivery = delivery_of(question, harness.sender.render_notice("Once."))
    route = "^PATCH /webhooks/" if where == "command" else POST
    server.fail(replace(fault, route=route))
    try:
        await harness.sender.post(delivery)
    except UnavailableError:
        found = await harness.sender.find_posted(delivery)
        if found is None:
            await harness.sender.post(delivery)
        else:
            await harness.sender.edit(delivery, found)
    assert [shown.text for shown in harness.shown()] == ["Once."]


# --- commands ----------------------------------------------------------------------------------------


async def test_the_answer_to_a_command_takes_the_place_of_its_waiting_sign(harness: DiscordHarness) -> None:
    question = await commanded(harness)
    message_id = await answered(harness, question, "Done.")
    (shown,) = harness.shown()
    assert (shown.id, shown.text) == (message_id, "Done.")
    assert harness.server.interaction(question.message.id).original_id == message_id


async def test_an_answer_that_is_quicker_than_the_acknowledgement_waits_for_it(
    harness: DiscordHarness,
) -> None:
    harness.server.fail(Fault("/callback$", status=None, delay_seconds=0.5, accepted=True))
    question = await commanded(harness, acknowledged=False)
    await answered(harness, question, "Quick.")
    assert [shown.text for shown in harness.shown()] == ["Quick."]


async def test_a_command_that_was_never_acknowledged_is_answered_in_the_channel(
    harness: DiscordHarness,
) -> None:
    harness.server.fail(Fault("/callback$", status=404, code=10062))
    question = await commanded(harness, acknowledged=False)
    await answered(harness, question, "Late, but here.")
    assert [shown.text for shown in harness.shown()] == ["Late, but here."]


async def test_a_command_is_answered_in_the_channel_when_its_token_has_expired(
    harness: DiscordHarness,
) -> None:
    question = await commanded(harness)
    await asyncio.sleep(0)
    expire_tokens(harness)
    await answered(harness, question, "After a long while.")
    texts = [shown.text for shown in harness.shown()]
    assert texts == ["", "After a long while."]


async def test_a_private_answer_after_the_token_is_a_direct_message(harness: DiscordHarness) -> None:
    question = await commanded(harness, private=True)
    expire_tokens(harness)
    await answered(harness, question, "For your eyes only.")
    assert harness.server.visible(harness.server.general) == []
    (message,) = harness.server.visible(harness.server.dm_channel("alice"))
    assert message["content"] == "For your eyes only."


async def test_a_private_answer_is_seen_by_nobody_else_in_all_its_parts(harness: DiscordHarness) -> None:
    question = await commanded(harness, private=True)
    ids = await post_all(harness, question, LONG)
    assert len(ids) > 1
    assert harness.shown() == []
    assert [m["id"] for m in harness.server.ephemeral_to("alice")] == ids


async def test_a_long_public_answer_to_a_command_goes_on_in_the_channel_with_nonces(
    harness: DiscordHarness,
) -> None:
    question = await commanded(harness)
    original, *others = await post_all(harness, question, LONG)
    assert [m["id"] for m in harness.server.replies_to(original)] == others


async def test_a_follow_up_in_private_is_never_repeated_by_itself(harness: DiscordHarness) -> None:
    question = await commanded(harness, private=True)
    parts = harness.sender.render_answer(Answer(text=LONG), turn_id_for(question.message))
    await harness.sender.post(delivery_of(question, parts[0]))
    harness.server.fail(Fault(r"^POST /webhooks/\d+/[^/]+$", status=502, accepted=True))
    with pytest.raises(UnavailableError) as lost:
        await harness.sender.post(delivery_of(question, parts[1], part=1))
    assert lost.value.maybe_accepted
    assert len(harness.server.ephemeral_to("alice")) == 2
    with pytest.raises(UndecidableError):
        await harness.sender.find_posted(delivery_of(question, parts[1], part=1))
    expire_tokens(harness)
    with pytest.raises(UndecidableError):
        await harness.sender.find_posted(delivery_of(question, parts[1], part=1))


async def test_the_edit_of_a_command_is_repeated_when_it_fails(harness: DiscordHarness) -> None:
    question = await commanded(harness)
    harness.server.fail(Fault(r"^PATCH /webhooks/", status=502))
    await answered(harness, question, "In the end.")
    assert [shown.text for shown in harness.shown()] == ["In the end."]


async def test_a_command_is_answered_in_a_stream(harness: DiscordHarness) -> None:
    question = await commanded(harness)
    noted: asyncio.Queue[str] = asyncio.Queue()
    stream = harness.sender.open_stream(delivery_of(question, Rendered(body={})), noted.put)
    await stream.write("It begins")
    assert await asyncio.wait_for(noted.get(), 5)
    await stream.close(harness.sender.render_notice("It begins and ends."))
    assert [shown.text for shown in harness.shown()] == ["It begins and ends."]


async def test_what_was_posted_for_a_command_is_found(harness: DiscordHarness) -> None:
    question = await commanded(harness)
    delivery = delivery_of(question, harness.sender.render_notice("Found."))
    assert await harness.sender.find_posted(delivery) is None
    message_id = await harness.sender.post(delivery)
    assert await harness.sender.find_posted(delivery) == message_id


async def test_the_answer_to_a_command_in_a_dm_stays_there(harness: DiscordHarness) -> None:
    channel = harness.server.dm_channel("alice")
    question = await commanded(harness, channel=channel, private=True)
    expire_tokens(harness)
    await answered(harness, question, "Here.")
    assert [m["content"] for m in harness.server.visible(channel)] == ["Here."]


# --- reading back ------------------------------------------------------------------------------------


async def test_a_thread_is_read_back_with_the_message_it_began_with(harness: DiscordHarness) -> None:
    server = harness.server
    starter = server.post_message("alice", "The build is red.")
    thread = server.create_thread("build", starter=starter)
    for n in range(3):
        server.post_message("bob", f"remark {n}", channel=thread)
    question = server.mention("carol", "what now?", channel=thread)
    event = await harness.log.next(MessagePosted, lambda e: e.message.id == question)
    assert event.summoned_midway
    messages = await harness.sender.fetch_thread(event.message, 10)
    assert [m.text for m in messages] == ["The build is red.", "remark 0", "remark 1", "remark 2"]
    assert messages[0].author.name == "Alice"
    assert {m.thread.key for m in messages} == {event.message.thread.key}
    newest = await harness.sender.fetch_thread(event.message, 2)
    assert [m.text for m in newest] == ["remark 1", "remark 2"]


async def test_the_messages_that_a_mention_replies_to_are_read_back(harness: DiscordHarness) -> None:
    server = harness.server
    first = server.post_message("alice", "The build is red.")
    second = server.reply("bob", "Since when?", to=first)
    question = server.reply("carol", f"<@{server.bot_id}> do you know?", to=second)
    event = await harness.log.next(MessagePosted, lambda e: e.message.id == question)
    assert event.summoned_midway
    messages = await harness.sender.fetch_thread(event.message, 10)
    assert [m.text for m in messages] == ["The build is red.", "Since when?"]


async def test_a_discord_that_cannot_be_reached_is_unavailable_at_the_start() -> None:
    async with open_harness() as opened:
        adapter = make_adapter(opened.server)
    with pytest.raises(UnavailableError):
        await adapter.open()
    await adapter.aclose()
