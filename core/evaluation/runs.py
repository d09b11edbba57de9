"""Runs a data set's queries through the search and measures what comes back.

The corpus goes into a collection made for the run (core.evaluation.collection); what is measured is the
store, the embedder and the rewriting model that are handed in, exactly as the assistant uses them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from core.errors import DatasetError
from core.evaluation.collection import (
    Progress,
    RunCollection,
    Workbench,
    open_run_collection,
)
from core.evaluation.datasets import Dataset, Query
from core.evaluation.follow_ups import memory_of, rewrite_with_history
from core.evaluation.metrics import (
    Interval,
    Judgements,
    bootstrap_interval,
    mean,
    ndcg_at,
    precision_at,
    recall_at,
    reciprocal_rank,
    relevant_documents,
)
from core.knowledge.reranking import PASSAGES_READ, Reranker, rerank
from core.knowledge.thread_words import words_of_thread
from core.messages import Frozen
from core.ports import ChatModel

QueryForm = Literal["text", "rewrite", "history"]
"""What is searched for: the query alone; the standalone form that the set brings along; the query
rewritten by us with the turns before it in memory, and the words of those turns beside it."""

NDCG_DEPTH = 10
RERANK_SECONDS = 60.0
MOST_PASSAGES = 2000
"""Where looking for further distinct documents ends."""


class RetrievalResult(Frozen):
    """Means over the judged queries; `intervals` holds the 95% interval of each by its name.

    `recall` and `precision` are at k; `ndcg10` is at 10; `mrr` looks at the first k, at least 10.
    `seconds` is wall clock, ingestion included; `search_ms_p50` and `_p95` are one search each. `values` holds
    each figure by query id.
    """

    dataset: str
    split: str | None
    query: QueryForm
    k: int
    queries: int
    documents: int
    chunks: int
    recall: float
    precision: float
    mrr: float
    ndcg10: float
    intervals: dict[str, Interval]
    search_ms_p50: float
    search_ms_p95: float
    seconds: float
    values: dict[str, dict[str, float]] = Field(default_factory=dict, exclude=True)


async def run_retrieval(
    dataset: Dataset,
    bench: Workbench,
    *,
    k: int = 10,
    split: str | None = None,
    query: QueryForm = "text",
    rewriter: ChatModel | None = None,
    reranker: Reranker | None = None,
) -> RetrievalResult:
    """Measure the search. `rewriter` is the chat model that rewrites, for `query="history"`.

    Raises DatasetError if the set has no judged queries, not the split, or not the form asked for.
    """
    began = time.perf_counter()
    judgements = dataset.judgements(split)
    queries = judged_queries(dataset, split, judgements)
    forms = await _query_forms(queries, query, rewriter)
    depth = max(k, NDCG_DEPTH)
    rankings: list[list[str]] = []
    search_seconds: list[float] = []
    async with open_run_collection(dataset, bench) as run:
        for text, context in forms:
            vector = await bench.embedder.embed_query(text)
            started = time.perf_counter()
            found = await rank_documents(run, bench, text, vector, depth, reranker, context)
            rankings.append(found)
            search_seconds.append(time.perf_counter() - started)
            bench.on_progress(Progress(step="search", done=len(rankings), total=len(forms)))
        figures = measure_rankings(rankings, [judgements[each.id] for each in queries], k)
    return RetrievalResult(
        dataset=dataset.name,
        split=split,
        query=query,
        k=k,
        queries=len(queries),
        documents=run.documents,
        chunks=run.chunks,
        **{name: mean(values) for name, values in figures.items()},
        intervals={name: bootstrap_interval(values) for name, values in figures.items()},
        search_ms_p50=_percentile_ms(search_seconds, 0.50),
        search_ms_p95=_percentile_ms(search_seconds, 0.95),
        seconds=time.perf_counter() - began,
        values={
            name: dict(zip((each.id for each in queries), values, strict=True))
            for name, values in figures.items()
        },
    )


def judged_queries(dataset: Dataset, split: str | None, judgements: dict[str, dict[str, int]]) -> list[Query]:
    """The queries with at least one relevant document. Raises DatasetError if there is none."""
    queries = [each for each in dataset.queries(split) if relevant_documents(judgements.get(each.id, {}))]
    if not queries:
        raise DatasetError(
            f"{dataset.folder}: no query has a relevant document. "
            "Check that the query ids in the judgements are those of queries.jsonl."
        )
    return queries


def measure_rankings(
    rankings: Sequence[Sequence[str]], judgements: Sequence[Judgements], k: int
) -> dict[str, list[float]]:
    """One value per query for each of recall, precision, mrr and ndcg10."""
    pairs = list(zip(rankings, judgements, strict=True))
    return {
        "recall": [recall_at(ranking, grades, k) for ranking, grades in pairs],
        "precision": [precision_at(ranking, grades, k) for ranking, grades in pairs],
        "mrr": [reciprocal_rank(ranking, grades, max(k, NDCG_DEPTH)) for ranking, grades in pairs],
        "ndcg10": [ndcg_at(ranking, grades, NDCG_DEPTH) for ranking, grades in pairs],
    }


async def rank_documents(
    run: RunCollection,
    bench: Workbench,
    text: str,
    vector: Sequence[float],
    documents: int,
    reranker: Reranker | None = None,
    context: str = "",
) -> list[str]:
    """The ids of the first `documents` distinct documents, each at the place of its best passage."""
    limit = max(documents * 2, PASSAGES_READ if reranker else 0)
    while True:
        passages = await bench.store.search(
            text,
            vector,
            embedder=bench.embedder.name,
            audience=run.audience,
            limit=limit,
            collections=[run.name],
            context=context,
        )
        if reranker:
            read = await rerank(reranker, text, passages[:PASSAGES_READ], timeout_seconds=RERANK_SECONDS)
            passages = [*read, *passages[PASSAGES_READ:]]
        ranking = list(dict.fromkeys(passage.uri for passage in passages))
        if len(ranking) >= documents or len(passages) < limit or limit >= MOST_PASSAGES:
            return ranking[:documents]
        limit *= 3


async def _query_forms(
    queries: Sequence[Query], form: QueryForm, rewriter: ChatModel | None
) -> list[tuple[str, str]]:
    """What is searched for, each with the words of its thread."""
    if form == "text":
        return [(each.text, "") for each in queries]
    if form == "rewrite":
        if not any(each.rewrite for each in queries):
            raise DatasetError(
                "No query of this set has a rewrite. Ask with the text or the history instead."
            )
        return [(each.rewrite or each.text, "") for each in queries]
    if rewriter is None:
        raise ValueError("asking with the history needs a model that rewrites")
    written = [await rewrite_with_history(each, rewriter) for each in queries]
    return [
        (text, words_of_thread(text, memory_of(each))) for each, text in zip(queries, written, strict=True)
    ]


def _percentile_ms(seconds: Sequence[float], share: float) -> float:
    ordered = sorted(seconds)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000.0, 2)
