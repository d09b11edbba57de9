"""Hosted models through the real LangChain and provider libraries, against the loopback server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from core.answers import Passage
from core.errors import ModelPermanentError, ModelTransientError, SettingsError
from core.ports import ModelDelta, ModelRequest
from core.providers.hosted import HostedChatModel, build_chat_model, build_embedder
from core.providers.prices import cost_usd
from core.providers.settings import ProviderSettings
from core.testing.model_server import Fault, FaultKind, ModelServer

DIALECTS = ["openai:gpt-4o-mini", "anthropic:claude-sonnet-5-5"]
REQUEST = ModelRequest(
    task="answer",
    system="You answer from passages.",
    user="<passage number=1 from='x'>\nThe lease of an item lasts thirty seconds.\n</passage>\n\nQuestion: how long?",
    question="how long?",
    passages=(Passage(chunk_id=1, document_id=1, title="x", uri="x", text="x", rank=1, score=1),),
)


def settings_for(server: ModelServer) -> ProviderSettings:
    given: dict[str, Any] = {
        "openai_api_key": "sk-canary-openai",
        "openai_base_url": server.openai_url,
        "anthropic_api_key": "sk-canary-anthropic",
        "anthropic_base_url": server.url,
    }
    return ProviderSettings(**given)


@pytest_asyncio.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with ModelServer() as server:
        yield server


@pytest.fixture(params=DIALECTS)
def model(request: pytest.FixtureRequest, server: ModelServer) -> HostedChatModel:
    return build_chat_model(request.param, settings_for(server))


async def collect(model: HostedChatModel) -> tuple[str, list[ModelDelta]]:
    deltas = [delta async for delta in model.stream(REQUEST)]
    return "".join(delta.text for delta in deltas), deltas


async def test_an_answer_streams_with_use_and_cost(model: HostedChatModel, server: ModelServer) -> None:
    text, deltas = await collect(model)
    assert text == "The lease of an item lasts thirty seconds. [1]"
    assert len([delta for delta in deltas if delta.text]) > 1
    end = deltas[-1]
    assert end.finish == "stop"
    assert end.use is not None
    assert end.use.output_tokens == 12
    assert end.use.input_tokens == server_tokens(server)
    assert end.use.cost_usd == pytest.approx(cost_usd(model.name, end.use.input_tokens, 12))
    assert end.use.cost_usd is not None
    assert end.use.cost_usd > 0


def server_tokens(server: ModelServer) -> int:
    return sum(-(-len(text) // 4) for text in (REQUEST.system, REQUEST.user))


async def test_system_and_user_prompt_arrive_as_they_are(model: HostedChatModel, server: ModelServer) -> None:
    await collect(model)
    assert server.requests[-1].text == f"{REQUEST.system}\n\n{REQUEST.user}"
    assert server.requests[-1].body["stream"] is True


@pytest.mark.parametrize(
    ("status", "transient"),
    [(400, False), (401, False), (403, False), (404, False), (408, True), (409, True), (429, True),
     (500, True), (502, True), (503, True), (529, True)],
)  # fmt: skip
async def test_a_status_decides_and_one_call_is_one_request(
    model: HostedChatModel, server: ModelServer, status: int, transient: bool
) -> None:
    server.break_all(Fault(kind="status", status=status, retry_after_seconds=7 if transient else None))
    with pytest.raises(ModelTransientError if transient else ModelPermanentError) as caught:
        await collect(model)
    assert server.count == 1
    assert str(status) in str(caught.value)
    assert "canary" not in str(caught.value)
    if transient:
        assert getattr(caught.value, "retry_after_seconds", None) == 7


async def test_an_exhausted_quota_is_not_worth_another_try(server: ModelServer) -> None:
    server.break_all(Fault(kind="status", status=429, code="insufficient_quota"))
    with pytest.raises(ModelPermanentError):
        await collect(build_chat_model(DIALECTS[0], settings_for(server)))


@pytest.mark.parametrize("kind", ["cut", "malformed", "error_event"])
async def test_a_broken_stream_is_worth_another_try(
    model: HostedChatModel, server: ModelServer, kind: FaultKind
) -> None:
    server.break_next(Fault(kind=kind))
    with pytest.raises(ModelTransientError):
        await collect(model)
    assert server.count == 1
    text, deltas = await collect(model)
    assert text
    assert deltas[-1].finish == "stop"


async def test_a_stream_that_ends_early_has_no_finish(model: HostedChatModel, server: ModelServer) -> None:
    server.break_next(Fault(kind="ends_early"))
    text, deltas = await collect(model)
    assert text
    assert all(delta.finish is None for delta in deltas)


async def test_an_empty_answer_has_a_finish_and_no_text(model: HostedChatModel, server: ModelServer) -> None:
    server.break_next(Fault(kind="empty"))
    text, deltas = await collect(model)
    assert text == ""
    assert deltas[-1].finish == "stop"


@pytest.mark.parametrize("kind", ["length", "refusal"])
async def test_the_provider_says_why_it_stopped(
    model: HostedChatModel, server: ModelServer, kind: FaultKind
) -> None:
    server.break_next(Fault(kind=kind))
    _, deltas = await collect(model)
    assert deltas[-1].finish == kind


@pytest.mark.parametrize("kind", ["black_hole", "stall", "drip"])
async def test_a_hanging_call_ends_at_once_with_our_deadline(
    model: HostedChatModel, server: ModelServer, kind: FaultKind
) -> None:
    server.break_next(Fault(kind=kind))
    asking = asyncio.create_task(collect(model))
    async with asyncio.timeout(30):
        while not server.count:  # noqa: ASYNC110 - a busy machine takes its time to send the request
            await asyncio.sleep(0.01)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asking, 0.3)
    assert time.monotonic() - began < 20  # seconds of a slow machine; the call itself would hang for ever
    text, _ = await collect(model)  # and the connection pool is none the worse
    assert text


async def test_a_server_that_is_not_there_is_worth_another_try(server: ModelServer) -> None:
    settings = settings_for(server).model_copy(
        update={"openai_base_url": "http://127.0.0.1:9/v1", "anthropic_base_url": "http://127.0.0.1:9"}
    )
    for spec in DIALECTS:
        with pytest.raises(ModelTransientError):
            await collect(build_chat_model(spec, settings))


async def test_a_consumer_that_leaves_early_closes_the_stream(
    model: HostedChatModel, server: ModelServer
) -> None:
    server.pace_seconds = 0.02
    stream = model.stream(REQUEST)
    async for _ in stream:
        break
    await stream.aclose()  # type: ignore[attr-defined]
    server.pace_seconds = 0
    assert (await collect(model))[0]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_silence_that_is_asked_for_is_the_clients_own_limit_too(
    server: ModelServer, dialect: str
) -> None:
    server.break_all(Fault(kind="black_hole"))
    model = build_chat_model(dialect, settings_for(server), silence_seconds=0.3)
    async with asyncio.timeout(30):
        with pytest.raises(ModelTransientError):
            await collect(model)


async def test_two_hundred_calls_at_once_all_arrive(server: ModelServer) -> None:
    server.delay_seconds = 0.2
    model = build_chat_model(DIALECTS[0], settings_for(server))
    results = await asyncio.gather(*(collect(model) for _ in range(200)))
    assert len({text for text, _ in results}) == 1
    assert server.count == 200


@pytest.mark.parametrize(
    ("spec", "setting", "says"),
    [
        ("openai:gpt-4o-mini", "OPENAI_API_KEY", "platform.openai.com"),
        ("anthropic:claude-sonnet-5-5", "ANTHROPIC_API_KEY", "console.anthropic.com"),
        ("nonesuch:model", "CHAT_MODEL", "nonesuch"),
        ("groq:llama", "CHAT_MODEL", "langchain-groq"),
    ],
)
def test_a_model_that_cannot_be_built_names_setting_and_remedy(spec: str, setting: str, says: str) -> None:
    none: dict[str, Any] = {"openai_api_key": None, "anthropic_api_key": None}
    with pytest.raises(SettingsError) as caught:
        build_chat_model(spec, ProviderSettings(**none))
    assert caught.value.setting == setting
    assert says in str(caught.value)


@pytest.mark.parametrize("spec", ["openai:gpt-4o-mini", "anthropic:claude-sonnet-5-5", "ollama:llama3.2"])
def test_what_calls_a_provider_is_loaded_only_when_it_is_needed(spec: str) -> None:
    script = (
        "import sys; from core.providers.hosted import build_chat_model; from core.providers.settings import *;"
        f"build_chat_model({spec!r}, ProviderSettings(openai_api_key='sk-1', anthropic_api_key='sk-2'));"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert {"openai", "anthropic", "ollama", "langchain"} & set(done.stdout.split()) == set()


def test_an_embedder_without_a_key_names_the_key() -> None:
    none: dict[str, Any] = {"openai_api_key": None}
    with pytest.raises(SettingsError) as caught:
        build_embedder("openai:text-embedding-3-small", ProviderSettings(**none))
    assert caught.value.setting == "OPENAI_API_KEY"
    with pytest.raises(SettingsError) as caught:
        build_embedder("nonesuch:model", ProviderSettings(**none))
    assert caught.value.setting == "EMBEDDING_MODEL"


def test_ollama_needs_no_key_and_costs_nothing() -> None:
    assert build_chat_model("ollama:llama3.2").name == "ollama:llama3.2"
    assert cost_usd("ollama:llama3.2", 1000, 1000) == 0


async def test_an_embedder_that_fails_says_whether_to_try_again(server: ModelServer) -> None:
    embedder = build_embedder("openai:text-embedding-3-small", settings_for(server))
    server.break_next(Fault(kind="status", status=429, retry_after_seconds=3))
    with pytest.raises(ModelTransientError) as transient:
        await embedder.open()
    assert transient.value.retry_after_seconds == 3
    server.break_next(Fault(kind="status", status=401))
    with pytest.raises(ModelPermanentError):
        await embedder.embed_documents(["a"])
    assert server.count == 2
    await embedder.open()
    assert embedder.dimensions == 64


async def test_a_long_text_is_cut_and_many_texts_are_sent_in_few_requests(server: ModelServer) -> None:
    embedder = build_embedder("openai:text-embedding-3-small", settings_for(server))
    assert len(await embedder.embed_documents([f"text {n}" for n in range(300)])) == 300
    assert server.count == 3
    await embedder.embed_query("x" * 20_000)
    assert len(server.requests[-1].body["input"][0]) == embedder.max_tokens
