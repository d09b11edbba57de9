"""Langfuse is down, then slow, then back: nobody who asks notices, and no rating is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.testing.slack import SlackServer
from core.answers import Turn
from core.storage.database import Database
from core.testing.langfuse_server import LangfuseServer
from core.testing.model_server import ModelServer
from tests.acceptance.installation import (
    Installation,
    eventually,
    settings_for_langfuse,
    settings_for_model,
    turn_about,
    until,
    until_all_is_done,
)

CHANNEL = "C1"
LANGFUSE_DELAY_SECONDS = 30.0


async def ask(slack: SlackServer, database: Database) -> tuple[str, Turn]:
    """The id of a fresh answer, and its turn; well before a slow Langfuse has said anything."""
    async with asyncio.timeout(LANGFUSE_DELAY_SECONDS - 5):
        question = await slack.mention("U1", CHANNEL, "How are hotels paid?")
        await until(lambda: [m for m in slack.replies(CHANNEL, question) if m.block("context_actions")])
        return slack.replies(CHANNEL, question)[0].ts, await turn_about(database, question)


@pytest.mark.long
async def test_answers_go_on_and_every_rating_arrives_after_the_return(
    installation: Installation, model: ModelServer, langfuse: LangfuseServer, own_database: Database
) -> None:
    turns: list[Turn] = []
    async with SlackServer() as slack:
        settings = slack.environment() | settings_for_model(model) | settings_for_langfuse(langfuse)
        async with installation.serving(**settings):
            faults: list[tuple[int | None, float]] = [(500, 0.0), (None, LANGFUSE_DELAY_SECONDS)]
            for status, delay_seconds in faults:
                langfuse.break_with, langfuse.delay_seconds = status, delay_seconds
                for _ in range(2):
                    answer, turn = await ask(slack, own_database)
                    turns.append(turn)
                    await slack.react("U2", CHANNEL, answer, "+1")
                    await slack.react("U3", CHANNEL, answer, "-1")
            await until_all_is_done(own_database)
            assert langfuse.scores == {}
            langfuse.break_with, langfuse.delay_seconds = None, 0.0

            async def all_there() -> bool:
                return all(sorted(ratings(langfuse, turn)) == [-1.0, 1.0] for turn in turns)

            await eventually(all_there)
    assert all(turn.outcome == "answered" for turn in turns)


def ratings(langfuse: LangfuseServer, turn: Turn) -> list[Any]:
    return [score["value"] for score in langfuse.scores.values() if score["traceId"] == turn.trace_id]
