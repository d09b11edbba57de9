"""Money and patience have their limits: what people see when a budget is spent or somebody asks too much."""

from __future__ import annotations

from functools import partial

import httpx
import pytest
from sqlalchemy import text

from bot.testing.slack import SlackServer
from core.storage.database import Database
from core.testing.model_server import ModelServer
from tests.acceptance.installation import (
    Installation,
    Serving,
    eventually,
    settings_for_model,
    turn_about,
    until_all_is_done,
)

CHANNEL = "C1"


async def how_it_ended(database: Database, question: str) -> str | None:
    """None as long as the question has not ended."""
    statement = text("select ended_as from inbox where message_id = :question and kind = 'message_posted'")
    rows = await database.run(statement, {"question": question})
    return rows[0].ended_as if rows else None


async def figure(serving: Serving, name: str) -> float:
    """A figure of /metrics, all its labels together."""
    async with httpx.AsyncClient() as client:
        page = (await client.get(f"{serving.address}/metrics")).text
    lines = [line for line in page.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def test_when_the_budget_is_spent_the_documents_are_quoted(
    installation: Installation, model: ModelServer, own_database: Database
) -> None:
    settings = settings_for_model(model) | {
        "MODEL_PRICES": "openai:loopback=1/10",
        "BUDGET_USD_PER_DAY": "0.1",
        "BUDGET_USD_PER_PERSON_PER_DAY": "0.03",
        "MODEL_OUTPUT_TOKENS": "2000",
    }
    async with SlackServer() as slack, installation.serving(**slack.environment(), **settings) as serving:
        first = await slack.mention("U1", CHANNEL, "How are hotels paid?")
        turn = await turn_about(own_database, first)
        assert (turn.model, turn.answer.reason) == ("openai:loopback", None)
        spent = text("select usd from spending where scope = 'person' and id = 'U1'")

        async def settled() -> list[float]:
            return [float(row.usd) for row in await own_database.run(spent)]

        (cost,) = await eventually(settled)
        assert turn.use.cost_usd is not None
        assert abs(cost - turn.use.cost_usd) < 1e-8

        await own_database.run(text("update spending set usd = 0.03 where scope = 'person'"))
        asked = model.count
        second = await slack.mention("U1", CHANNEL, "How are trains booked?")
        turn = await turn_about(own_database, second)
        assert (turn.outcome, turn.model, turn.answer.reason) == ("answered", "extractive", "budget_spent")
        assert "used up until tomorrow" in turn.answer.text
        assert "Trains are booked with the travel desk" in turn.answer.text
        assert model.count == asked
        other = await turn_about(own_database, await slack.mention("U2", CHANNEL, "How are hotels paid?"))
        assert (other.model, other.answer.reason) == ("openai:loopback", None)
        await until_all_is_done(own_database)
        assert await figure(serving, "threadlore_budget_refusals_total") == 1
        assert await figure(serving, "threadlore_quoted_answers_total") == 1
        assert await figure(serving, "threadlore_budget_spent_usd_total") > 0


@pytest.mark.long
async def test_one_person_cannot_ask_without_end(
    installation: Installation, model: ModelServer, own_database: Database
) -> None:
    settings = settings_for_model(model) | {"QUESTIONS_PER_PERSON_PER_DAY": "2"}
    async with SlackServer() as slack, installation.serving(**slack.environment(), **settings) as serving:
        questions = []
        for _ in range(5):
            question = await slack.mention("U7", CHANNEL, "How are hotels paid?")
            questions.append(question)
            await eventually(partial(how_it_ended, own_database, question))
        shown = [[m.markdown for m in slack.replies(CHANNEL, question)] for question in questions]
        other = await turn_about(own_database, await slack.mention("U2", CHANNEL, "How are hotels paid?"))
        refused = await figure(serving, "threadlore_questions_refused_total")
    assert [len(messages) for messages in shown[:3]] == [1, 1, 1]
    assert "more than 2 questions today" in shown[2][0]
    assert sum(len(messages) for messages in shown[3:]) <= 1, "one notice for each minute that has begun"
    assert model.count == 3
    assert other.outcome == "answered"
    assert refused == 3
