"""Posting, finding again, reading back; and every refusal of Slack in the adapter's words."""

from __future__ import annotations

import pytest

from bot.adapter import (
    AdapterError,
    ForbiddenError,
    MessageGoneError,
    RateLimitedError,
    ThreadClosedError,
    UnauthorizedError,
    UnavailableError,
    UndecidableError,
)
from bot.slack.adapter import SlackAdapter
from bot.slack.errors import SlackRefusedError, TokenRevokedError
from bot.testing.slack import Fault, SlackServer
from tests.platforms.slack.harness import settings_for
from tests.platforms.slack.making import EMPTY, TURN, Posted, make_answer, make_delivery, make_question


async def test_a_post_stands_in_the_thread_without_previews(slack: SlackServer, sender: SlackAdapter) -> None:
    question = await make_question(slack)
    (rendered,) = sender.render_answer(make_answer("Yes [1].", "https://docs.example.org"), TURN)
    message_id = await sender.post(make_delivery(question, rendered))
    message = slack.message("C1", message_id)
    assert message.thread_ts == question.id
    assert not message.unfurl
    assert message.text == "Yes [1]."


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(retry_after_seconds=3), RateLimitedError),
        (Fault(error="ratelimited"), RateLimitedError),
        (Fault(error="channel_not_found"), ForbiddenError),
        (Fault(error="not_in_channel"), ForbiddenError),
        (Fault(error="thread_not_found"), ThreadClosedError),
        (Fault(error="is_archived"), ForbiddenError),
        (Fault(error="restricted_action"), ForbiddenError),
        (Fault(error="missing_scope"), ForbiddenError),
        (Fault(status=403), ForbiddenError),
        (Fault(error="invalid_auth"), UnauthorizedError),
        (Fault(error="token_revoked"), TokenRevokedError),
        (Fault(error="account_inactive"), TokenRevokedError),
        (Fault(error="message_not_found"), MessageGoneError),
        (Fault(error="internal_error"), UnavailableError),
        (Fault(status=502), UnavailableError),
        (Fault(reset="before"), UnavailableError),
        (Fault(reset="after"), UnavailableError),
        (Fault(error="invalid_blocks"), SlackRefusedError),
        (Fault(error="never_heard_of"), SlackRefusedError),
    ],
)
async def test_every_refusal_has_its_kind_and_is_never_retried(
    slack: SlackServer, sender: SlackAdapter, fault: Fault, kind: type[AdapterError]
) -> None:
    question = await make_question(slack)
    slack.faults.order(
        "chat.postMessage", Fault(fault.error, fault.status, fault.retry_after_seconds, fault.reset)
    )
    with pytest.raises(kind) as refused:
        await sender.post(make_delivery(question, sender.render_notice("Hello")))
    assert type(refused.value) is kind
    assert "Hello" not in str(refused.value)
    assert len(slack.calls_of("chat.postMessage")) == 1


@pytest.mark.parametrize(
    ("fault", "maybe_accepted"),
    [
        (Fault(reset="after"), True),
        (Fault(error="fatal_error"), True),
        (Fault(status=502), True),
        (Fault(status=503), False),
        (Fault(error="service_unavailable"), False),
    ],
)
async def test_only_what_may_have_been_accepted_is_said_to_be(
    slack: SlackServer, sender: SlackAdapter, fault: Fault, maybe_accepted: bool
) -> None:
    question = await make_question(slack)
    slack.faults.order("chat.postMessage", Fault(fault.error, fault.status, reset=fault.reset))
    with pytest.raises(UnavailableError) as lost:
        await sender.post(make_delivery(question, sender.render_notice("Hello")))
    assert lost.value.maybe_accepted is maybe_accepted


async def test_a_server_that_is_not_there_accepted_nothing(slack: SlackServer) -> None:
    adapter = SlackAdapter(settings_for(slack, slack_api_url="http://127.0.0.1:9/api"))
    question = await make_question(slack)
    with pytest.raises(UnavailableError) as lost:
        await adapter.post(make_delivery(question, adapter.render_notice("Hello")))
    assert not lost.value.maybe_accepted
    await adapter.aclose()


async def test_a_retry_after_is_told_in_seconds(slack: SlackServer, sender: SlackAdapter) -> None:
    question = await make_question(slack)
    slack.faults.order("chat.postMessage", Fault(retry_after_seconds=12.5))
    with pytest.raises(RateLimitedError) as limited:
        await sender.post(make_delivery(question, sender.render_notice("Hello")))
    assert limited.value.retry_after_seconds == 12.5


async def test_a_second_message_too_soon_is_told_to_wait(slack: SlackServer, sender: SlackAdapter) -> None:
    slack.api.seconds_between_messages = 60.0
    question = await make_question(slack)
    await sender.post(make_delivery(question, sender.render_notice("One")))
    with pytest.raises(RateLimitedError) as limited:
        await sender.post(make_delivery(question, sender.render_notice("Two")))
    assert 0 < limited.value.retry_after_seconds <= 60.0


async def test_what_was_posted_is_found_among_many_by_its_effect(
    slack: SlackServer, sender: SlackAdapter
) -> None:
    question = await make_question(slack)
    for number in range(250):
        await slack.post_message("U2", "C1", f"chatter {number}", question.id)
    delivery = make_delivery(question, sender.render_notice("Here"))
    posted = await sender.post(delivery)
    await sender.post(make_delivery(question, sender.render_notice("Another")))
    assert await sender.find_posted(delivery) == posted
    assert len(slack.calls_of("conversations.replies")) == 2


