"""Slices the same documents in several ways and measures how well each is found and read.

Every strategy gets a collection of its own, is searched with the same questions, and is judged by the places that
answer them (core.evaluation.place_metrics). A text that two strategies have in common is embedded once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from core.answers import Passage
from core.errors import DatasetError
from core.evaluation.collection import (
    OnProgress,
    Progress,
    RunCollection,
    Workbench,
    open_collection_of,
)
from core.evaluation.kept_vectors import EmbedderAround
from core.evaluation.metrics import Interval, bootstrap_interval, mean
from core.evaluation.place_metrics import NDCG_DEPTH, PlaceFigures, Span, measure_places
from core.evaluation.place_questions import PlaceQuestion
from core.knowledge.chunking import ChunkingPolicy, ChunkingStrategy, estimate_tokens
from core.knowledge.documents import Document
from core.knowledge.passages import merge_neighbours
from core.knowledge.search import Knowledge
from core.messages import Frozen
from core.ports import Embedder

CONTEXT_PASSAGES = 8
"""How many passages an answer is written from."""
CONTEXT_TOKENS = 1000
FIGURES = tuple(PlaceFigures.model_fields)


class StrategyResult(Frozen):
    """What a strategy made of the documents. Figures are means over the questions (PlaceFigures), `intervals` the
    95% interval of each. `context_tokens`: what an answer is written from, on average; `values`: each figure by
    question id."""

    strategy: ChunkingStrategy
    chunks: int
    chunk_tokens: float
    context_tokens: float
    recall: float
    precision: float
    mrr: float
    ndcg10: float
    recall_by_tokens: float
    intervals: dict[str, Interval]
    seconds: float
    values: dict[str, dict[str, float]] = Field(default_factory=dict, exclude=True)


class ChunkingResult(Frozen):
    """The strategies side by side, on the same questions."""

    dataset: str
    documents: int
    questions: int
    k: int
    tokens: int
    strategies: tuple[StrategyResult, ...]


async def run_chunking(
    name: str,
    documents: Sequence[Document],
    questions: Sequence[PlaceQuestion],
    bench: Workbench,
    *,
    strategies: Sequence[ChunkingStrategy] = tuple(ChunkingStrategy),
    k: int = 10,
) -> ChunkingResult:
    """Measure each strategy with the shipped sizes. Raises DatasetError without questions."""
    if not questions:
        raise DatasetError(
            f"{name}: these documents pose no questions. Use documents with headings that are questions, or with "
            "links to sections of each other."
        )
    shared = _EmbeddedOnce(bench.embedder)
    results = []
    for strategy in strategies:
        policy, began = ChunkingPolicy(strategy=strategy), time.perf_counter()
        ours = replace(bench, embedder=shared, policy=policy)
        async with open_collection_of(name, documents, ours) as run:
            measured = await _measure(run, Knowledge(bench.store, shared), questions, k, bench.on_progress)
        results.append(_summarise(strategy, run, measured, time.perf_counter() - began))
    return ChunkingResult(
        dataset=name,
        documents=len(documents),
        questions=len(questions),
        k=k,
        tokens=CONTEXT_TOKENS,
        strategies=tuple(results),
    )


async def _measure(
    run: RunCollection,
    knowledge: Knowledge,
    questions: Sequence[PlaceQuestion],
    k: int,
    on_progress: OnProgress,
) -> dict[str, tuple[PlaceFigures, int]]:
    """By question id: its figures, and the tokens that its answer would be written from."""
    measured: dict[str, tuple[PlaceFigures, int]] = {}
    for question in questions:
        found = await _search(knowledge, question, run, max(k, NDCG_DEPTH))
        place = Span(**question.place.model_dump())
        figures = measure_places([_span(passage) for passage in found], place, k=k, tokens=CONTEXT_TOKENS)
        context = merge_neighbours(found[:CONTEXT_PASSAGES])
        measured[question.id] = figures, sum(estimate_tokens(passage.text) for passage in context)
        on_progress(Progress(step="search", done=len(measured), total=len(questions)))
    return measured


def _summarise(
    strategy: ChunkingStrategy,
    run: RunCollection,
    measured: dict[str, tuple[PlaceFigures, int]],
    seconds: float,
) -> StrategyResult:
    values = {
        figure: {id: float(getattr(figures, figure)) for id, (figures, _) in measured.items()}
        for figure in FIGURES
    }
    return StrategyResult(
        strategy=strategy,
        chunks=run.chunks,
        chunk_tokens=run.tokens / max(run.chunks, 1),
        context_tokens=mean([float(tokens) for _, tokens in measured.values()]),
        **{figure: mean(list(by_question.values())) for figure, by_question in values.items()},
        intervals={
            figure: bootstrap_interval(list(by_question.values())) for figure, by_question in values.items()
        },
        seconds=seconds,
        values=values,
    )


async def _search(
    knowledge: Knowledge, question: PlaceQuestion, run: RunCollection, limit: int
) -> list[Passage]:
    """The first `limit` passages of documents other than the one that the question stands in."""
    asked_for = limit
    while True:
        found = await knowledge.search(
            question.text, audience=run.audience, limit=asked_for, collections=[run.name]
        )
        others = [passage for passage in found if passage.uri != question.asked_in]
        if len(others) >= limit or len(found) < asked_for:
            return others[:limit]
        asked_for *= 2


def _span(passage: Passage) -> Span:
    assert passage.extent is not None  # noqa: S101 - every store says where a chunk stands
    return Span(
        uri=passage.uri,
        start=passage.extent.start,
        end=passage.extent.end,
        tokens=estimate_tokens(passage.text),
    )


class _EmbeddedOnce(EmbedderAround):
    """An embedder that remembers its texts."""

    def __init__(self, embedder: Embedder) -> None:
        super().__init__(embedder)
        self._vectors: dict[str, Sequence[float]] = {}

    async def embed_documents(self, texts: Sequence[str]) -> list[Sequence[float]]:
        new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if new:
            self._vectors.update(zip(new, await self._embedder.embed_documents(new), strict=True))
        return [self._vectors[text] for text in texts]

    async def embed_query(self, text: str) -> Sequence[float]:
        key = f"query {text}"
        if key not in self._vectors:
            self._vectors[key] = await self._embedder.embed_query(text)
        return self._vectors[key]
