"""O2: what operators get wrong about names, values, and what they name on this machine, one mistake at a time; the doctor names it with its remedy."""

from __future__ import annotations

import pytest

from bot.commands.checking import examine
from tests.integration.mistakes.making import NOBODY, Ground, Mistake, Mistakes, require_named

MISTAKES = Mistakes()

MISTAKES.setting(
    "a name of another tool",
    "settings",
    "settings",
    "LANGFUSE_BASE_URL",
    LANGFUSE_HOST="https://x",
    LANGFUSE_BASE_URL="",
)
MISTAKES.setting(
    "a name nearly right",
    "settings",
    "settings",
    "DISCORD_TOKEN",
    DISCORD_BOT_TOKEN="x",
    DISCORD_TOKEN="",
)
MISTAKES.setting("quotation marks", "settings", "settings", "quotation", CHAT_MODEL='"openai:m"')
MISTAKES.setting(
    "a model without its provider", "settings", "settings", "CHAT_MODEL", CHAT_MODEL="gpt-5-mini"
)
MISTAKES.setting(
    "a price that is none", "settings", "settings", "MODEL_PRICES", MODEL_PRICES="openai:m=cheap"
)
MISTAKES.setting(
    "a home that is a file", "home", "home", "THREADLORE_HOME", THREADLORE_HOME="{folder}/file/home"
)
MISTAKES.setting(
    "knowledge that is not there", "knowledge", "knowledge", "KNOWLEDGE", KNOWLEDGE="{folder}/none"
)
MISTAKES.setting(
    "an empty mount", "knowledge", "knowledge", "KNOWLEDGE", "no file", KNOWLEDGE="{folder}/empty"
)
MISTAKES.setting("a page that is gone", "knowledge", "knowledge", "KNOWLEDGE", KNOWLEDGE=f"{NOBODY}/page")
MISTAKES.setting("open to all without a token", "http", "http", "HTTP_TOKEN", HTTP_HOST="0.0.0.0")  # noqa: S104
MISTAKES.setting("a token that is guessed", "http", "http", "HTTP_TOKEN", HTTP_TOKEN="secret")
MISTAKES.setting(
    "an address of another machine", "http", "http", "HTTP_HOST", HTTP_HOST="127.0.0.1.example.test"
)


async def test_without_a_mistake_nothing_is_found(ground: Ground) -> None:
    findings = [finding async for finding in examine()]
    assert [finding for finding in findings if not finding.ok] == []
    assert ground.discord.gateway.identifies == 0


@pytest.mark.parametrize("mistake", MISTAKES.cases())
async def test_the_doctor_names_the_mistake_and_its_remedy(
    mistake: Mistake, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    await require_named(mistake, ground, monkeypatch)