async def test_a_stream_cut_before_its_end_is_found_and_others_are_not(
    slack: SlackServer, sender: SlackAdapter
) -> None:
    question = await make_question(slack)
    known = await sender.post(make_delivery(question, sender.render_notice("Known by its metadata")))
    cut = make_delivery(question)
    posted = Posted()
    await sender.open_stream(cut, posted).write("It begins")
    assert await sender.find_posted(cut) == posted.ids[0]
    assert await sender.find_posted(cut.model_copy(update={"part": 1})) is None
    not_ours = cut.model_copy(update={"known_message_ids": frozenset(posted.ids)})
    assert await sender.find_posted(not_ours) is None
    assert known != posted.ids[0]


async def test_what_stood_before_the_question_is_never_taken_for_the_answer(
    slack: SlackServer, sender: SlackAdapter
) -> None:
    root = await make_question(slack)
    await sender.open_stream(make_delivery(root), Posted()).write("An earlier answer, cut")
    ts = await slack.post_message("U1", "C1", "And then?", root.id)
    later = root.model_copy(update={"id": ts})
    assert await sender.find_posted(make_delivery(later)) is None


async def test_nobody_can_tell_whether_a_message_for_one_pair_of_eyes_was_accepted(
    slack: SlackServer, sender: SlackAdapter
) -> None:
    question = await make_question(slack)
    delivery = make_delivery(question, sender.render_notice("For you"), only_author_sees=True)
    slack.faults.order("chat.postEphemeral", Fault(reset="after"))
    with pytest.raises(UnavailableError):
        await sender.post(delivery)
    with pytest.raises(UndecidableError):
        await sender.find_posted(delivery)


async def test_nothing_is_found_where_nothing_was_accepted(slack: SlackServer, sender: SlackAdapter) -> None:
    question = await make_question(slack)
    delivery = make_delivery(question, sender.render_notice("Never"))
    slack.faults.order("chat.postMessage", Fault(reset="before"))
    with pytest.raises(UnavailableError):
        await sender.post(delivery)
    assert await sender.find_posted(delivery) is None


async def test_a_thread_is_read_back_oldest_first_up_to_the_question(
    slack: SlackServer, sender: SlackAdapter
) -> None:
    root = await slack.post_message("U1", "C1", "The *plan* is &lt;simple&gt;")
    for number in range(8):
        await slack.post_message(f"U{number}", "C1", f"thought {number}", root)
    await slack.post_message("U9", "C1", "beep", root, bot_id="B9")
    question = await make_question(slack)
    asked = await slack.post_message("U1", "C1", "<@U0BOT> so?", root)
    await slack.post_message("U1", "C1", "later", root)
    thread = question.thread.model_copy(update={"id": root})
    message = question.model_copy(update={"id": asked, "thread": thread})
    said = await sender.fetch_thread(message, 100)
    assert [m.text for m in said] == ["The **plan** is <simple>", *(f"thought {n}" for n in range(8)), "beep"]
    assert [m.author.is_bot for m in said] == [False] * 9 + [True]
    assert all(m.thread == thread for m in said)
    newest = await sender.fetch_thread(message, 3)
    assert [m.text for m in newest] == ["thought 6", "thought 7", "beep"]


async def test_our_own_words_in_a_thread_are_known_as_ours(slack: SlackServer, sender: SlackAdapter) -> None:
    question = await make_question(slack)
    await sender.post(make_delivery(question, sender.render_notice("Ours")))
    asked = await slack.post_message("U1", "C1", "more", question.id)
    said = await sender.fetch_thread(question.model_copy(update={"id": asked}), 10)
    assert [(m.text, m.author.is_self) for m in said] == [("How?", False), ("Ours", True)]


async def test_a_status_is_shown_on_the_side_and_its_failure_is_nobodys_business(
    slack: SlackServer, sender: SlackAdapter
) -> None:
    question = await make_question(slack)
    target = make_delivery(question).target
    await sender.show_status(target, "is reading…")
    await slack.until(lambda: slack.api.statuses.get(("C1", question.id)) == ["is reading…"])
    slack.faults.order("assistant.threads.setStatus", Fault(error="internal_error"))
    await sender.show_status(target, "")
    await slack.until(lambda: len(slack.calls_of("assistant.threads.setStatus")) == 2)


async def test_a_deleted_message_is_gone(slack: SlackServer, sender: SlackAdapter) -> None:
    question = await make_question(slack)
    delivery = make_delivery(question, sender.render_notice("Soon gone"))
    posted = await sender.post(delivery)
    await sender.delete(question.thread.channel, posted)
    assert slack.replies("C1", question.id) == []
    with pytest.raises(MessageGoneError):
        await sender.edit(delivery, posted)


async def test_an_empty_answer_is_never_an_empty_post(slack: SlackServer, sender: SlackAdapter) -> None:
    question = await make_question(slack)
    for text in ("", " \n", "\u200b\ufeff"):
        (rendered,) = sender.render_answer(make_answer(text), TURN)
        await sender.post(make_delivery(question, rendered))
    assert all(message.markdown.strip() for message in slack.replies("C1", question.id))
    assert EMPTY.body == {}
