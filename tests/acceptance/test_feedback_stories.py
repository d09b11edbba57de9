"""What people think of an answer reaches the operator's export and Langfuse; so does the trace of the turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot.testing.discord_server import DiscordServer
from bot.testing.slack import SlackServer
from core.answers import Turn
from core.storage.database import Database
from core.testing.langfuse_server import LangfuseServer
from core.testing.model_server import ModelServer
from tests.acceptance.installation import (
    Installation,
    Serving,
    settings_for_discord,
    settings_for_langfuse,
    settings_for_model,
    turn_about,
    until,
)

CHANNEL = "C1"


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
    )
    async with installation.serving() as serving:
        yield serving


async def answered_in_slack(slack: SlackServer, database: Database) -> tuple[str, Turn]:
    """The id of a fresh answer, and its turn."""
    question = await slack.mention("U1", CHANNEL, "How are hotels paid?")
    await until(lambda: [m for m in slack.replies(CHANNEL, question) if m.block("context_actions")])
    return slack.replies(CHANNEL, question)[0].ts, await turn_about(database, question)


async def answered_in_discord(discord: DiscordServer, database: Database) -> tuple[str, Turn]:
    """The same in Discord."""
    question = discord.mention("ada", "How are hotels paid?")
    await until(lambda: [m for m in discord.replies_to(question) if m["components"]])
    return discord.replies_to(question)[0]["id"], await turn_about(database, question)


def scores(langfuse: LangfuseServer, turn: Turn) -> list[dict[str, Any]]:
    return [score for score in langfuse.scores.values() if score["traceId"] == turn.trace_id]


def values(langfuse: LangfuseServer, turn: Turn) -> list[float]:
    return [score["value"] for score in scores(langfuse, turn)]


async def exported(installation: Installation, turn: Turn) -> list[dict[str, Any]]:
    """What `threadlore export feedback` tells of the turn."""
    done = await installation.run("export", "feedback")
    assert done.code == 0, done.err
    return [line for line in done.lines() if line["turn_id"] == str(turn.id)]


async def test_a_reaction_in_slack_counts_changes_and_is_taken_back(
    slack: SlackServer,
    model: ModelServer,
    langfuse: LangfuseServer,
    installation: Installation,
    own_database: Database,
) -> None:
    answer, turn = await answered_in_slack(slack, own_database)

    await slack.react("U2", CHANNEL, answer, "+1::skin-tone-3")
    await until(lambda: values(langfuse, turn) == [1.0])
    await slack.unreact("U2", CHANNEL, answer, "+1::skin-tone-3")
    await until(lambda: values(langfuse, turn) == [])
    await slack.react("U2", CHANNEL, answer, "-1")
    await until(lambda: values(langfuse, turn) == [-1.0])
    await slack.react("U3", CHANNEL, answer, "tada")
    await slack.react("U3", CHANNEL, answer, "eyes")
    await until(lambda: sorted(values(langfuse, turn)) == [-1.0, 1.0])

    ratings = {line["author"]: line for line in await exported(installation, turn)}
    assert {author: line["rating"] for author, line in ratings.items()} == {"U2": -1, "U3": 1}
    assert all(line["via"] == "reaction" and line["withdrawn_at"] is None for line in ratings.values())
    assert all(line["platform"] == "slack" for line in ratings.values())


async def test_another_reaction_replaces_the_score_and_does_not_add_one(
    slack: SlackServer, model: ModelServer, langfuse: LangfuseServer, own_database: Database
) -> None:
    answer, turn = await answered_in_slack(slack, own_database)
    await slack.react("U2", CHANNEL, answer, "thumbsup")
    await until(lambda: values(langfuse, turn) == [1.0])
    (first,) = scores(langfuse, turn)

    await slack.react("U2", CHANNEL, answer, "thumbsdown")

    await until(lambda: values(langfuse, turn) == [-1.0])
    (second,) = scores(langfuse, turn)
    assert second["id"] == first["id"]


async def test_the_button_in_slack_asks_what_was_wrong_and_keeps_the_comment(
    slack: SlackServer,
    model: ModelServer,
    langfuse: LangfuseServer,
    installation: Installation,
    own_database: Database,
) -> None:
    answer, turn = await answered_in_slack(slack, own_database)

    await slack.click_feedback("U2", CHANNEL, answer, -1)
    await until(lambda: slack.api.views)
    await slack.submit_modal("U2", "The limit has changed.")
    await until(lambda: [s for s in scores(langfuse, turn) if s.get("comment")])

    (score,) = scores(langfuse, turn)
    assert (score["value"], score["comment"]) == (-1.0, "The limit has changed.")
    (line,) = await exported(installation, turn)
    assert (line["author"], line["rating"], line["via"]) == ("U2", -1, "button")
    assert line["comment"] == "The limit has changed."


async def test_a_reaction_in_discord_counts_changes_and_is_taken_back(
    discord: DiscordServer,
    model: ModelServer,
    langfuse: LangfuseServer,
    installation: Installation,
    own_database: Database,
) -> None:
    answer, turn = await answered_in_discord(discord, own_database)

    discord.react("grace", answer, "👍🏽")
    await until(lambda: values(langfuse, turn) == [1.0])
    discord.unreact("grace", answer, "👍🏽")
    await until(lambda: values(langfuse, turn) == [])
    discord.react("grace", answer, "👎")
    await until(lambda: values(langfuse, turn) == [-1.0])
    discord.react("mee6", answer, "👍", bot=True)

    (line,) = await exported(installation, turn)
    assert (line["platform"], line["rating"], line["via"]) == ("discord", -1, "reaction")


async def test_the_button_in_discord_asks_what_was_wrong_and_keeps_the_comment(
    discord: DiscordServer, model: ModelServer, langfuse: LangfuseServer, own_database: Database
) -> None:
    answer, turn = await answered_in_discord(discord, own_database)

    clicked = discord.click_feedback("grace", answer, "down")
    await until(lambda: discord.interaction(clicked).form)
    discord.submit_modal("grace", clicked, "The limit has changed.")
    await until(lambda: [s for s in scores(langfuse, turn) if s.get("comment")])

    (score,) = scores(langfuse, turn)
    assert (score["value"], score["comment"]) == (-1.0, "The limit has changed.")


async def test_the_trace_of_a_turn_shows_its_steps(
    slack: SlackServer, model: ModelServer, langfuse: LangfuseServer, own_database: Database
) -> None:
    _, turn = await answered_in_slack(slack, own_database)
    await until(lambda: langfuse.trace(turn.trace_id))

    root, *steps = langfuse.trace(turn.trace_id)
    assert root.parent_id is None
    names = {step.name for step in steps}
    assert {"remember", "search", "check"} <= names
    (generation,) = [step for step in steps if step.kind == "generation"]
    assert generation.attributes["observation.usage_details"]["output"] > 0


async def test_while_langfuse_is_down_answers_come_and_ratings_wait(
    slack: SlackServer,
    model: ModelServer,
    langfuse: LangfuseServer,
    installation: Installation,
    own_database: Database,
) -> None:
    langfuse.break_with = 503
    answer, turn = await answered_in_slack(slack, own_database)
    refused = langfuse.requests.get("v3", 0)
    await slack.react("U2", CHANNEL, answer, "+1")
    await until(lambda: langfuse.requests.get("v3", 0) > refused)
    assert [line["rating"] for line in await exported(installation, turn)] == [1]
    assert scores(langfuse, turn) == []

    langfuse.break_with = None

    await until(lambda: values(langfuse, turn) == [1.0])
    await until(lambda: langfuse.trace(turn.trace_id))


async def test_a_slow_langfuse_slows_nobody_down(
    slack: SlackServer, model: ModelServer, langfuse: LangfuseServer, own_database: Database
) -> None:
    langfuse.delay_seconds = 3.0
    try:
        before = dict(langfuse.requests)
        _, first = await answered_in_slack(slack, own_database)
        await until(lambda: langfuse.requests != before)
        _, second = await answered_in_slack(slack, own_database)
        assert langfuse.trace(first.trace_id) == [], "the trace is still on its way, and both have answers"
    finally:
        langfuse.delay_seconds = 0.0
    await until(lambda: langfuse.trace(first.trace_id) and langfuse.trace(second.trace_id))
