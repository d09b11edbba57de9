"""People ask in Slack, over its socket; no model is set, so answers are quotes from the handbook."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.testing.slack import SlackMessage, SlackServer
from core.storage.database import Database
from tests.acceptance.installation import (
    PATIENCE_SECONDS,
    Installation,
    Serving,
    turn_about,
    turns_about,
    until_all_is_done,
)

CHANNEL = "C1"


@pytest.fixture(scope="module", autouse=True)
async def serving(installation: Installation, slack: SlackServer) -> AsyncIterator[Serving]:
    async with installation.serving(**slack.environment()) as serving:
        yield serving


async def answer_to(slack: SlackServer, question: str, channel: str = CHANNEL) -> SlackMessage:
    """The one whole answer in the thread of the question."""

    def whole() -> bool:
        replies = slack.replies(channel, question)
        return bool(replies) and not any(reply.is_streaming for reply in replies)

    await slack.until(whole, PATIENCE_SECONDS)
    (answer,) = slack.replies(channel, question)
    return answer


async def test_a_mention_is_answered_in_its_thread_with_the_source_and_recorded(
    slack: SlackServer, own_database: Database
) -> None:
    question = await slack.mention("U1", CHANNEL, "How are hotels paid?")

    answer = await answer_to(slack, question)
    turn = await turn_about(own_database, question)

    assert "company card" in answer.markdown
    assert "[1]" in answer.markdown
    sources = answer.block("context")
    assert sources is not None
    assert sources["elements"][0]["text"] == "[1] Hotels"
    assert answer.block("context_actions") is not None
    assert (turn.outcome, turn.question) == ("answered", "How are hotels paid?")
    assert [citation.title for citation in turn.answer.citations] == ["Hotels"]


async def test_a_direct_message_needs_no_mention(slack: SlackServer) -> None:
    question = await slack.dm("U2", "How do I book a train?")
    assert "4711" in (await answer_to(slack, question, "DU2")).markdown


async def test_a_follow_up_without_a_mention_is_understood_from_what_was_said_before(
    slack: SlackServer, own_database: Database
) -> None:
    question = await slack.mention("U1", CHANNEL, "Who can take parental leave?")
    await answer_to(slack, question)

    follow_up = await slack.post_message("U1", CHANNEL, "And how long does it last?", thread_ts=question)
    await slack.until(lambda: len(slack.replies(CHANNEL, question)) == 2, PATIENCE_SECONDS)

    turn = await turn_about(own_database, follow_up)
    assert "26 weeks" in turn.answer.text
    assert [citation.title for citation in turn.answer.citations] == ["Parental leave"]
    assert "26 weeks" in slack.replies(CHANNEL, question)[1].markdown


async def test_a_mention_that_slack_tells_of_many_times_gets_one_answer(
    slack: SlackServer, own_database: Database
) -> None:
    question = await slack.mention("U1", CHANNEL, "Where is a lost badge replaced?")
    about_it = [d for d in slack.deliverer.deliveries if d.payload["event"].get("ts") == question]
    assert [delivery.payload["event"]["type"] for delivery in about_it] == ["message", "app_mention"]
    for delivery in about_it:
        slack.redeliver(delivery)
    await answer_to(slack, question)
    slack.redeliver(about_it[0])

    await slack.settled(PATIENCE_SECONDS)
    await until_all_is_done(own_database)

    assert len(slack.replies(CHANNEL, question)) == 1
    assert len(await turns_about(own_database, question)) == 1


async def test_bots_and_talk_among_people_are_left_alone(slack: SlackServer, own_database: Database) -> None:
    bot = f"<@{slack.workspace.bot_user_id}>"
    by_bot = await slack.post_message(
        "U9", CHANNEL, f"{bot} How are hotels paid?", subtype="bot_message", bot_id="B9"
    )
    chat = await slack.post_message("U1", CHANNEL, "How are hotels paid?")
    await slack.post_message("U2", CHANNEL, "With the card, I think.", thread_ts=chat)

    await slack.settled(PATIENCE_SECONDS)
    await until_all_is_done(own_database)

    assert slack.replies(CHANNEL, by_bot) == []
    assert slack.replies(CHANNEL, chat) == []


async def test_a_bot_that_answers_everything_gets_no_answer_itself(
    slack: SlackServer, own_database: Database
) -> None:
    """Two bots that mention each other must not go on for ever."""
    question = await slack.mention("U1", CHANNEL, "How are hotels paid?")
    await answer_to(slack, question)
    for _ in range(3):
        text = f"<@{slack.workspace.bot_user_id}> Thank you! How are hotels paid?"
        await slack.post_message("U8", CHANNEL, text, thread_ts=question, bot_id="B8")
    await slack.settled(PATIENCE_SECONDS)
    await until_all_is_done(own_database)
    assert len(slack.replies(CHANNEL, question)) == 1


async def test_what_the_documents_do_not_say_is_said_not_to_be_there(
    slack: SlackServer, own_database: Database
) -> None:
    question = await slack.mention("U1", CHANNEL, "What is the capital of Mongolia?")

    answer = await answer_to(slack, question)

    assert "could not find an answer" in answer.markdown
    assert "[1]" not in answer.markdown
    assert (await turn_about(own_database, question)).outcome == "abstained"


async def test_an_edited_question_is_answered_anew_in_the_same_place(
    slack: SlackServer, own_database: Database
) -> None:
    question = await slack.mention("U1", CHANNEL, "How are hotels paid?")
    before = await answer_to(slack, question)

    await slack.edit(CHANNEL, question, f"<@{slack.workspace.bot_user_id}> How do I book a train?")
    await slack.until(lambda: "4711" in slack.message(CHANNEL, before.ts).markdown, PATIENCE_SECONDS)

    assert [reply.ts for reply in slack.replies(CHANNEL, question)] == [before.ts]
    await until_all_is_done(own_database)
    assert (await turn_about(own_database, question)).question == "How do I book a train?"


async def test_the_answer_to_a_deleted_question_goes_with_it(
    slack: SlackServer, own_database: Database
) -> None:
    question = await slack.mention("U1", CHANNEL, "Who can take a sabbatical?")
    answer = await answer_to(slack, question)
    await until_all_is_done(own_database)

    await slack.delete(CHANNEL, question)
    await slack.until(lambda: slack.message(CHANNEL, answer.ts).deleted, PATIENCE_SECONDS)

    assert await turns_about(own_database, question) == []
