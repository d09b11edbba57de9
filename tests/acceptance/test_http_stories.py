"""Other programs ask and rate over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from core.testing.model_server import ModelServer
from tests.acceptance.installation import Installation, Serving, eventually, settings_for_model

TOKEN = "a-token-of-the-loopback-test"


@pytest.fixture(scope="module", autouse=True)
async def serving(installation: Installation, model_server: ModelServer) -> AsyncIterator[Serving]:
    settings = settings_for_model(model_server) | {"HTTP_TOKEN": TOKEN}
    async with installation.serving(**settings) as serving:
        yield serving


@pytest.fixture
async def http(serving: Serving) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=serving.address, headers=headers, timeout=60) as client:
        yield client


def events_of(stream: str) -> list[tuple[str, Any]]:
    """(name, data) of server-sent events."""
    events = []
    for block in stream.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        events.append((fields["event"], json.loads(fields["data"])))
    return events


async def test_a_question_is_answered_as_json_with_its_sources(
    http: httpx.AsyncClient, model: ModelServer
) -> None:
    response = await http.post("/v1/turns", json={"text": "How are hotels paid?", "include_passages": True})
    answer = response.json()
    assert response.status_code == 200
    assert "company card" in answer["answer"]
    assert [(c["n"], c["title"]) for c in answer["citations"]] == [(1, "Hotels")]
    assert (answer["abstained"], answer["outcome"]) == (False, "answered")
    assert answer["passages"][0]["title"] == "Hotels"


async def test_an_answer_is_streamed_while_it_is_written(http: httpx.AsyncClient, model: ModelServer) -> None:
    model.pace_seconds = 0.2
    headers = {"Accept": "text/event-stream"}
    response = await http.post("/v1/turns", json={"text": "How are trains booked?"}, headers=headers)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = events_of(response.text)
    texts = [data["text"] for name, data in events if name == "text"]
    assert len(texts) > 1
    assert len(texts[0]) < len(texts[-1])
    assert events[-1][0] == "answer"
    assert "4711" in events[-1][1]["answer"]


async def test_an_answer_is_rated_and_the_rating_taken_back(
    http: httpx.AsyncClient, model: ModelServer, installation: Installation
) -> None:
    turn_id = (await http.post("/v1/turns", json={"text": "How are hotels paid?"})).json()["turn_id"]

    async def ratings(*, withdrawn: bool) -> list[Any]:
        lines = (await installation.run("export", "feedback")).lines()
        return [line for line in lines if (line["withdrawn_at"] is not None) is withdrawn]

    rating = {"rating": 1, "comment": "Thank you!", "author": "ada"}
    assert (await http.post(f"/v1/turns/{turn_id}/feedback", json=rating)).status_code == 202
    (given,) = await eventually(lambda: ratings(withdrawn=False))
    assert (given["turn_id"], given["author"], given["rating"]) == (turn_id, "ada", 1)
    assert (given["via"], given["comment"]) == ("button", "Thank you!")

    taken_back = {"rating": None, "author": "ada"}
    assert (await http.post(f"/v1/turns/{turn_id}/feedback", json=taken_back)).status_code == 202
    await eventually(lambda: ratings(withdrawn=True))


async def test_strangers_get_nothing_but_health(serving: Serving) -> None:
    async with httpx.AsyncClient(base_url=serving.address, timeout=60) as stranger:
        for method, path in (("POST", "/v1/turns"), ("GET", "/metrics"), ("GET", "/v1/about")):
            response = await stranger.request(method, path)
            assert (response.status_code, response.json()["error"]["code"]) == (401, "unauthorized")
        assert (await stranger.get("/healthz")).json() == {"status": "ok"}
        readiness = (await stranger.get("/readyz")).json()
    assert readiness["ready"] is True
    assert {check["name"] for check in readiness["checks"]} == {"database", "web", "worker"}


async def test_the_figures_count_what_happened_and_hold_no_words(
    http: httpx.AsyncClient, model: ModelServer
) -> None:
    await http.post("/v1/turns", json={"text": "How are hotels paid?"})

    async def figures() -> str:
        text = (await http.get("/metrics")).text
        return text if 'threadlore_turn_seconds_count{platform="web"}' in text else ""

    assert "hotels" not in (await eventually(figures)).lower()
