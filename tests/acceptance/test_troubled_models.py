"""The model fails, hangs or says nothing: people are told so in time and in plain words."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.testing.discord_server import DiscordServer
from bot.testing.slack import SlackServer
from core.storage.database import Database
from core.testing.model_server import Fault, ModelServer
from tests.acceptance.installation import (
    Installation,
    Serving,
    eventually,
    settings_for_discord,
    settings_for_model,
    turn_about,
    until,
    until_all_is_done,
)

CHANNEL = "C1"
TURN_SECONDS = 8
INSIDES = ("Error", "error", "Traceback", "made to fail", "openai", "loopback", "Exception", "{")


@pytest.fixture(scope="module")
async def serving(
    installation: Installation, slack: SlackServer, discord: DiscordServer, model_server: ModelServer
) -> AsyncIterator[Serving]:
    settings = slack.environment() | settings_for_discord(discord) | settings_for_model(model_server)
    serving = await installation.start(**settings, TURN_TIMEOUT_SECONDS=str(TURN_SECONDS))
    yield serving
    await serving.stop()


async def notices(slack: SlackServer, discord: DiscordServer, database: Database) -> tuple[list[str], str]:
    """Ask on both platforms; what stands there in the end, and how the turn in Slack ended."""
    in_slack = await slack.mention("U1", CHANNEL, "How are hotels paid?")
    in_discord = discord.mention("ada", "How are hotels paid?")
    turn = await turn_about(database, in_slack)
    await until(lambda: slack.replies(CHANNEL, in_slack) and discord.replies_to(in_discord))
    await until_all_is_done(database)
    (shown_in_slack,) = slack.replies(CHANNEL, in_slack)
    (shown_in_discord,) = discord.replies_to(in_discord)
    assert not shown_in_slack.is_streaming
    return [shown_in_slack.markdown, shown_in_discord["content"]], f"{turn.outcome}: {turn.answer.reason}"


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(kind="status", status=401), id="refuses our key"),
        pytest.param(Fault(kind="status", status=500), id="is broken"),
        pytest.param(Fault(kind="empty"), id="says nothing"),
        pytest.param(Fault(kind="cut", after_characters=48), id="breaks off"),
    ],
)
async def test_a_model_that_fails_is_told_and_the_documents_are_quoted(
    slack: SlackServer,
    discord: DiscordServer,
    serving: Serving,
    model: ModelServer,
    own_database: Database,
    fault: Fault,
) -> None:
    model.break_all(fault)

    shown, end = await notices(slack, discord, own_database)

    assert end == "answered: model_failed"
    for text in shown:
        assert "language model that I write answers with is not available" in text
        assert "Hotels are paid with the company card" in text
        assert not any(word in text for word in INSIDES)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(kind="black_hole"), id="never answers"),
        pytest.param(Fault(kind="stall", after_characters=48), id="falls silent"),
        pytest.param(Fault(kind="drip", interval_seconds=0.5), id="drips"),
    ],
)
async def test_a_model_that_hangs_is_told_when_its_time_is_up(
    slack: SlackServer,
    discord: DiscordServer,
    serving: Serving,
    model: ModelServer,
    own_database: Database,
    fault: Fault,
) -> None:
    model.break_all(fault)

    shown, end = await notices(slack, discord, own_database)

    assert end == "answered: model_failed"
    for text in shown:
        assert "language model that I write answers with is not available" in text
        assert "Hotels are paid with the company card" in text
        assert not any(word in text for word in INSIDES)


async def test_after_the_trouble_everything_is_as_before(
    slack: SlackServer, discord: DiscordServer, serving: Serving, model: ModelServer, own_database: Database
) -> None:
    async def ask_again() -> list[str]:
        shown, end = await notices(slack, discord, own_database)
        as_before = end == "answered: None" and not any("not available" in text for text in shown)
        return shown if as_before else []

    shown = await eventually(
        ask_again
    )  # it was left alone, and is probed with one question every ten seconds
    assert all("company card" in text for text in shown)
