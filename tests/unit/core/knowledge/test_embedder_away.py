"""The embedding model is down, slow or gone: questions are searched for by their words, and people are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from core import notices
from core.answers import Passage, Turn
from core.assistant import Assistant, Question
from core.errors import ModelError, ModelPermanentError, SearchImpairedError
from core.graph.build import build_graph
from core.knowledge.chunking import chunk_text, embedding_text
from core.knowledge.documents import Document
from core.knowledge.search import Knowledge
from core.memory import ThreadMemory
from core.messages import Audience, Author, Channel, Thread
from core.providers.breaker import CircuitBreaker
from core.providers.extractive import ExtractiveAnswerer
from core.providers.guarded import GuardedEmbedder
from core.providers.hosted import HostedEmbedder, build_embedder
from core.providers.settings import ProviderSettings
from core.testing.feedback import InMemoryFeedbackStore
from core.testing.inbox import InMemoryInbox
from core.testing.knowledge import InMemoryKnowledgeStore
from core.testing.model_server import Fault, ModelServer
from core.testing.outbox import InMemoryOutbox
from core.testing.turns import InMemoryTurnStore

READERS = Audience(platform="memory", workspace="W", channel="C")
HANDBOOK = {
    "leave": "Parental leave lasts 26 weeks, and every parent can take it.",
    "trains": "Trains are booked with the travel desk, extension 4711, two days ahead.",
    "hotels": "Hotels are paid with the company card, up to 140 euros a night.",
    "badges": "A lost badge is replaced at the front desk for 12 euros.",
    "backups": "Backups are kept for 30 days in the second region.",
    "laptops": "A laptop is replaced after four years by the support team.",
    "visitors": "Visitors sign in at the reception and wear a yellow sticker.",
    "parking": "Parking spaces are given out by lot every January.",
    "keys": "Signing keys are rotated every ninety days by the platform team.",
    "lunch": "Lunch is paid by the company on Fridays, up to 15 euros.",
}
QUESTIONS = {
    "How many weeks does parental leave last?": "leave",
    "Who books trains?": "trains",
    "How are hotels paid?": "hotels",
    "Where is a lost badge replaced?": "badges",
    "For how many days are backups kept?": "backups",
    "When is a laptop replaced?": "laptops",
    "Where do visitors sign in?": "visitors",
    "How are parking spaces given out?": "parking",
    "How often are signing keys rotated?": "keys",
    "On which day is lunch paid by the company?": "lunch",
}


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with ModelServer() as server:
        yield server


@pytest.fixture
async def embedder(server: ModelServer) -> HostedEmbedder:
    given: dict[str, Any] = {"openai_api_key": "sk-1", "openai_base_url": server.openai_url}
    embedder = build_embedder("openai:text-embedding-3-small", ProviderSettings(**given))
    await embedder.open()
    return embedder


@pytest.fixture
async def knowledge(embedder: HostedEmbedder) -> Knowledge:
    """The handbook, embedded while the embedder was well."""
    store = InMemoryKnowledgeStore()
    source = await store.open_source(await store.open_collection("default"), "handbook", "folder")
    documents = []
    for uri, text in HANDBOOK.items():
        document = Document(uri=uri, title=uri.title(), text=text, content_hash=uri)
        chunks = chunk_text(text, title=document.title)
        vectors = await embedder.embed_documents([embedding_text(uri, chunk) for chunk in chunks])
        documents.append((document, chunks, vectors))
    await store.put_documents(source, documents, embedder=embedder.name)
    breaker = CircuitBreaker(embedder.name)
    return Knowledge(store, GuardedEmbedder(embedder, breaker, seconds=1.0))


def make_assistant(knowledge: Knowledge) -> Assistant:
    async def search(query: str, *, audience: Audience, context: str = "") -> list[Passage]:
        return await knowledge.read(query, audience=audience, or_by_words=True)

    inbox, model = InMemoryInbox(), ExtractiveAnswerer()
    turns = InMemoryTurnStore(inbox, InMemoryOutbox(inbox), InMemoryFeedbackStore())
    return Assistant(
        build_graph(),
        [model],
        search,
        ThreadMemory(turns, model, budget_tokens=2000),
        turn_timeout_seconds=20.0,
        max_question_characters=12_000,
    )


async def ask(assistant: Assistant, text: str) -> Turn:
    question = Question(
        turn_id=uuid4(),
        message_id="M1",
        thread=Thread(channel=Channel(platform="memory", workspace="W", id="C"), id="M1"),
        author=Author(id="U1"),
        text=text,
        asked_at=datetime.now(UTC),
    )
    return await assistant.answer(question)


async def test_nine_of_ten_questions_in_the_documents_words_are_answered(
    knowledge: Knowledge, server: ModelServer
) -> None:
    server.break_all(Fault(kind="status", status=503))
    assistant = make_assistant(knowledge)
    turns = {uri: await ask(assistant, text) for text, uri in QUESTIONS.items()}
    right = [uri for uri, turn in turns.items() if uri in {c.uri for c in turn.answer.citations}]
    assert len(right) >= 9
    assert all(turn.answer.text.endswith(f"*{notices.BY_WORDS_ALONE}*") for turn in turns.values())
    (search,) = [span for span in turns["trains"].spans if span.name == "search"]
    assert search.facts["by_words_alone"] is True


async def test_an_embedder_that_is_down_is_left_alone(knowledge: Knowledge, server: ModelServer) -> None:
    server.break_all(Fault(kind="status", status=503))
    before = server.count
    for _ in range(9):
        await knowledge.search("Who books trains?", audience=READERS, or_by_words=True)
    assert server.count - before == 5


async def test_an_embedder_that_says_nothing_is_not_waited_for(
    knowledge: Knowledge, server: ModelServer
) -> None:
    server.break_all(Fault(kind="black_hole"))
    async with asyncio.timeout(20):
        passages = await knowledge.search("Who books trains?", audience=READERS, or_by_words=True)
    assert passages[0].uri == "trains"


async def test_when_it_is_back_nothing_is_said_any_more(knowledge: Knowledge, server: ModelServer) -> None:
    server.break_next(Fault(kind="status", status=500))
    assistant = make_assistant(knowledge)
    assert notices.BY_WORDS_ALONE in (await ask(assistant, "Who books trains?")).answer.text
    assert notices.BY_WORDS_ALONE not in (await ask(assistant, "Who books trains?")).answer.text


async def test_nothing_found_by_words_is_no_claim_that_there_is_nothing(
    knowledge: Knowledge, server: ModelServer
) -> None:
    server.break_all(Fault(kind="status", status=503))
    turn = await ask(make_assistant(knowledge), "Zugfahrkarten?")
    assert (turn.outcome, turn.answer.reason) == ("failed", "search_impaired")
    assert turn.answer.text == notices.SEARCH_IMPAIRED
    with pytest.raises(SearchImpairedError):
        await knowledge.search("Zugfahrkarten?", audience=READERS, or_by_words=True)


async def test_an_evaluation_is_not_given_half_a_search(knowledge: Knowledge, server: ModelServer) -> None:
    server.break_all(Fault(kind="status", status=503))
    with pytest.raises(ModelError):
        await knowledge.search("Who books trains?", audience=READERS)


async def test_an_embedder_that_is_down_at_the_start_is_no_reason_not_to_begin() -> None:
    left_alone: list[bool] = []
    async with ModelServer() as server:
        settings = ProviderSettings.model_validate(
            {"openai_api_key": "key", "openai_base_url": server.openai_url}
        )
        breaker = CircuitBreaker("openai:e", on_change=lambda name, alone: left_alone.append(alone))
        embedder = GuardedEmbedder(build_embedder("openai:e", settings), breaker, seconds=30.0)
        server.break_all(Fault(kind="status", status=503))
        for _ in range(5):
            await embedder.open()
        assert (embedder.is_left_alone, left_alone) == (True, [True])
        assert server.count == 5
        server.heal()
        assert len((await embedder.embed_documents(["text"]))[0]) == 64


async def test_a_key_that_is_refused_is_said_at_the_start() -> None:
    async with ModelServer() as server:
        settings = ProviderSettings.model_validate(
            {"openai_api_key": "wrong", "openai_base_url": server.openai_url}
        )
        embedder = GuardedEmbedder(build_embedder("openai:e", settings), CircuitBreaker("e"), seconds=30.0)
        server.break_all(Fault(kind="status", status=401))
        with pytest.raises(ModelPermanentError):
            await embedder.open()
