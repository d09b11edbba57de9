"""A start with wrong settings ends with exit code 2, the setting's name and what to do; nothing was served."""

from __future__ import annotations

import socket
from dataclasses import replace

import httpx
import pytest

from bot.testing.slack import APP_TOKEN, BOT_TOKEN
from tests.acceptance.installation import Installation


@pytest.mark.parametrize(
    ("settings", "named", "remedy"),
    [
        pytest.param(
            {"SLACK_BOT_TOKEN": APP_TOKEN, "SLACK_APP_TOKEN": BOT_TOKEN},
            "SLACK_BOT_TOKEN: begins with xapp-",
            "OAuth & Permissions",
            id="slack tokens swapped",
        ),
        pytest.param(
            {"HTTP_HOST": "0.0.0.0"},  # noqa: S104 - must be refused
            "HTTP_TOKEN: is not set",
            "openssl rand -hex 32",
            id="open to others without a token",
        ),
        pytest.param({"CHAT_MODEL": "nonsense"}, "CHAT_MODEL: ", "provider:model", id="no model at all"),
        pytest.param(
            {"CHAT_MODEL": "openai:gpt-5-mini"}, "OPENAI_API_KEY: is not set", "key", id="model without key"
        ),
        pytest.param(
            {"CHAT_MODEL": "openai:own-model", "OPENAI_API_KEY": "x", "BUDGET_USD_PER_DAY": "5"},
            "MODEL_PRICES: does not name openai:own-model",
            "MODEL_PRICES=openai:own-model=INPUT/OUTPUT",
            id="a budget for a model of unknown price",
        ),
        pytest.param(
            {"MODEL_PRICES": "openai:own-model=cheap"},
            "MODEL_PRICES: ",
            "per million tokens",
            id="a price that is none",
        ),
        pytest.param(
            {"DATABASE_URL": "wrong"}, "DATABASE_URL: ", "postgresql://", id="no database url at all"
        ),
    ],
)
async def test_a_wrong_setting_is_named_with_its_remedy(
    installation: Installation, settings: dict[str, str], named: str, remedy: str
) -> None:
    done = await installation.run("serve", **settings)
    assert done.code == 2, done.err
    assert done.out == ""
    assert f"threadlore: {named}" in done.err
    assert remedy in done.err
    assert "Traceback" not in done.err


async def test_a_port_that_is_taken_is_named(installation: Installation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = await replace(installation, is_cold=True).run("serve", HTTP_PORT=port)
    assert done.code == 2, done.err
    assert f"HTTP_PORT: cannot listen on 127.0.0.1:{port}" in done.err
    assert "another Threadlore" in done.err


async def test_documents_that_are_not_there_are_reported_and_the_rest_is_served(
    installation: Installation,
) -> None:
    handbook = str(installation.folder / "handbook")
    missing = str(installation.folder / "no-such-folder")
    async with (
        installation.serving(KNOWLEDGE=f"{missing},{handbook}") as serving,
        httpx.AsyncClient(base_url=serving.address, timeout=60) as http,
    ):
        assert "no-such-folder" in serving.log.read_text()
        assert (await http.get("/readyz")).json()["ready"] is True
        answer = (await http.post("/v1/turns", json={"text": "How are hotels paid?"})).json()
    assert "company card" in answer["answer"]
