"""One contract for every chat model: our fake, hosted ones over the wire, and the extractive answerer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from core.answers import Memory, Passage
from core.ports import NO_ANSWER, ChatModel, ModelDelta, ModelRequest, Task
from core.providers.extractive import ExtractiveAnswerer
from core.providers.hosted import build_chat_model
from core.providers.settings import ProviderSettings
from core.testing.model_server import ModelServer
from core.testing.models import FakeChatModel

QUESTION = "How long does a lease last?"
PASSAGE = Passage(
    chunk_id=1,
    document_id=1,
    title="The inbox",
    uri="inbox.md",
    text="The lease of an item lasts thirty seconds.",
    rank=1,
    score=0.03,
    similarity=0.7,
)
MODELS = ["fake", "extractive", "openai:gpt-4o-mini", "anthropic:claude-sonnet-5-5"]


@pytest_asyncio.fixture(params=MODELS)
async def model(request: pytest.FixtureRequest) -> AsyncIterator[ChatModel]:
    if request.param == "fake":
        yield FakeChatModel()
    elif request.param == "extractive":
        yield ExtractiveAnswerer()
    else:
        async with ModelServer() as server:
            given: dict[str, Any] = {
                "openai_api_key": "sk-1",
                "openai_base_url": server.openai_url,
                "anthropic_api_key": "sk-2",
                "anthropic_base_url": server.url,
            }
            yield build_chat_model(request.param, ProviderSettings(**given))


def make_request(
    task: Task, question: str = QUESTION, *passages: Passage, memory: Memory | None = None
) -> ModelRequest:
    rendered = "\n".join(
        f"<passage number={n} from='x'>\n{p.text}\n</passage>" for n, p in enumerate(passages, 1)
    )
    return ModelRequest(
        task=task,
        system="Answer from the passages.",
        user=f"{rendered}\n\nQuestion: {question}",
        question=question,
        passages=passages,
        memory=memory or Memory(),
    )


async def collect(model: ChatModel, request: ModelRequest) -> tuple[str, list[ModelDelta]]:
    deltas = [delta async for delta in model.stream(request)]
    return "".join(delta.text for delta in deltas), deltas


async def test_an_answer_cites_the_passage_that_it_uses(model: ChatModel) -> None:
    text, _ = await collect(model, make_request("answer", QUESTION, PASSAGE))
    assert "thirty seconds" in text
    assert "[1]" in text


async def test_a_model_may_be_prepared_before_it_is_asked_and_also_twice(model: ChatModel) -> None:
    await asyncio.gather(model.prepare(), model.prepare())
    text, _ = await collect(model, make_request("answer", QUESTION, PASSAGE))
    assert "thirty seconds" in text


async def test_the_last_delta_alone_has_finish_and_use(model: ChatModel) -> None:
    _, deltas = await collect(model, make_request("answer", QUESTION, PASSAGE))
    assert deltas[-1].finish == "stop"
    assert deltas[-1].use is not None
    assert all(delta.finish is None and delta.use is None for delta in deltas[:-1])


async def test_a_self_contained_question_is_rewritten_to_itself(model: ChatModel) -> None:
    text, deltas = await collect(model, make_request("rewrite"))
    assert text == QUESTION
    assert deltas[-1].finish == "stop"


async def test_a_summary_says_something(model: ChatModel) -> None:
    memory = Memory(turns=((QUESTION, "Thirty seconds."),))
    text, _ = await collect(model, make_request("summarise", memory=memory))
    assert text.strip()


async def test_calls_do_not_disturb_each_other(model: ChatModel) -> None:
    one, two = (
        model.stream(make_request("rewrite", question))
        for question in ("What is a lease?", "What is a fence?")
    )
    texts = ["", ""]
    ends = 0
    while ends < 2:
        ends = 0
        for index, stream in enumerate((one, two)):
            delta = await anext(stream, None)
            if delta is None:
                ends += 1
            else:
                texts[index] += delta.text
    assert texts == ["What is a lease?", "What is a fence?"]


async def test_a_model_has_a_name(model: ChatModel) -> None:
    assert model.name


@pytest.mark.parametrize("model", ["fake", "extractive"], indirect=True)
async def test_without_passages_the_answer_is_that_there_is_none(model: ChatModel) -> None:
    text, _ = await collect(model, make_request("answer"))
    assert text == NO_ANSWER
