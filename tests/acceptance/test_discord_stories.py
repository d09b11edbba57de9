"""People ask in Discord; a model writes the answers."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from bot.testing.discord_server import DiscordServer
from core.storage.database import Database
from core.testing.model_server import ModelServer, reply_with_first_passage
from tests.acceptance.installation import (
    Installation,
    Serving,
    settings_for_discord,
    settings_for_model,
    turn_about,
    turns_about,
    until,
    until_all_is_done,
)

Json = dict[str, Any]


@pytest.fixture(scope="module")
async def discord() -> AsyncIterator[DiscordServer]:
    async with DiscordServer() as server:
        yield server
        assert server.violations == []
        assert server.world.pings == []


@pytest.fixture(scope="module", autouse=True)
async def serving(
    installation: Installation, discord: DiscordServer, model_server: ModelServer
) -> AsyncIterator[Serving]:
    settings = settings_for_discord(discord) | settings_for_model(model_server)
    async with installation.serving(**settings) as serving:
        yield serving


def reply_as_somebody_who_listens(messages: Sequence[tuple[str, str]]) -> str:
    """The loopback model's reply, but a follow-up is rewritten with the question before it."""
    text = messages[-1][1]
    earlier = re.findall(r"^Question: (.+)$", text, re.MULTILINE)
    if "<passage" in text or not earlier:
        return reply_with_first_passage(messages)
    return f"{earlier[-1]} {reply_with_first_passage(messages)}"


async def whole_answer(discord: DiscordServer, question: str, channel: str | None = None) -> Json:
    """The one reply to a question, once it has its buttons."""
    await until(lambda: [m for m in discord.replies_to(question, channel) if m["components"]])
    (answer,) = discord.replies_to(question, channel)
    return answer


async def test_a_mention_is_answered_with_the_source_and_recorded(
    discord: DiscordServer, model: ModelServer, own_database: Database
) -> None:
    question = discord.mention("ada", "How are hotels paid?")

    answer = await whole_answer(discord, question)
    turn = await turn_about(own_database, question)

    assert "company card" in answer["content"]
    assert "**Sources**\n1. Hotels" in answer["content"]
    assert turn.outcome == "answered"


async def test_an_answer_is_shown_while_it_is_written(discord: DiscordServer, model: ModelServer) -> None:
    model.pace_seconds = 0.5
    question = discord.mention("ada", "How are trains booked?")
    await until(lambda: discord.replies_to(question))
    (beginning,) = discord.replies_to(question)
    assert not beginning["components"]
    assert "4711" in (await whole_answer(discord, question))["content"]


async def test_a_reply_to_the_answer_goes_on_with_it(
    discord: DiscordServer, model: ModelServer, own_database: Database
) -> None:
    model.reply = reply_as_somebody_who_listens
    question = discord.mention("ada", "Who can take parental leave?")
    answer = await whole_answer(discord, question)

    follow_up = discord.reply("ada", "And how long does it last?", to=answer["id"])

    turn = await turn_about(own_database, follow_up)
    assert [citation.title for citation in turn.answer.citations] == ["Parental leave"]
    await until(lambda: any("26 weeks" in m["content"] for m in discord.replies_to(question)[1:]))


async def test_a_thread_is_answered_in_and_remembered(
    discord: DiscordServer, model: ModelServer, own_database: Database
) -> None:
    model.reply = reply_as_somebody_who_listens
    thread = discord.create_thread("time off")
    question = discord.mention("ada", "Who can take parental leave?", channel=thread)
    await whole_answer(discord, question, thread)

    follow_up = discord.post_message("ada", "And how long does it last?", channel=thread)

    assert "26 weeks" in (await whole_answer(discord, follow_up, thread))["content"]
    turn = await turn_about(own_database, follow_up)
    assert [citation.title for citation in turn.answer.citations] == ["Parental leave"]


async def test_a_direct_message_needs_no_mention(discord: DiscordServer, model: ModelServer) -> None:
    question = discord.dm("grace", "How are trains booked?")
    assert "4711" in (await whole_answer(discord, question, discord.dm_channel("grace")))["content"]


