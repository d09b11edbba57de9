"""A reply while it is written: Slack's stream where it works, edits of the same message where it fails."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from bot.adapter import RateLimitedError, Rendered, UnauthorizedError, UnavailableError
from bot.slack import stream as stream_module
from bot.slack.adapter import SlackAdapter
from bot.slack.render import METADATA_EVENT_TYPE
from bot.testing.slack import Fault, SlackMessage, SlackServer
from tests.platforms.slack.making import TURN, Posted, make_answer, make_delivery, make_question

STREAM_METHODS = ["chat.startStream", "chat.stopStream"]


def methods(slack: SlackServer) -> list[str]:
    return [call.method for call in slack.calls if call.method.startswith("chat.")]


def final(adapter: SlackAdapter, text: str, *uris: str) -> Rendered:
    (rendered,) = adapter.render_answer(make_answer(text, *uris), TURN)
    return rendered


def only_reply(slack: SlackServer, thread_ts: str, channel: str = "C1") -> SlackMessage:
    (message,) = slack.replies(channel, thread_ts)
    return message


def assert_complete(message: SlackMessage, effect_id: object, text: str) -> None:
    assert message.markdown == text
    assert not message.is_streaming
    assert message.block("context_actions") is not None
    assert message.metadata == {
        "event_type": METADATA_EVENT_TYPE,
        "event_payload": {"effect_id": str(effect_id), "turn_id": str(TURN)},
    }


async def test_an_answer_known_at_once_takes_two_calls(slack: SlackServer, sender: SlackAdapter) -> None:
    question, posted = await make_question(slack), Posted()
    delivery = make_delivery(question)
    stream = sender.open_stream(delivery, posted)
    await stream.write("It is **so**")
    message_id = await stream.close(final(sender, "It is **so** [1].", "https://docs.example.org/a"))
    assert methods(slack) == STREAM_METHODS
    message = only_reply(slack, question.id)
    assert posted.ids == [message_id] == [message.ts]
    assert_complete(message, delivery.effect_id, "It is **so** [1].")
    sources = message.block("context")
    assert sources is not None
    assert sources["elements"][0]["text"] == "[1] <https://docs.example.org/a|Title 1>"


async def test_nothing_written_is_one_post(slack: SlackServer, sender: SlackAdapter) -> None:
    question, posted = await make_question(slack), Posted()
    delivery = make_delivery(question)
    message_id = await sender.open_stream(delivery, posted).close(final(sender, "Done."))
    assert methods(slack) == ["chat.postMessage"]
    assert posted.ids == [message_id]
    assert_complete(only_reply(slack, question.id), delivery.effect_id, "Done.")


async def test_appends_are_coalesced_and_late_text_shows_without_another_write(
    slack: SlackServer, sender: SlackAdapter
) -> None:
    question = await make_question(slack)
    stream = sender.open_stream(make_delivery(question), Posted())
    words = [f"word{n}" for n in range(60)]
    for count in range(1, len(words) + 1):
        await stream.write(" ".join(words[:count]))
        await asyncio.sleep(0.005)
    await slack.until(lambda: only_reply(slack, question.id).markdown == " ".join(words))
    assert len(slack.calls_of("chat.appendStream")) <= 2
    await stream.close(final(sender, " ".join(words)))
    appends = [call.at for call in slack.calls if call.method in ("chat.startStream", "chat.appendStream")]
    gaps = [later - earlier for earlier, later in itertools.pairwise(appends)]
    assert all(gap >= stream_module.APPEND_INTERVAL_SECONDS - 0.1 for gap in gaps)


async def test_the_recipient_is_named(slack: SlackServer, sender: SlackAdapter) -> None:
    stream = sender.open_stream(make_delivery(await make_question(slack)), Posted())
    await stream.write("Hello")
    (start,) = slack.calls_of("chat.startStream")
    assert (start.body["recipient_team_id"], start.body["recipient_user_id"]) == ("T0LOOP", "U1")
    await stream.close(final(sender, "Hello"))


async def test_a_final_text_that_differs_replaces_what_was_streamed(
    slack: SlackServer, sender: SlackAdapter
) -> None:
    question = await make_question(slack)
    delivery = make_delivery(question)
    stream = sender.open_stream(delivery, Posted())
    await stream.write("It is so [7], certainly")
    await stream.close(final(sender, "It is so, certainly"))
    assert methods(slack) == ["chat.startStream", "chat.stopStream", "chat.update"]
    assert_complete(only_reply(slack, question.id), delivery.effect_id, "It is so, certainly")


async def test_a_text_that_does_not_continue_the_one_before_replaces_it(
    slack: SlackServer, sender: SlackAdapter
) -> None:
    question = await make_question(slack)
    delivery = make_delivery(question)
    stream = sender.open_stream(delivery, Posted())
    await stream.write("A first attempt")
    await stream.write("Another model begins anew")
    await slack.until(lambda: only_reply(slack, question.id).markdown == "Another model begins anew")
    await stream.close(final(sender, "Another model begins anew and ends."))
    assert_complete(only_reply(slack, question.id), delivery.effect_id, "Another model begins anew and ends.")


@pytest.mark.parametrize(
    "refusal",
    [
        {"error": "unknown_method"},
        {"error": "missing_scope"},
        {"error": "channel_type_not_supported"},
        {"status": 404},
    ],
    ids=str,
)
async def test_where_streams_are_refused_the_message_is_posted_and_edited(
    slack: SlackServer, sender: SlackAdapter, refusal: dict[str, Any]
) -> None:
    slack.faults.order_for_good("chat.startStream", Fault(**refusal))
    question, posted = await make_question(slack), Posted()
    delivery = make_delivery(question)
    stream = sender.open_stream(delivery, posted)
    await stream.write("It begins")
    await stream.write("It begins and goes on")
    await slack.until(lambda: only_reply(slack, question.id).markdown == "It begins and goes on")
    message_id = await stream.close(final(sender, "It begins and goes on to the end."))
    assert methods(slack) == ["chat.startStream", "chat.postMessage", "chat.update", "chat.update"]
    assert posted.ids == [message_id]
    assert_complete(only_reply(slack, question.id), delivery.effect_id, "It begins and goes on to the end.")


async def test_a_rate_limit_on_streams_falls_back_to_a_post(slack: SlackServer, sender: SlackAdapter) -> None:
    slack.faults.order("chat.startStream", Fault(retry_after_seconds=1))
    question = await make_question(slack)
    delivery = make_delivery(question)
    stream = sender.open_stream(delivery, Posted())
    await stream.write("Hello")
    await stream.close(final(sender, "Hello there."))
    assert_complete(only_reply(slack, question.id), delivery.effect_id, "Hello there.")


@pytest.mark.parametrize(
    "fault",
    [
        Fault(error="message_not_in_streaming_state"),
        Fault(error="unknown_method"),
        Fault(error="internal_error"),
        Fault(status=502),
        Fault(reset="before"),
        Fault(reset="after"),
    ],
    ids=["expired", "unknown", "internal", "502", "reset before", "reset after"],
)
@pytest.mark.parametrize("method", ["chat.appendStream", "chat.stopStream"])
async def test_a_stream_that_breaks_off_ends_as_an_edit_of_the_same_message(
    slack: SlackServer, sender: SlackAdapter, method: str, fault: Fault
) -> None:
    question, posted = await make_question(slack), Posted()
    delivery = make_delivery(question)
    stream = sender.open_stream(delivery, posted)
    await stream.write("It begins")
    slack.faults.order(method, Fault(fault.error, fault.status, fault.retry_after_seconds, fault.reset))
    await stream.write("It begins and goes on")
    if method == "chat.appendStream":
        await slack.until(lambda: slack.calls_of("chat.appendStream"))
    message_id = await stream.close(final(sender, "It begins and goes on to the end."))
    assert posted.ids == [message_id]
    assert_complete(only_reply(slack, question.id), delivery.effect_id, "It begins and goes on to the end.")


async def test_a_stream_that_slack_ended_is_finished_by_an_edit(
    slack: SlackServer, sender: SlackAdapter
) -> None:
    question = await make_question(slack)
    delivery = make_delivery(question)
    stream = sender.open_stream(delivery, Posted())
    await stream.write("It begins")
    slack.api.stream_seconds = 0.0
    await stream.close(final(sender, "It begins and ends."))
    assert_complete(only_reply(slack, question.id), delivery.effect_id, "It begins and ends.")


async def test_a_text_beyond_the_limit_ends_within_it(slack: SlackServer, sender: SlackAdapter) -> None:
    question, posted = await make_question(slack), Posted()
    delivery = make_delivery(question)
    text = "\n\n".join(f"Paragraph {n} " + "with many words " * 20 for n in range(80))
    stream = sender.open_stream(delivery, posted)
    await stream.write(text[:300])
    await stream.write(text)
    first, *rest = sender.render_answer(make_answer(text), TURN)
    assert rest
    await stream.close(first)
    for part, rendered in enumerate(rest, start=1):
        await sender.post(make_delivery(question, rendered, part=part))
    shown = slack.replies("C1", question.id)
    assert all(len(message.markdown) <= 12_000 for message in shown)
    assert "".join("".join(m.markdown for m in shown).split()) == "".join(text.split())


async def test_a_lost_answer_to_the_start_is_told_and_not_repeated(
    slack: SlackServer, sender: SlackAdapter
) -> None:
    slack.faults.order("chat.startStream", Fault(reset="after"))
    question, posted = await make_question(slack), Posted()
    delivery = make_delivery(question)
    stream = sender.open_stream(delivery, posted)
    with pytest.raises(UnavailableError) as lost:
        await stream.write("It begins")
    assert lost.value.maybe_accepted
    assert methods(slack) == ["chat.startStream"]
    found = await sender.find_posted(delivery)
    assert found == only_reply(slack, question.id).ts
    await sender.edit(delivery.model_copy(update={"rendered": final(sender, "It ends.")}), found)
    assert_complete(only_reply(slack, question.id), delivery.effect_id, "It ends.")


async def test_a_writer_that_is_cancelled_leaves_no_post_behind_unknown(
    slack: SlackServer, sender: SlackAdapter
) -> None:
    slack.faults.order("chat.startStream", Fault(delay_seconds=0.3, error=None))
    question, posted = await make_question(slack), Posted()
    stream = sender.open_stream(make_delivery(question), posted)
    writing = asyncio.create_task(stream.write("It begins"))
    await slack.until(lambda: slack.calls_of("chat.startStream"))
    writing.cancel()
    message_id = await stream.close(final(sender, "It begins and ends."))
    assert posted.ids == [message_id]
    assert only_reply(slack, question.id).markdown == "It begins and ends."


async def test_what_note_posted_raises_reaches_the_writer(slack: SlackServer, sender: SlackAdapter) -> None:
    class LostError(Exception):
        pass

    async def lost(message_id: str) -> None:
        raise LostError

    stream = sender.open_stream(make_delivery(await make_question(slack)), lost)
    with pytest.raises(LostError):
        await stream.write("It begins")
    with pytest.raises(LostError):
        await stream.write("It begins and goes on")


async def test_a_post_that_is_rate_limited_at_the_end_says_when_to_come_back(
    slack: SlackServer, sender: SlackAdapter
) -> None:
    slack.faults.order("chat.postMessage", Fault(retry_after_seconds=7))
    question = await make_question(slack)
    with pytest.raises(RateLimitedError) as limited:
        await sender.open_stream(make_delivery(question), Posted()).close(final(sender, "Hi."))
    assert limited.value.retry_after_seconds == 7
    assert slack.replies("C1", question.id) == []


async def test_a_token_that_is_refused_is_told_at_once(slack: SlackServer, sender: SlackAdapter) -> None:
    question = await make_question(slack)
    slack.api.workspaces.clear()
    with pytest.raises(UnauthorizedError):
        await sender.open_stream(make_delivery(question), Posted()).write("It begins")


async def test_an_answer_for_the_asker_alone_is_never_streamed(
    slack: SlackServer, sender: SlackAdapter
) -> None:
    question, posted = await make_question(slack), Posted()
    delivery = make_delivery(question, only_author_sees=True)
    stream = sender.open_stream(delivery, posted)
    await stream.write("Between")
    await stream.write("Between us")
    message_id = await stream.close(final(sender, "Between us."))
    assert methods(slack) == ["chat.postEphemeral"]
    assert slack.message("C1", message_id).only_for == "U1"
    assert slack.replies("C1", question.id) == []


async def test_no_link_and_no_mention_is_visible_at_any_moment(
    slack: SlackServer, sender: SlackAdapter
) -> None:
    question = await make_question(slack)
    stream = sender.open_stream(make_delivery(question), Posted())
    text = "Look <!channel> at [this](https://evil.example/?secret=1) and https://evil.example/2 <@U1> now."
    for end in range(0, len(text), 7):
        await stream.write(text[:end])
        stream._not_before = 0.0  # type: ignore[attr-defined]  # as if each piece came late enough to show
    await stream.close(final(sender, text))
    message = only_reply(slack, question.id)
    assert message.seen
    for seen in message.seen:
        assert "://" not in seen
        assert "<!" not in seen
        assert "<@" not in seen
    assert message.pings == []


async def test_two_hundred_streams_at_once(slack: SlackServer, sender: SlackAdapter) -> None:
    questions = [await make_question(slack) for _ in range(200)]

    async def answer(number: int) -> None:
        stream = sender.open_stream(make_delivery(questions[number]), Posted())
        await stream.write(f"Answer {number} begins")
        await stream.close(final(sender, f"Answer {number} begins and ends."))

    await asyncio.gather(*map(answer, range(200)))
    for number, question in enumerate(questions):
        assert only_reply(slack, question.id).markdown == f"Answer {number} begins and ends."
