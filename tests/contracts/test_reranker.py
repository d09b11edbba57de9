"""One contract for every reranker: our fake, and one behind HTTP in both of the common forms."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from core.errors import ModelPermanentError, ModelTransientError
from core.knowledge.reranking import Reranker, rerank
from core.messages import Passage
from core.providers.http_reranker import HttpReranker
from core.testing.reranker import FakeReranker, RerankerServer

TEXTS = ["Bread is baked at night.", "Ferries leave the harbour at noon.", "The harbour is old."]
QUERY = "when do ferries leave the harbour"


@pytest_asyncio.fixture
async def server() -> AsyncIterator[RerankerServer]:
    async with RerankerServer() as server:
        yield server


@pytest_asyncio.fixture(params=["fake", "with a model", "without a model"])
async def reranker(request: pytest.FixtureRequest, server: RerankerServer) -> AsyncIterator[Reranker]:
    if request.param == "fake":
        yield FakeReranker()
        return
    model = "cross-encoder" if request.param == "with a model" else None
    hosted = HttpReranker(f"{server.url}/rerank", model=model, api_key="key-1" if model else None)
    yield hosted
    await hosted.aclose()


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
