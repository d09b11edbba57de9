"""A whole set-up that is in order, for each test to make one mistake in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.testing.discord_server import DiscordServer
from bot.testing.slack import SlackServer
from core.storage.database import Database
from core.testing.langfuse_server import LangfuseServer
from core.testing.model_server import ModelServer
from core.testing.reranker import RerankerServer
from tests.conftest import EMPTY_ALL_TABLES
from tests.integration.mistakes.making import Ground, Servers, settings_of


@pytest.fixture(scope="module")
async def servers() -> AsyncIterator[Servers]:
    async with (
        SlackServer() as slack,
        DiscordServer() as discord,
        LangfuseServer(public_key="pk-lf-1", secret_key="sk-lf-1") as langfuse,
        ModelServer() as model,
        RerankerServer() as reranker,
    ):
        yield Servers(slack, discord, langfuse, model, reranker)


@pytest.fixture(scope="module")
async def empty_database(migrated_database: Database) -> Database:
    await migrated_database.run(text(EMPTY_ALL_TABLES))
    return migrated_database


@pytest.fixture
async def ground(
    servers: Servers, empty_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Ground]:
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "empty").mkdir()
    (tmp_path / "handbook").mkdir()
    (tmp_path / "handbook" / "travel.md").write_text("# Travel\n\nBook trains with the travel desk.")
    monkeypatch.chdir(tmp_path)
    servers.mend()
    async with AsyncExitStack() as stack:
        ground = Ground(tmp_path, empty_database, servers, stack)
        for name, value in settings_of(ground).items():
            monkeypatch.setenv(name, value)
        yield ground
