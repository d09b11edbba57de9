"""One contract for every reranker: our fake, one behind HTTP in both of the common forms, a LangChain cross-encoder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from core.answers import Passage
from core.errors import ModelPermanentError, ModelTransientError, SettingsError
from core.knowledge.reranking import Reranker, rerank
from core.providers.http_reranker import HttpReranker
from core.providers.rerankers import open_reranker
from core.settings import CoreSettings
from core.testing.reranker import FakeReranker, RerankerServer

TEXTS = ["Bread is baked at night.", "Ferries leave the harbour at noon.", "The harbour is old."]
WORDS = "core.testing.reranker:WordCrossEncoder"
QUERY = "when do ferries leave the harbour"


@pytest_asyncio.fixture
async def server() -> AsyncIterator[RerankerServer]:
    async with RerankerServer() as server:
        yield server


@pytest_asyncio.fixture(params=["fake", "with a model", "without a model", "a cross-encoder"])
async def reranker(request: pytest.FixtureRequest, server: RerankerServer) -> AsyncIterator[Reranker]:
    url = f"{server.url}/rerank"
    settings = {
        "with a model": {"reranker_url": url, "reranker_model": "cross-encoder", "reranker_api_key": "key-1"},
        "without a model": {"reranker_url": url},
        "a cross-encoder": {"reranker_class": WORDS},
    }
    async with AsyncExitStack() as stack:
        if request.param == "fake":
            yield FakeReranker()
        else:
            named = open_reranker(CoreSettings.model_validate(settings[request.param]), stack)
            assert named
            yield named


def passages() -> list[Passage]:
    return [
        Passage(chunk_id=n, document_id=n, title="", uri="u", text=text, rank=n, score=1 / n)
        for n, text in enumerate(TEXTS, start=1)
    ]


async def test_every_text_gets_a_score_in_the_order_given(reranker: Reranker) -> None:
    scores = await reranker.score(QUERY, TEXTS)

    assert len(scores) == 3
    assert max(scores) == scores[1]
    assert min(scores) == scores[0]
    assert reranker.name


async def test_nothing_to_rank_is_no_error(reranker: Reranker) -> None:
    assert await reranker.score(QUERY, []) == []


async def test_passages_are_ordered_anew(reranker: Reranker) -> None:
    ranked = await rerank(reranker, QUERY, passages(), timeout_seconds=10)

    assert [(passage.rank, passage.chunk_id) for passage in ranked] == [(1, 2), (2, 3), (3, 1)]
    assert ranked[0].score > ranked[1].score > ranked[2].score


async def test_the_request_is_what_servers_read(server: RerankerServer) -> None:
    named = HttpReranker(f"{server.url}/rerank", model="m", api_key="key-1")
    alone = HttpReranker(f"{server.url}/rerank")
    for hosted in (named, alone):
        await hosted.score(QUERY, TEXTS)
        await hosted.aclose()

    assert server.requests == [
        {"model": "m", "query": QUERY, "documents": TEXTS, "top_n": 3},
        {"query": QUERY, "texts": TEXTS, "truncate": True},
    ]
    assert server.authorization == ["Bearer key-1", None]


@pytest.mark.parametrize("trouble", ["500", "401", "no json", "too few", "silence", "nobody"])
async def test_in_trouble_the_order_of_the_search_stands(server: RerankerServer, trouble: str) -> None:
    if trouble.isdigit():
        server.status = int(trouble)
    server.body = {"no json": "<html>", "too few": '[{"index": 0, "score": 1.0}]'}.get(trouble)
    server.silent = trouble == "silence"
    url = "http://127.0.0.1:9/rerank" if trouble == "nobody" else f"{server.url}/rerank"
    hosted = HttpReranker(url)

    assert await rerank(hosted, QUERY, passages(), timeout_seconds=0.5) == passages()
    await hosted.aclose()


async def test_errors_say_whether_another_try_is_worth_it(server: RerankerServer) -> None:
    hosted = HttpReranker(f"{server.url}/rerank")
    server.status = 429
    with pytest.raises(ModelTransientError):
        await hosted.score(QUERY, TEXTS)
    server.status = 401
    with pytest.raises(ModelPermanentError):
        await hosted.score(QUERY, TEXTS)
    await hosted.aclose()


@pytest.mark.parametrize("model", ["breaking", "terse"])
async def test_a_cross_encoder_in_trouble_leaves_the_order_of_the_search(model: str) -> None:
    async with AsyncExitStack() as stack:
        settings = CoreSettings.model_validate({"reranker_class": WORDS, "reranker_model": model})
        encoder = open_reranker(settings, stack)
        assert encoder
        with pytest.raises(ModelPermanentError):
            await encoder.score(QUERY, TEXTS)
        assert await rerank(encoder, QUERY, passages()) == passages()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"reranker_class": "no_such_package:Encoder"}, "RERANKER_CLASS: names no_such_package:Encoder"),
        ({"reranker_class": "core.testing.reranker:Absent"}, "cannot be imported"),
        ({"reranker_class": "core.testing.reranker:FakeReranker"}, "is no LangChain cross-encoder"),
        ({"reranker_class": WORDS, "reranker_model": "missing"}, "there is no model of that name"),
        ({"reranker_class": WORDS, "reranker_url": "http://localhost:1/rerank"}, "RERANKER_URL too"),
        ({"reranker_class": WORDS, "reranker_api_key": "key-1"}, "RERANKER_API_KEY: is set"),
        ({"reranker_model": "m"}, "RERANKER_URL: is not set"),
    ],
)
async def test_settings_that_name_no_reranker_name_the_remedy(settings: dict[str, str], says: str) -> None:
    async with AsyncExitStack() as stack:
        with pytest.raises(SettingsError, match=says):
            open_reranker(CoreSettings.model_validate(settings), stack)
