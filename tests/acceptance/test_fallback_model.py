"""The first model breaks off in the middle of every answer, and the next one takes over. The process starts as an
operator's does, with nothing imported before."""

from __future__ import annotations

from bot.testing.slack import SlackServer
from core.storage.database import Database
from core.testing.model_server import Fault, ModelServer
from tests.acceptance.installation import (
    Installation,
    settings_for_model,
    turn_about,
    until,
    until_all_is_done,
)

CHANNEL = "C1"


async def test_the_next_model_answers_when_the_first_cannot(
    installation: Installation, model: ModelServer, own_database: Database
) -> None:
    installation.is_cold = True
    async with ModelServer() as broken, SlackServer() as slack:
        broken.break_all(Fault(kind="cut", after_characters=48))
        first = settings_for_model(broken)
        second = {
            "CHAT_MODEL_FALLBACKS": "anthropic:claude-loopback",
            "ANTHROPIC_API_KEY": "loopback",
            "ANTHROPIC_BASE_URL": model.url,
        }
        async with installation.serving(**slack.environment(), **first, **second):
            question = await slack.mention("U1", CHANNEL, "How are hotels paid?")
            turn = await turn_about(own_database, question)
            await until(lambda: [m for m in slack.replies(CHANNEL, question) if not m.is_streaming])
            await until_all_is_done(own_database)
            (answer,) = slack.replies(CHANNEL, question)
    assert turn.model == "anthropic:claude-loopback"
    assert answer.markdown == turn.answer.text
    assert "company card" in answer.markdown
    assert broken.count == 3
