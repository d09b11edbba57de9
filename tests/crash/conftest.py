"""What the kills stand on: an empty database, a model and documents, in processes of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.testing.model_server import ModelServer
from tests.acceptance.installation import Installation, settings_for_model


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for the embedder of all processes of this test run."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
async def model() -> AsyncIterator[ModelServer]:
    async with ModelServer() as server:
        yield server


@pytest.fixture
async def installation(
    tmp_path: Path, database_url: str, home: Path, model: ModelServer
) -> AsyncIterator[Installation]:
    """Answers come from the loopback model; a dead process is relieved after three seconds."""
    settings = settings_for_model(model) | {"LEASE_SECONDS": "3"}
    installation = Installation(tmp_path / "installation", database_url, home, settings)
    yield installation
    await installation.aclose()
