"""One contract for every embedder: our fake, the local one, and a hosted one over the wire."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio

from core.ports import Embedder
from core.providers.hosted import build_embedder
from core.providers.local_embedder import LocalEmbedder
from core.providers.settings import ProviderSettings
from core.testing.embedder import FakeEmbedder
from core.testing.model_server import ModelServer


@pytest_asyncio.fixture(scope="module", params=["fake", "local", "hosted"])
async def embedder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Embedder]:
    if request.param == "fake":
        yield FakeEmbedder()
    elif request.param == "local":
        local = LocalEmbedder(tmp_path_factory.mktemp("home"))
        yield local
        await local.aclose()
    else:
        async with ModelServer() as server:
            given: dict[str, Any] = {"openai_api_key": "sk-1", "openai_base_url": server.openai_url}
            hosted = build_embedder("openai:text-embedding-3-small", ProviderSettings(**given))
            await hosted.open()
            yield hosted


def similarity(one: Sequence[float], two: Sequence[float]) -> float:
    return math.fsum(a * b for a, b in zip(one, two, strict=True))


async def test_vectors_have_the_dimension_named_and_unit_length(embedder: Embedder) -> None:
    for vector in [
        *await embedder.embed_documents(["one", "two words"]),
        await embedder.embed_query("three"),
    ]:
        assert len(vector) == embedder.dimensions
        assert similarity(vector, vector) == pytest.approx(1, abs=1e-4)


async def test_documents_come_back_in_order(embedder: Embedder) -> None:
    texts = [
        f"{word} " * count for count, word in enumerate(["lease", "slack", "bread", "token", "thread"], 1)
    ]
    together = await embedder.embed_documents(texts)
    for text, vector in zip(texts, together, strict=True):
        [alone] = await embedder.embed_documents([text])
        assert similarity(vector, alone) == pytest.approx(1, abs=1e-4)


async def test_a_question_is_nearer_to_the_text_that_shares_its_words(embedder: Embedder) -> None:
    near, far = await embedder.embed_documents(
        ["the lease of the worker lasts thirty seconds", "bake the sourdough bread in a hot oven"]
    )
    query = await embedder.embed_query("how long is the lease of the worker")
    assert similarity(query, near) > similarity(query, far)


async def test_questions_asked_at_once_get_their_own_vectors(embedder: Embedder) -> None:
    texts = [f"{'word ' * (count % 7)}question {count}" for count in range(40)]
    alone = [await embedder.embed_query(text) for text in texts]
    given_up = asyncio.create_task(embedder.embed_query("nobody waits for this one"))
    waiting = [asyncio.create_task(embedder.embed_query(text)) for text in texts]
    await asyncio.sleep(0)
    given_up.cancel()
    for vector, expected in zip(await asyncio.gather(*waiting), alone, strict=True):
        assert similarity(vector, expected) == pytest.approx(1, abs=1e-4)


async def test_nothing_to_embed_gives_nothing(embedder: Embedder) -> None:
    assert await embedder.embed_documents([]) == []


async def test_empty_and_very_long_texts_have_vectors_too(embedder: Embedder) -> None:
    vectors = await embedder.embed_documents(["", "word " * 20_000])
    assert [len(vector) for vector in vectors] == [embedder.dimensions] * 2


async def test_an_embedder_names_its_model_and_its_limit(embedder: Embedder) -> None:
    assert ":" in embedder.name or embedder.name
    assert embedder.max_tokens > 0