async def test_bots_and_talk_among_people_are_left_alone(
    discord: DiscordServer, model: ModelServer, own_database: Database
) -> None:
    by_bot = discord.mention("mee6", "How are hotels paid?", bot=True)
    chat = discord.post_message("ada", "How are hotels paid?")
    answered = discord.mention("ada", "Where is a lost badge replaced?")
    await whole_answer(discord, answered)
    await until_all_is_done(own_database)

    assert discord.replies_to(by_bot) == []
    assert discord.replies_to(chat) == []


async def test_what_the_documents_do_not_say_is_said_not_to_be_there(
    discord: DiscordServer, model: ModelServer, own_database: Database
) -> None:
    model.reply = lambda messages: "NO_ANSWER"
    question = discord.mention("ada", "What is the capital of Mongolia?")
    assert "could not find an answer" in (await whole_answer(discord, question))["content"]
    assert (await turn_about(own_database, question)).outcome == "abstained"


async def test_the_command_is_answered_in_the_channel(discord: DiscordServer, model: ModelServer) -> None:
    asked = discord.slash_ask("ada", "How are hotels paid?")

    def answered() -> list[Json]:
        return [
            m
            for m in discord.visible(discord.general)
            if (m.get("interaction_metadata") or {}).get("id") == asked and m["components"]
        ]

    await until(answered)
    (answer,) = answered()
    assert "company card" in answer["content"]


async def test_the_private_command_is_answered_for_one_pair_of_eyes(
    discord: DiscordServer, model: ModelServer
) -> None:
    before = len(discord.visible(discord.general))
    discord.slash_ask("linus", "How are hotels paid?", private=True)
    await until(lambda: [m for m in discord.ephemeral_to("linus") if m["components"]])
    (answer,) = discord.ephemeral_to("linus")
    assert "company card" in answer["content"]
    assert len(discord.visible(discord.general)) == before


async def test_help_is_for_who_asks_for_it(discord: DiscordServer, model: ModelServer) -> None:
    discord.slash("help", "margaret")
    await until(lambda: discord.ephemeral_to("margaret"))
    assert "/ask" in discord.ephemeral_to("margaret")[0]["content"]


async def test_a_long_answer_is_split_and_no_part_is_too_long(
    discord: DiscordServer, model: ModelServer
) -> None:
    lines = [f"{n}. Hotels are paid with the company card, wherever they are [1]." for n in range(1, 91)]
    model.reply = lambda messages: "\n".join(lines)
    question = discord.mention("ada", "How are hotels paid?")
    await until(lambda: [m for m in discord.replies_to(question) if m["components"]])

    parts = [message["content"] for message in discord.replies_to(question)]
    assert len(parts) > 2
    assert max(map(len, parts)) <= 2000
    shown = "\n".join(parts)
    assert all(f"{n}. Hotels are paid" in shown for n in range(1, 91))
    assert "**Sources**" in parts[-1]


async def test_an_edited_question_is_answered_anew_in_the_same_place(
    discord: DiscordServer, model: ModelServer, own_database: Database
) -> None:
    question = discord.mention("ada", "How are hotels paid?")
    before = await whole_answer(discord, question)

    discord.edit(question, f"<@{discord.bot_id}> How are trains booked?")
    await until(lambda: "4711" in discord.replies_to(question)[0]["content"])

    assert [message["id"] for message in discord.replies_to(question)] == [before["id"]]
    await until_all_is_done(own_database)
    assert (await turn_about(own_database, question)).question == "How are trains booked?"


async def test_the_answer_to_a_deleted_question_goes_with_it(
    discord: DiscordServer, model: ModelServer, own_database: Database
) -> None:
    question = discord.mention("ada", "Who can take a sabbatical?")
    await whole_answer(discord, question)
    await until_all_is_done(own_database)

    discord.delete(question)
    await until(lambda: not discord.replies_to(question))

    await until_all_is_done(own_database)
    assert await turns_about(own_database, question) == []
