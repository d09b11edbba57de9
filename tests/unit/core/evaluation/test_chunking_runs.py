"""The strategies side by side, on documents that pose their own questions."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from core.errors import DatasetError
from core.evaluation.chunking_runs import run_chunking
from core.evaluation.collection import Workbench
from core.evaluation.place_questions import make_questions
from core.knowledge.chunking import ChunkingStrategy
from core.knowledge.documents import Document
from core.testing.embedder import FakeEmbedder
from core.testing.knowledge import InMemoryKnowledgeStore

TOPICS = ("harbour", "museum", "bakery", "library", "station", "market")


def page(topic: str) -> Document:
    body = f"The {topic} opens at nine and closes at five. " * 14
    text = (
        f"# Town\n\n## When does the {topic} open?\n\n{body}\n\n## About\n\nSomething else altogether. " * 2
    )
    return Document(uri=f"{topic}.md", title=topic.title(), text=text, content_hash=topic)


DOCUMENTS = [page(topic) for topic in TOPICS]


class CountingEmbedder(FakeEmbedder):
    """Counts how many times each text is embedded."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    async def embed_documents(self, texts: Sequence[str]) -> list[Sequence[float]]:
        self.seen += texts
        return await super().embed_documents(texts)


async def test_every_strategy_is_measured_on_the_same_questions() -> None:
    store, embedder = InMemoryKnowledgeStore(), CountingEmbedder()
    questions = make_questions(DOCUMENTS)
    assert len(questions) == len(TOPICS)

    result = await run_chunking("town", DOCUMENTS, questions, Workbench(store, embedder))

    assert [measured.strategy for measured in result.strategies] == list(ChunkingStrategy)
    for measured in result.strategies:
        assert 0 < measured.recall <= 1
        assert measured.intervals["recall"].low <= measured.recall <= measured.intervals["recall"].high
        assert set(measured.values["recall"]) == {question.id for question in questions}
        assert measured.context_tokens > 0
    by_name = {measured.strategy: measured for measured in result.strategies}
    assert by_name[ChunkingStrategy.SMALL_TO_BIG].chunks > by_name[ChunkingStrategy.STRUCTURE].chunks
    assert len(embedder.seen) == len(set(embedder.seen)), "what strategies have in common is embedded once"
    assert await store.sources() == [], "nothing is left behind"


async def test_documents_without_questions_are_refused() -> None:
    with pytest.raises(DatasetError, match="pose no questions"):
        await run_chunking("town", DOCUMENTS, [], Workbench(InMemoryKnowledgeStore(), FakeEmbedder()))
