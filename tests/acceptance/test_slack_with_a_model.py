"""Slack calls over HTTP, and a model writes the answers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.testing.slack import SlackServer
from core.storage.database import Database
from core.testing.model_server import ModelServer
from tests.acceptance.installation import Installation, Serving, settings_for_model, turn_about, until

CHANNEL = "C1"


@pytest.fixture(scope="module", autouse=True)
async def serving(
    installation: Installation, slack: SlackServer, model_server: ModelServer
) -> AsyncIterator[Serving]:
    model = settings_for_model(model_server)
    async with installation.serving(**slack.environment("http"), **model) as serving:
        slack.deliver_to(f"{serving.address}/slack/events")
        yield serving


async def test_an_answer_is_shown_while_it_is_written_and_ends_whole(
    slack: SlackServer, model: ModelServer, own_database: Database
) -> None:
    model.pace_seconds = 0.5
    question = await slack.mention("U1", CHANNEL, "How are hotels paid?")
    await until(lambda: slack.calls_of("chat.stopStream"))
    (answer,) = slack.replies(CHANNEL, question)
    turn = await turn_about(own_database, question)

    assert [len(slack.calls_of(f"chat.{name}")) for name in ("startStream", "stopStream", "postMessage")] == [
        1,
        1,
        0,
    ]
    assert slack.calls_of("chat.appendStream")
    assert len(answer.seen) > 2
    assert all(
        later.startswith(earlier) for earlier, later in zip(answer.seen, answer.seen[1:], strict=False)
    )
    await until(lambda: not answer.is_streaming)
    assert answer.markdown == turn.answer.text
    assert "company card" in answer.markdown
    assert answer.block("context") is not None
    assert turn.model == "openai:loopback"
    assert turn.use.output_tokens > 0


async def test_who_is_summoned_into_a_thread_knows_what_was_said_in_it(
    slack: SlackServer, model: ModelServer
) -> None:
    root = await slack.post_message("U1", CHANNEL, "My train to Bergen leaves on Monday.")
    await slack.post_message("U2", CHANNEL, "Then ask about it soon.", thread_ts=root)
    await slack.mention("U1", CHANNEL, "How are they booked?", thread_ts=root)
    await until(lambda: [m for m in slack.replies(CHANNEL, root) if not m.is_streaming])

    told = "\n".join(call.text for call in model.requests)
    assert "My train to Bergen leaves on Monday." in told
    assert "Then ask about it soon." in told


async def test_the_model_is_told_what_was_asked_and_answered_before(
    slack: SlackServer, model: ModelServer
) -> None:
    question = await slack.mention("U1", CHANNEL, "Who can take parental leave?")
    await until(lambda: [m for m in slack.replies(CHANNEL, question) if not m.is_streaming])
    model.requests.clear()
    await slack.post_message("U1", CHANNEL, "And how long is it?", thread_ts=question)
    await until(lambda: len([m for m in slack.replies(CHANNEL, question) if not m.is_streaming]) == 2)

    assert all("Question: Who can take parental leave?" in call.text for call in model.requests)
    assert "lasts 26 weeks" in model.requests[0].text


async def test_what_is_not_signed_by_slack_is_refused(slack: SlackServer) -> None:
    body = '{"type": "event_callback"}'
    wrong = slack.deliverer.signed(body) | {
        "X-Slack-Signature": "v0=0",
        "Content-Type": "application/json",
    }
    assert await slack.deliverer.send(body, wrong) == 401
