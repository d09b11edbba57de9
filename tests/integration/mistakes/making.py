"""The ground on which operators make mistakes, and what a mistake is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot.commands.checking import examine
from bot.doctor import Finding
from bot.slack.manifest import BOT_SCOPES
from bot.testing.discord.world import READ_HISTORY, SEND_IN_THREADS, SEND_MESSAGES, VIEW_CHANNEL
from bot.testing.discord_server import DiscordServer
from bot.testing.slack import SlackServer
from core.storage.database import Database
from core.testing.langfuse_server import LangfuseServer
from core.testing.model_server import ModelServer
from core.testing.reranker import RerankerServer

ALL = VIEW_CHANNEL | SEND_MESSAGES | READ_HISTORY | SEND_IN_THREADS
SLOW = ("models", "embedder")
"""Checks whose libraries take their time."""
NOBODY = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Servers:
    slack: SlackServer
    discord: DiscordServer
    langfuse: LangfuseServer
    model: ModelServer
    reranker: RerankerServer

    def mend(self) -> None:
        """Everything as it should be."""
        self.slack.scopes = set(BOT_SCOPES)
        self.slack.faults.clear()
        self.slack.clock_seconds = 0.0
        self.model.heal()
        rest = self.discord.rest
        rest.portal.application, rest.portal.permissions, rest.session_limit, rest.clock_seconds = (
            {},
            ALL,
            1000,
            0.0,
        )
        self.discord.world.has_bot = True


@dataclass(frozen=True)
class Ground:
    """A whole set-up that is in order, until a mistake is made in it."""

    folder: Path
    database: Database
    servers: Servers
    stack: AsyncExitStack

    @property
    def slack(self) -> SlackServer:
        return self.servers.slack

    @property
    def discord(self) -> DiscordServer:
        return self.servers.discord

    @property
    def model(self) -> ModelServer:
        return self.servers.model

    @property
    def database_url(self) -> str:
        return self.database.url.render_as_string(hide_password=False)

    async def examine(self, *checks: str) -> list[Finding]:
        return [finding async for finding in examine(checks)]


def settings_of(ground: Ground) -> dict[str, str]:
    slack, discord = ground.slack, ground.discord
    return {
        **slack.environment(),
        "DISCORD_TOKEN": discord.token,
        "DISCORD_API_URL": discord.api_url,
        "DISCORD_GATEWAY_URL": discord.gateway_url,
        "OPENAI_API_KEY": "key",
        "OPENAI_BASE_URL": ground.model.openai_url,
        "CHAT_MODEL": "openai:m",
        "EMBEDDING_MODEL": "openai:e",
        "RERANKER_URL": f"{ground.servers.reranker.url}/rerank",
        "LANGFUSE_PUBLIC_KEY": "pk-lf-1",
        "LANGFUSE_SECRET_KEY": "sk-lf-1",
        "LANGFUSE_BASE_URL": ground.servers.langfuse.url,
        "DATABASE_URL": ground.database_url,
        "THREADLORE_HOME": str(ground.folder / "home"),
        "KNOWLEDGE": str(ground.folder / "handbook"),
        "HTTP_PORT": "0",
    }


Arrange = Callable[[Ground], Awaitable[dict[str, str] | None]]
"""Makes a mistake; returns the settings that it changes."""


@dataclass(frozen=True)
class Mistake:
    """`check` is the one to run, `finding` the name of what it must find, `words` what must be said of it."""

    what: str
    check: str
    finding: str
    words: tuple[str, ...]
    made: Arrange


class Mistakes:
    """Those of one subject."""

    def __init__(self) -> None:
        self._known: list[Mistake] = []

    def setting(self, what: str, check: str, finding: str, *words: str, **settings: str) -> None:
        """One that is made in the settings; {folder} and {url} stand for the ground's folder and database."""

        async def made(ground: Ground) -> dict[str, str]:
            return {
                name: value.format(folder=ground.folder, url=ground.database_url)
                for name, value in settings.items()
            }

        self._known.append(Mistake(what, check, finding, words, made))

    def elsewhere(self, what: str, check: str, finding: str, *words: str) -> Callable[[Arrange], Arrange]:
        """One that the decorated function makes."""

        def keep(made: Arrange) -> Arrange:
            self._known.append(Mistake(what, check, finding, words, made))
            return made

        return keep

    def cases(self) -> list[Any]:
        """For parametrize."""
        return [
            pytest.param(mistake, id=mistake.what, marks=[pytest.mark.long] if mistake.check in SLOW else [])
            for mistake in self._known
        ]


async def require_named(mistake: Mistake, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the mistake: the doctor names it with its remedy, and begins no session with Discord."""
    for name, value in (await mistake.made(ground) or {}).items():
        monkeypatch.setenv(name, value)
    wrong = [finding for finding in await ground.examine(mistake.check) if not finding.ok]
    named = [finding for finding in wrong if finding.name == mistake.finding]
    assert named, wrong
    said = " ".join(f"{finding.detail} {finding.remedy}" for finding in named)
    assert all(finding.remedy for finding in named)
    assert [words for words in mistake.words if words not in said] == [], said
    assert ground.discord.gateway.identifies == 0
