"""Out of the box Threadlore answers questions about itself from these very pages, without a model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from core.answers import Passage
from core.assistant import Assistant, Question
from core.graph.build import build_graph
from core.knowledge.ingest import Ingestor
from core.knowledge.search import Knowledge
from core.memory import ThreadMemory
from core.messages import Audience
from core.providers.extractive import ExtractiveAnswerer
from core.providers.local_embedder import LocalEmbedder
from core.storage.database import Database
from core.storage.knowledge import PostgresKnowledgeStore
from core.testing.feedback import InMemoryFeedbackStore
from core.testing.inbox import InMemoryInbox
from core.testing.making import make_message
from core.testing.outbox import InMemoryOutbox
from core.testing.turns import InMemoryTurnStore
from tests.architecture.pages import ROOT

pytestmark = pytest.mark.long

COLLECTION = "default-knowledge"
PASSAGES_PER_ANSWER = 8

ANSWERS = [
    ("How do I connect Threadlore to Slack?", "connect-slack", "xapp|connections:write"),
    ("How do I connect Threadlore to Discord?", "connect-discord", "DISCORD_TOKEN"),
    ("Which settings turn Slack on?", "connect-slack", "SLACK_APP_TOKEN"),
    ("Which settings turn Discord on?", "settings|connect-discord", "DISCORD_TOKEN"),
    ("How do I connect two Slack workspaces?", "connect-slack", "SLACK_CLIENT_ID"),
    ("How do I add our own documents?", "add-knowledge", "KNOWLEDGE"),
    ("What file formats are supported?", "add-knowledge", "Markdown"),
    ("How do I restrict documents to a private channel?", "add-knowledge", "--grant"),
    ("How do I use my own model?", "choose-a-model", "CHAT_MODEL"),
    ("Can I run it without an API key?", "choose-a-model", "extractive"),
    ("What happens when a message is deleted?", "delete-data", "erases"),
    ("How do I see feedback?", "read-feedback", "threadlore export feedback"),
    ("Which emoji count as feedback?", "read-feedback", "👍"),
    ("Where is data stored?", "delete-data", "Postgres"),
    ("Why did it abstain?", "understand-answers", "documents hold no answer"),
    ("How do I run it with Docker?", "run-in-production", "docker compose up"),
    ("How do I ask over HTTP?", "http", "POST /v1/turns"),
]
NOT_ABOUT_THREADLORE = ["What is the capital of France?", "How do I bake bread?", "Who won the world cup?"]


@pytest.fixture(scope="module")
async def assistant(
    migrated_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Assistant]:
    store = PostgresKnowledgeStore(migrated_database)
    embedder = LocalEmbedder(tmp_path_factory.mktemp("models"))
    await Ingestor(store, embedder).sync([str(ROOT / "docs")], collection=COLLECTION)
    knowledge = Knowledge(store, embedder)
    inbox = InMemoryInbox()
    turns = InMemoryTurnStore(inbox, InMemoryOutbox(inbox), InMemoryFeedbackStore())

    async def search(query: str, *, audience: Audience, context: str = "") -> list[Passage]:
        return await knowledge.read(
            query, audience=audience, limit=PASSAGES_PER_ANSWER, collections=[COLLECTION], context=context
        )

    answerer = ExtractiveAnswerer(embedder.name)
    yield Assistant(
        build_graph(),
        [answerer],
        search,
        ThreadMemory(turns, answerer, budget_tokens=2000),
        turn_timeout_seconds=60,
        max_question_characters=12_000,
    )
    await store.drop_collection(COLLECTION)
    await embedder.aclose()


@pytest.mark.parametrize(("question", "page", "saying"), ANSWERS)
async def test_a_likely_question_is_answered_from_its_page(
    assistant: Assistant, question: str, page: str, saying: str
) -> None:
    answer = (await assistant.answer(ask(question))).answer
    assert not answer.abstained
    assert any(name in citation.uri for citation in answer.citations for name in page.split("|"))
    assert any(word in answer.text for word in saying.split("|")), answer.text


@pytest.mark.parametrize("question", NOT_ABOUT_THREADLORE)
async def test_a_question_about_something_else_is_not_answered(assistant: Assistant, question: str) -> None:
    assert (await assistant.answer(ask(question))).answer.abstained


def ask(text: str) -> Question:
    message = make_message(text=text)
    return Question(
        turn_id=uuid4(),
        message_id=message.id,
        thread=message.thread,
        author=message.author,
        text=text,
        asked_at=message.at,
    )
