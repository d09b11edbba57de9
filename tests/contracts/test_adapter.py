"""What every adapter does, whatever its platform. Only declared capabilities are left out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from bot.adapter import (
    Delivery,
    ForbiddenError,
    MessageGoneError,
    Rendered,
    ReplyTarget,
    UnauthorizedError,
    UnavailableError,
)
from core.answers import Answer, Citation, turn_id_for
from core.messages import (
    EVENTS,
    Channel,
    FeedbackGiven,
    FeedbackWithdrawn,
    MessageDeleted,
    MessageEdited,
    MessagePosted,
)
from tests.contracts.adapter_harness import AdapterHarness, harness_of, platforms_with_harness


@pytest.fixture(params=platforms_with_harness())
async def harness(request: pytest.FixtureRequest) -> AsyncIterator[AdapterHarness]:
    async with harness_of(request.param)() as opened:
        yield opened


async def asked(harness: AdapterHarness, text: str = "How do I set it up?") -> MessagePosted:
    """A question in a channel, as it arrived."""
    message_id = await harness.ask("alice", text)
    return await harness.log.next(MessagePosted, lambda event: event.message.id == message_id)


def target_of(question: MessagePosted) -> ReplyTarget:
    return ReplyTarget(
        thread=question.message.thread,
        question_message_id=question.message.id,
        asker=question.message.author,
        reply_handle=question.reply_handle,
        only_author_sees=question.only_author_sees,
    )


def delivery_of(
    question: MessagePosted, rendered: Rendered, part: int = 0, id_: UUID | None = None
) -> Delivery:
    return Delivery(
        effect_id=id_ or uuid4(),
        turn_id=turn_id_for(question.message),
        part=part,
        target=target_of(question),
        rendered=rendered,
    )


async def answered(harness: AdapterHarness, question: MessagePosted, text: str = "Like this.") -> str:
    """Post a whole answer of one part; returns its message id."""
    (rendered,) = harness.sender.render_answer(Answer(text=text), turn_id_for(question.message))
    return await harness.sender.post(delivery_of(question, rendered))


def texts(harness: AdapterHarness) -> list[str]:
    return [shown.text for shown in harness.shown()]


# --- what comes in -----------------------------------------------------------------------------------


async def test_a_mention_arrives_once_with_who_said_what_where(harness: AdapterHarness) -> None:
    event = await asked(harness, "How do I set it up?")
    message, channel = event.message, event.message.thread.channel
    assert message.text == "How do I set it up?"
    assert message.author.id == harness.author_id("alice")
    assert not message.author.is_bot
    assert not message.author.is_self
    assert event.addressing in ("mention", "direct")
    assert channel.platform == harness.adapter.platform
    assert channel.workspace
    assert channel.id
    assert message.at.tzinfo is not None
    await harness.chat("bob", "unrelated")
    await asked(harness, "Another question")
    assert sum(e.message.id == message.id for e in harness.log.events if isinstance(e, MessagePosted)) == 1


async def test_an_event_survives_being_stored_as_json(harness: AdapterHarness) -> None:
    event = await asked(harness)
    assert EVENTS.validate_json(EVENTS.dump_json(event)) == event


async def test_a_direct_message_is_private_and_for_us(harness: AdapterHarness) -> None:
    message_id = await harness.ask_directly("alice", "Just between us")
    event = await harness.log.next(MessagePosted, lambda e: e.message.id == message_id)
    assert event.addressing == "direct"
    assert event.message.thread.channel.private
    assert event.message.text == "Just between us"


async def test_direct_messages_of_two_people_are_two_audiences(harness: AdapterHarness) -> None:
    for name in ("alice", "bob"):
        await harness.ask_directly(name, "hello")
    events = [
        await harness.log.next(MessagePosted, lambda e, n=name: e.message.author.id == harness.author_id(n))  # type: ignore[misc]
        for name in ("alice", "bob")
    ]
    assert events[0].message.thread.audience != events[1].message.thread.audience


async def test_what_is_not_for_us_brings_no_question(harness: AdapterHarness) -> None:
    message_id = await harness.chat("alice", "lunch?")
    await asked(harness)
    for event in harness.log.events:
        assert not (isinstance(event, MessagePosted) and event.message.id == message_id)


async def test_another_bot_is_known_for_one_or_not_heard(harness: AdapterHarness) -> None:
    message_id = await harness.ask("robot", "Hello, fellow bot", bot=True)
    await asked(harness)
    for event in harness.log.events:
        if isinstance(event, MessagePosted) and event.message.id == message_id:
            assert event.message.author.is_bot


async def test_our_own_posts_bring_no_question(harness: AdapterHarness) -> None:
    own = await answered(harness, await asked(harness))
    await asked(harness, "Something else")
    assert all(not (isinstance(e, MessagePosted) and e.message.id == own) for e in harness.log.events)


async def test_a_follow_up_belongs_to_the_same_thread(harness: AdapterHarness) -> None:
    question = await asked(harness)
    answer = await answered(harness, question)
    for text in ("And then?", "And after that?"):
        message_id = await harness.follow_up("alice", text, question.message.id, answer)
        event = await harness.log.next(MessagePosted, lambda e, i=message_id: e.message.id == i)  # type: ignore[misc]
        assert event.message.thread.key == question.message.thread.key
        assert event.message.text == text
        answer = await answered(harness, event)


async def test_two_questions_in_a_channel_are_two_threads(harness: AdapterHarness) -> None:
    first, second = await asked(harness, "One?"), await asked(harness, "Two?")
    assert first.message.thread.channel == second.message.thread.channel
    assert first.message.thread.key != second.message.thread.key


async def test_an_edit_brings_the_new_text(harness: AdapterHarness) -> None:
    question = await harness.ask_directly("alice", "How?")
    await harness.edit(question, "How much?")
    event = await harness.log.next(MessageEdited, lambda e: e.message.id == question)
    assert event.message.text == "How much?"
    assert event.addressing == "direct"


async def test_a_deletion_names_the_message_and_its_channel(harness: AdapterHarness) -> None:
    question = await asked(harness)
    await harness.delete(question.message.id)
    event = await harness.log.next(MessageDeleted)
    assert event.message_id == question.message.id
    channel = question.message.thread.channel
    assert (event.channel.workspace, event.channel.id) == (channel.workspace, channel.id)


# --- what goes out -----------------------------------------------------------------------------------


async def test_a_post_shows_once_and_in_the_place_of_the_question(harness: AdapterHarness) -> None:
    await answered(harness, await asked(harness), "The only answer.")
    assert sum("The only answer." in text for text in texts(harness)) == 1


async def test_a_process_that_only_sends_is_not_receiving(harness: AdapterHarness) -> None:
    await answered(harness, await asked(harness))
    assert harness.adapter.is_receiving()
    assert not harness.sender.is_receiving()


async def test_a_post_whose_reply_is_lost_is_found_and_shows_once(harness: AdapterHarness) -> None:
    question = await asked(harness)
    (rendered,) = harness.sender.render_answer(Answer(text="Once."), turn_id_for(question.message))
    delivery = delivery_of(question, rendered)
    harness.lose_next_reply()
    with pytest.raises(UnavailableError) as lost:
        await harness.sender.post(delivery)
    assert lost.value.maybe_accepted
    found = await harness.sender.find_posted(delivery)
    assert found is not None
    if harness.sender.capabilities.edits:
        await harness.sender.edit(delivery, found)
    assert [shown.id for shown in harness.shown() if "Once." in shown.text] == [found]


async def test_what_was_never_posted_is_not_found(harness: AdapterHarness) -> None:
    question = await asked(harness)
    other = await answered(harness, question, "Another effect.")
    delivery = delivery_of(question, harness.sender.render_notice("Not posted."))
    delivery = delivery.model_copy(update={"known_message_ids": frozenset({other})})
    assert await harness.sender.find_posted(delivery) is None


async def test_a_posted_message_is_given_another_form(harness: AdapterHarness) -> None:
    if not harness.sender.capabilities.edits:
        pytest.skip("does not edit")
    question = await asked(harness)
    delivery = delivery_of(question, harness.sender.render_notice("First form."))
    message_id = await harness.sender.post(delivery)
    final = delivery.model_copy(update={"rendered": harness.sender.render_notice("Final form.")})
    await harness.sender.edit(final, message_id)
    assert [shown.id for shown in harness.shown() if "Final form." in shown.text] == [message_id]
    assert not any("First form." in text for text in texts(harness))


async def test_a_stream_ends_with_the_final_text_in_one_message(harness: AdapterHarness) -> None:
    if not harness.sender.capabilities.streams:
        pytest.skip("does not stream")
    question = await asked(harness)
    posted: asyncio.Queue[str] = asyncio.Queue()
    note = posted.put

    stream = harness.sender.open_stream(delivery_of(question, Rendered(body={})), note)
    await stream.write("It begins")
    async with asyncio.timeout(10):
        noted = await posted.get()
    await stream.write("It begins and goes on")
    (final,) = harness.sender.render_answer(
        Answer(text="It begins and goes on to the end."), turn_id_for(question.message)
    )
    message_id = await stream.close(final)
    assert noted == message_id
    assert posted.empty()
    assert [s.id for s in harness.shown() if "goes on to the end." in s.text] == [message_id]
    assert sum("It begins" in text for text in texts(harness)) == 1


async def test_an_answer_known_at_once_is_one_message(harness: AdapterHarness) -> None:
    if not harness.sender.capabilities.streams:
        pytest.skip("does not stream")
    question = await asked(harness)

    async def note(message_id: str) -> None: ...

    stream = harness.sender.open_stream(delivery_of(question, Rendered(body={})), note)
    await stream.write("Short.")
    message_id = await stream.close(harness.sender.render_notice("Short."))
    assert [s.id for s in harness.shown() if "Short." in s.text] == [message_id]


async def test_a_long_answer_comes_in_parts_within_the_limit_and_whole(harness: AdapterHarness) -> None:
    question = await asked(harness)
    words = [f"word{n:04d}" for n in range(2 * harness.limit // 9)]
    parts = harness.sender.render_answer(Answer(text=" ".join(words)), turn_id_for(question.message))
    assert len(parts) > 1
    for n, rendered in enumerate(parts):
        await harness.sender.post(delivery_of(question, rendered, part=n))
    shown = texts(harness)
    assert all(len(text) <= harness.limit for text in shown)
    assert [word for text in shown for word in text.split() if word.startswith("word")] == words


async def test_citations_are_numbered_and_name_their_source(harness: AdapterHarness) -> None:
    question = await asked(harness)
    citation = Citation(
        n=1, chunk_id=1, document_id=1, title="The manual", uri="https://docs.example.org/manual", quote="q"
    )
    (rendered,) = harness.sender.render_answer(
        Answer(text="It is so [1].", citations=(citation,)), turn_id_for(question.message)
    )
    await harness.sender.post(delivery_of(question, rendered))
    (text,) = [text for text in texts(harness) if "It is so" in text]
    assert "[1]" in text
    assert "The manual" in text
    assert "https://docs.example.org/manual" in text


@pytest.mark.parametrize(
    "text", ["@everyone", "@here", "<!channel>", "<!here>", "<!everyone>", "@EVERYONE @Here"]
)
async def test_an_answer_notifies_nobody(harness: AdapterHarness, text: str) -> None:
    question = await asked(harness)
    person = harness.author_id("bob")
    await answered(harness, question, f"Attention {text} <@{person}> <@&{person}> <!subteam^{person}>")
    await harness.sender.post(delivery_of(question, harness.sender.render_notice(f"{text} <@{person}>")))
    assert harness.notified() == []


async def test_a_deleted_post_is_gone_and_then_cannot_be_edited(harness: AdapterHarness) -> None:
    if not harness.sender.capabilities.deletes:
        pytest.skip("does not delete")
    question = await asked(harness)
    delivery = delivery_of(question, harness.sender.render_notice("Here today."))
    message_id = await harness.sender.post(delivery)
    await harness.sender.delete(question.message.thread.channel, message_id)
    assert not any("Here today." in text for text in texts(harness))
    with pytest.raises(MessageGoneError):
        await harness.sender.edit(delivery, message_id)
    with pytest.raises(MessageGoneError):
        await harness.sender.delete(question.message.thread.channel, message_id)


async def test_a_status_is_shown_and_cleared(harness: AdapterHarness) -> None:
    question = await asked(harness)
    await harness.sender.show_status(target_of(question), "is looking it up")
    await harness.sender.show_status(target_of(question), "")


async def test_a_place_without_permission_is_said_to_be_forbidden(harness: AdapterHarness) -> None:
    question = await asked(harness)
    harness.forbid_posting()
    with pytest.raises(ForbiddenError):
        await answered(harness, question)


async def test_a_token_that_is_refused_is_said_to_be(harness: AdapterHarness) -> None:
    question = await asked(harness)
    harness.refuse_token()
    with pytest.raises(UnauthorizedError):
        await answered(harness, question)


async def test_a_channel_that_does_not_exist_is_an_error_of_the_family(harness: AdapterHarness) -> None:
    question = await asked(harness)
    channel = question.message.thread.channel
    gone = Channel(platform=channel.platform, workspace=channel.workspace, id="1234567890")
    with pytest.raises((ForbiddenError, MessageGoneError)):
        await harness.sender.delete(gone, question.message.id)


# --- feedback ----------------------------------------------------------------------------------------


async def test_a_reaction_is_feedback_until_it_is_removed(harness: AdapterHarness) -> None:
    question = await asked(harness)
    answer = await answered(harness, question)
    await harness.react("bob", answer, "👍")
    given = await harness.log.next(FeedbackGiven)
    assert (given.rating, given.via, given.message_id) == (1, "reaction", answer)
    assert given.author.id == harness.author_id("bob")
    assert given.channel.workspace == question.message.thread.channel.workspace
    await harness.unreact("bob", answer, "👍")
    withdrawn = await harness.log.next(FeedbackWithdrawn)
    assert (withdrawn.author.id, withdrawn.message_id, withdrawn.symbol) == (
        given.author.id,
        answer,
        given.symbol,
    )


async def test_every_mark_is_a_delivery_of_its_own(harness: AdapterHarness) -> None:
    answer = await answered(harness, await asked(harness))
    for _ in range(2):
        await harness.react("bob", answer, "👎")
        await harness.unreact("bob", answer, "👎")
    found = await harness.log.several(4, (FeedbackGiven, FeedbackWithdrawn))
    assert len({event.delivery_id for event in found}) == 4
    assert [event.kind for event in found] == ["feedback_given", "feedback_withdrawn"] * 2


@pytest.mark.parametrize(("mark", "rating"), [("up", 1), ("down", -1)])
async def test_a_button_rates_the_turn(harness: AdapterHarness, mark: str, rating: int) -> None:
    question = await asked(harness)
    answer = await answered(harness, question)
    await harness.click("bob", answer, "up" if mark == "up" else "down")
    given = await harness.log.next(FeedbackGiven)
    assert (given.rating, given.via, given.turn_id) == (rating, "button", turn_id_for(question.message))
    assert given.author.id == harness.author_id("bob")
