"""Retrieval runs on a tiny data set, with the stores and the embedder that tests use."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.answers import Passage
from core.errors import DatasetError, ModelPermanentError
from core.evaluation.collection import Progress, Workbench
from core.evaluation.datasets import Dataset, read_dataset
from core.evaluation.follow_ups import memory_of
from core.evaluation.runs import QueryForm, run_retrieval
from core.messages import Audience
from core.ports import ModelDelta, ModelRequest
from core.testing.embedder import FakeEmbedder
from core.testing.knowledge import InMemoryKnowledgeStore

CORPUS = [
    {"id": "harbour", "title": "Harbour", "text": "Ferries leave the harbour at noon. " * 60},
    {"id": "museum", "title": "Museum", "text": "The museum shows paintings and old maps."},
    {"id": "bakery", "text": "Fresh bread is baked before sunrise."},
    {"id": "library", "title": "Library", "text": "Books can be borrowed for a month."},
]
QUERIES = [
    {"id": "q1", "text": "when do ferries leave?", "split": "test"},
    {"id": "q2", "text": "where are old maps shown?", "split": "test"},
    {
        "id": "q3",
        "text": "and before sunrise?",
        "rewrite": "what is baked before sunrise?",
        "history": [
            {"role": "user", "text": "what does the bakery sell?"},
            {"role": "assistant", "text": "Bread."},
        ],
        "split": "train",
    },
    {"id": "q4", "text": "who is the mayor?", "split": "test"},
]
QRELS = "query-id\tcorpus-id\tscore\nq1\tharbour\t1\nq2\tmuseum\t1\nq3\tbakery\t1\n"


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    folder = tmp_path / "town"
    folder.mkdir()
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in CORPUS))
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in QUERIES))
    (folder / "qrels.tsv").write_text(QRELS)
    return read_dataset(folder)


class ScriptedRewriter:
    """A chat model that answers every request with one text and keeps what it was asked."""

    def __init__(self, text: str | None) -> None:
        self.text = text
        self.requests: list[ModelRequest] = []

    @property
    def name(self) -> str:
        return "test:rewriter"

    async def prepare(self) -> None: ...

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelDelta]:
        self.requests.append(request)
        if self.text is None:
            raise ModelPermanentError("no such model")
        yield ModelDelta(text=self.text)
        yield ModelDelta(finish="stop")


async def test_a_run_reports_the_figures_of_the_judged_queries_of_its_split(dataset: Dataset) -> None:
    result = await run_retrieval(
        dataset, Workbench(InMemoryKnowledgeStore(), FakeEmbedder()), k=2, split="test"
    )
    assert (result.dataset, result.split, result.k, result.query) == ("town", "test", 2, "text")
    assert result.queries == 2
    assert result.documents == 4
    assert result.chunks > 4
    assert (result.recall, result.precision, result.mrr, result.ndcg10) == (1.0, 0.5, 1.0, 1.0)
    assert set(result.intervals) == {"recall", "precision", "mrr", "ndcg10"}
    assert result.intervals["recall"].low == 1.0


async def test_a_document_of_many_chunks_takes_one_place_only(dataset: Dataset) -> None:
    result = await run_retrieval(
        dataset, Workbench(InMemoryKnowledgeStore(), FakeEmbedder()), k=4, split="test"
    )
    assert result.precision == 0.25
    assert result.recall == 1.0


async def test_progress_is_told_for_ingestion_and_search(dataset: Dataset) -> None:
    seen: list[Progress] = []
    await run_retrieval(dataset, Workbench(InMemoryKnowledgeStore(), FakeEmbedder(), on_progress=seen.append))
    assert seen[0] == Progress(step="ingest", done=4)
    assert seen[-1] == Progress(step="search", done=3, total=3)


async def test_nobody_else_can_read_the_corpus_while_the_run_lasts(dataset: Dataset) -> None:
    store, embedder = InMemoryKnowledgeStore(), FakeEmbedder()
    audience = Audience(platform="slack", workspace="w", channel="c")
    found: list[int] = []

    class Curious(FakeEmbedder):
        async def embed_query(self, text: str) -> list[float]:
            vector = list(await embedder.embed_query(text))
            passages = await store.search(text, vector, embedder=self.name, audience=audience, limit=5)
            found.append(len(passages))
            return vector

    await run_retrieval(dataset, Workbench(store, Curious()))
    assert found == [0, 0, 0]


async def test_the_collection_is_gone_afterwards(dataset: Dataset) -> None:
    store = InMemoryKnowledgeStore()
    await run_retrieval(dataset, Workbench(store, FakeEmbedder()))
    assert await store.sources() == []


async def test_the_collection_is_gone_after_an_error_too(dataset: Dataset) -> None:
    store = InMemoryKnowledgeStore()
    (dataset.folder / "corpus.jsonl").write_text(json.dumps(CORPUS[0]) + "\nbroken\n")
    with pytest.raises(DatasetError, match="line 2"):
        await run_retrieval(dataset, Workbench(store, FakeEmbedder()))
    assert await store.sources() == []


async def test_asking_with_the_rewrite_takes_the_one_that_the_set_brings(dataset: Dataset) -> None:
    asked: list[str] = []

    class Listening(FakeEmbedder):
        async def embed_query(self, text: str) -> list[float]:
            asked.append(text)
            return list(await super().embed_query(text))

    await run_retrieval(
        dataset, Workbench(InMemoryKnowledgeStore(), Listening()), split="train", query="rewrite"
    )
    assert asked == ["what is baked before sunrise?"]


async def test_asking_with_the_history_lets_the_model_rewrite_with_the_turns_before(dataset: Dataset) -> None:
    rewriter = ScriptedRewriter('"What does the bakery bake before sunrise?"\nBecause ...')
    result = await run_retrieval(
        dataset, Workbench(InMemoryKnowledgeStore(), FakeEmbedder()), query="history", rewriter=rewriter
    )
    assert result.queries == 3
    (request,) = rewriter.requests  # only the query that has turns before it
    assert request.task == "rewrite"
    assert request.memory.turns == (("what does the bakery sell?", "Bread."),)


async def test_asking_with_the_history_searches_with_the_words_of_the_thread_beside(dataset: Dataset) -> None:
    class Listening(InMemoryKnowledgeStore):
        async def search(self, text: str, *arguments: Any, context: str = "", **named: Any) -> list[Passage]:
            heard.append((text, context))
            return await super().search(text, *arguments, context=context, **named)

    heard: list[tuple[str, str]] = []
    forms: list[QueryForm] = ["history", "text"]
    for query in forms:
        await run_retrieval(
            dataset,
            Workbench(Listening(), FakeEmbedder()),
            split="train",
            query=query,
            rewriter=ScriptedRewriter(None),
        )
    assert heard == [("and before sunrise?", "bakery sell bread"), ("and before sunrise?", "")]


async def test_a_rewriter_that_fails_leaves_the_query_as_it_was(dataset: Dataset) -> None:
    result = await run_retrieval(
        dataset,
        Workbench(InMemoryKnowledgeStore(), FakeEmbedder()),
        split="train",
        query="history",
        rewriter=ScriptedRewriter(None),
    )
    assert result.recall == 1.0


async def test_asking_with_rewrites_that_are_not_there_is_refused(dataset: Dataset) -> None:
    with pytest.raises(DatasetError, match="rewrite"):
        await run_retrieval(
            dataset, Workbench(InMemoryKnowledgeStore(), FakeEmbedder()), split="test", query="rewrite"
        )


async def test_a_set_without_judged_queries_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    (dataset.folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nelse\tharbour\t1\n")
    with pytest.raises(DatasetError, match="no query has a relevant document"):
        await run_retrieval(read_dataset(dataset.folder), Workbench(InMemoryKnowledgeStore(), FakeEmbedder()))


def test_turns_before_a_query_are_paired_as_a_thread_remembers_them(dataset: Dataset) -> None:
    query = dataset.queries("train")[0]
    assert memory_of(query).turns == (("what does the bakery sell?", "Bread."),)
    assert memory_of(dataset.queries("test")[0]).is_empty
