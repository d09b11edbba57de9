"""What the stories stand on: an empty database, a folder of documents, loopback services."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.testing.discord_server import DiscordServer
from bot.testing.slack import SlackServer
from core.storage.database import Database
from core.testing.langfuse_server import LangfuseServer
from core.testing.model_server import ModelServer, reply_with_first_passage
from tests.acceptance.installation import Installation
from tests.conftest import EMPTY_ALL_TABLES


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for the embedder of all processes of this test run."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
async def own_database(migrated_database: Database) -> Database:
    """The database of this module's process, with nothing in it at the start."""
    await migrated_database.run(text(EMPTY_ALL_TABLES))
    return migrated_database


@pytest.fixture(scope="module")
async def installation(
    own_database: Database, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """What the processes of this module share."""
    url = own_database.url.render_as_string(hide_password=False)
    installation = Installation(tmp_path_factory.mktemp("installation"), url, home)
    yield installation
    await installation.aclose()


@pytest.fixture(scope="module")
async def model_server() -> AsyncIterator[ModelServer]:
    async with ModelServer() as server:
        yield server


@pytest.fixture
def model(model_server: ModelServer) -> ModelServer:
    """The model in good health, its memory of calls empty."""
    model_server.heal()
    model_server.reply, model_server.delay_seconds, model_server.pace_seconds = (
        reply_with_first_passage,
        0.0,
        0.0,
    )
    model_server.requests.clear()
    model_server.count = 0
    return model_server


@pytest.fixture(scope="module")
async def langfuse() -> AsyncIterator[LangfuseServer]:
    async with LangfuseServer() as server:
        yield server


@pytest.fixture(scope="module")
async def slack() -> AsyncIterator[SlackServer]:
    async with SlackServer() as server:
        yield server


@pytest.fixture(scope="module")
async def discord() -> AsyncIterator[DiscordServer]:
    async with DiscordServer() as server:
        yield server
