"""EMBEDDING_MODEL is changed: answers come from the old vectors until the new ones are complete."""

from __future__ import annotations

import httpx
import pytest

from core.storage.database import Database
from core.testing.model_server import Fault, ModelServer
from tests.acceptance.installation import Installation, Serving, eventually

LOCAL = "local:all-MiniLM-L6-v2"
HOSTED = "openai:loopback-embedding"
QUESTION = {"text": "How are hotels paid?", "include_passages": True}


async def ask(serving: Serving) -> dict[str, object]:
    """The first passage of the answer."""
    async with httpx.AsyncClient(timeout=60) as client:
        answer = (await client.post(f"{serving.address}/v1/turns", json=QUESTION)).json()
    assert not answer["abstained"], answer
    return dict(answer["passages"][0])


async def embedding(serving: Serving) -> dict[str, object]:
    async with httpx.AsyncClient() as client:
        return dict((await client.get(f"{serving.address}/v1/embedding")).json())


@pytest.mark.long
async def test_another_embedder_takes_over_while_questions_are_answered(
    installation: Installation, model: ModelServer, own_database: Database
) -> None:
    settings = {
        "EMBEDDING_MODEL": HOSTED,
        "OPENAI_BASE_URL": model.openai_url,
        "OPENAI_API_KEY": "sk-loopback",
    }
    async with installation.serving() as serving:
        assert (await embedding(serving))["serving"] == LOCAL
        assert "hotels" in str((await ask(serving))["uri"])

    model.break_all(Fault(kind="status", status=401))
    model.break_next(None)  # how long its vectors are is asked at the start
    async with installation.serving(**settings) as serving:
        state = await embedding(serving)
        assert (state["serving"], state["wanted"]) == (LOCAL, HOSTED)
        assert (await ask(serving))["similarity"] is not None
        listed = await installation.run("sources", **settings)
        assert f"{LOCAL} serves until" in listed.err
        model.break_next(None)
        synced = await installation.run("sources", "sync", **settings)
        assert synced.code == 0, synced.err  # with what serves: nothing is embedded anew, and nothing refused
        assert (await ask(serving))["similarity"] is not None

        model.heal()

        async def has_switched() -> bool:
            return (await embedding(serving))["serving"] == HOSTED

        await eventually(has_switched, 90)
        asked = sum(call.path.endswith("/embeddings") for call in model.requests)
        assert "hotels" in str((await ask(serving))["uri"])
        assert sum(call.path.endswith("/embeddings") for call in model.requests) > asked

    # And back, from the command line.
    done = await installation.run("ingest", str(installation.folder / "handbook"))
    assert done.code == 0, done.err
    assert f"Searched with {LOCAL} from now on" in done.err
