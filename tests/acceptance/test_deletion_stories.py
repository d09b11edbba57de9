"""U9: what was deleted is gone, wherever it went: from every table, from the logs, and from the traces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import pytest
from sqlalchemy import text

from bot.testing.discord_server import DiscordServer
from bot.testing.slack import SlackServer
from core.storage.database import Database
from core.testing.langfuse_server import LangfuseServer
from core.testing.model_server import ModelServer, reply_with_first_passage
from tests.acceptance.installation import (
    Installation,
    Serving,
    eventually,
    settings_for_discord,
    settings_for_langfuse,
    settings_for_model,
    turn_about,
    until,
    until_all_is_done,
)

CHANNEL = "C1"
TABLES = "select quote_ident(table_name) as name from information_schema.tables where table_schema = 'public'"


@pytest.fixture(scope="module", autouse=True)
async def serving(
    installation: Installation,
    slack: SlackServer,
    discord: DiscordServer,
    model_server: ModelServer,
    langfuse: LangfuseServer,
) -> AsyncIterator[Serving]:
    installation.settings |= (
        slack.environment()
        | settings_for_discord(discord)
        | settings_for_model(model_server)
        | settings_for_langfuse(langfuse)
        | {"LOG_LEVEL": "DEBUG"}
    )
    async with installation.serving() as serving:
        yield serving


class Canary:
    """A word that stands nowhere else, and the places where it could have gone."""

    def __init__(self, database: Database, langfuse: LangfuseServer, serving: Serving) -> None:
        self.word = f"canary{uuid4().hex[:12]}"
        self._database = database
        self._langfuse = langfuse
        self._serving = serving

    def reply(self, messages: Sequence[object]) -> str:
        """What a model says that repeats what it was asked."""
        return f"{self.word}: {reply_with_first_passage(messages)}"  # type: ignore[arg-type]

    async def tables(self) -> list[str]:
        """The tables that hold the word, in any column."""
        found = []
        for row in await self._database.run(text(TABLES)):
            statement = f"select count(*) as n from {row.name} as t where t::text like :word"  # noqa: S608
            (hits,) = await self._database.run(text(statement), {"word": f"%{self.word}%"})
            if hits.n:
                found.append(row.name)
        return sorted(found)

    def is_traced(self) -> bool:
        return any(self.word in str(item.attributes) for item in self._langfuse.observations.values()) or any(
            self.word in str(score) for score in self._langfuse.scores.values()
        )

    def is_logged(self) -> bool:
        return self.word in self._serving.log.read_text()

    async def until_gone(self) -> None:
        async def look() -> bool:
            return not await self.tables() and not self.is_traced()

        await eventually(look)
        await until_all_is_done(self._database)
        assert await self.tables() == []
        assert not self.is_traced()
        assert not self.is_logged()


@pytest.fixture
def canary(own_database: Database, langfuse: LangfuseServer, serving: Serving, model: ModelServer) -> Canary:
    canary = Canary(own_database, langfuse, serving)
    model.reply = canary.reply
    return canary


async def test_a_question_deleted_in_slack_is_gone_everywhere(
    slack: SlackServer, canary: Canary, own_database: Database
) -> None:
    question = await slack.mention("U1", CHANNEL, f"How are hotels paid, {canary.word}?")
    await until(lambda: [m for m in slack.replies(CHANNEL, question) if m.block("context_actions")])
    await slack.click_feedback("U1", CHANNEL, slack.replies(CHANNEL, question)[0].ts, 1)
    await turn_about(own_database, question)
    await until(canary.is_traced)
    assert "turns" in await canary.tables(), "the test would see it"

    await slack.delete(CHANNEL, question)

    await canary.until_gone()
    assert slack.replies(CHANNEL, question) == []


async def test_questions_deleted_in_bulk_in_discord_are_gone_everywhere(
    discord: DiscordServer, canary: Canary, own_database: Database
) -> None:
    questions = [discord.mention("ada", f"How are hotels paid, {canary.word} {n}?") for n in range(3)]
    for question in questions:
        await until(lambda question=question: [m for m in discord.replies_to(question) if m["components"]])  # type: ignore[misc]
        await turn_about(own_database, question)
    await until(canary.is_traced)

    discord.delete_many(questions)

    await canary.until_gone()
    await until(lambda: not any(discord.replies_to(question) for question in questions))


async def test_a_question_deleted_while_it_is_answered_leaves_nothing(
    discord: DiscordServer, canary: Canary, model: ModelServer
) -> None:
    model.pace_seconds = 0.5
    question = discord.mention("ada", f"How are trains booked, {canary.word}?")
    await until(lambda: discord.replies_to(question))

    discord.delete(question)

    await until(lambda: not discord.replies_to(question))
    await canary.until_gone()


async def test_our_reply_deleted_by_somebody_is_gone_with_its_turn_and_never_comes_back(
    discord: DiscordServer, canary: Canary, own_database: Database
) -> None:
    question = discord.mention("ada", f"How are hotels paid, {canary.word}?")
    await until(lambda: [m for m in discord.replies_to(question) if m["components"]])
    await turn_about(own_database, question)
    await until(canary.is_traced)

    discord.delete(discord.replies_to(question)[0]["id"])
    await canary.until_gone()

    discord.edit(question, f"<@{discord.bot_id}> How are trains booked?")
    edits = text("select 1 from inbox where kind = 'message_edited' and message_id = :id and state = 'done'")
    await eventually(lambda: own_database.run(edits, {"id": question}))
    assert discord.replies_to(question) == []
