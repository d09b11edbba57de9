"""Rewrites the follow-ups of a data set and measures how near they come to standing on their own, without a search.

What is measured is the rewriting model that is handed in, with the memory that a thread would have, and the words of
the thread that a search gets beside the rewrite.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from pydantic import Field

from core.errors import DatasetError, ModelError
from core.evaluation.collection import OnProgress, Progress, ignore_progress
from core.evaluation.comparing import MetricComparison, compare_metric
from core.evaluation.datasets import Dataset, Query
from core.evaluation.follow_ups import memory_of, rewrite_with_history
from core.evaluation.metrics import Interval, bootstrap_interval, mean
from core.evaluation.rewriting_metrics import TurnFigures, measure_turn
from core.knowledge.thread_words import words_of_thread
from core.messages import Frozen
from core.ports import ChatModel, ModelDelta, ModelRequest

TOKEN_F1 = "token F1"  # noqa: S105 - the name of a figure


class Estimate(Frozen):
    """A mean over `turns` with its 95% interval."""

    turns: int
    mean: float
    interval: Interval


class F1Figures(Frozen):
    """Token F1 against the reference. `gained`: what the rewrite adds to the question, turn by turn. `automatic` is
    another system's rewrite, on the turns that have one, and `over_automatic` what ours adds to it there."""

    as_it_stands: Estimate
    rewritten: Estimate
    gained: MetricComparison
    automatic: Estimate | None
    over_automatic: MetricComparison | None


class RewritingFigures(Frozen):
    """A set or a part of it. `changed_too` counts the turns that we changed of the `reference_changed` ones,
    `left_too` those that we left alone of the others. `found` is over the turns to which the reference adds content
    words, `beyond` over all of them (see TurnFigures). None: no turn to measure it on."""

    turns: int
    reference_changed: int
    changed_too: int
    left_too: int
    f1: F1Figures
    f1_where_changed: F1Figures | None
    found: Estimate | None
    found_with_thread: Estimate | None
    beyond: Estimate
    beyond_with_thread: Estimate


class RewritingResult(Frozen):
    """`rewriter`: the name of the model; it was asked to rewrite the `asked` turns that have others before them, and
    `failed` on some, which stay as they are. `parts`: the splits or years of the set, where it has several. `values`: each metric by question id, higher is better."""

    dataset: str
    split: str | None
    rewriter: str
    all: RewritingFigures
    parts: dict[str, RewritingFigures]
    asked: int
    failed: int
    seconds: float
    values: dict[str, dict[str, float]] = Field(default_factory=dict, exclude=True)


async def run_rewriting(
    dataset: Dataset,
    rewriter: ChatModel,
    *,
    split: str | None = None,
    concurrency: int = 4,
    on_progress: OnProgress = ignore_progress,
) -> RewritingResult:
    """Rewrite every question that has a rewrite to be held against. Raises DatasetError if there is none, or none
    with turns before it."""
    began = time.perf_counter()
    queries = rewritten_queries(dataset, split)
    counting = _CountingRewriter(rewriter)
    written = await _rewrite_all(queries, counting, concurrency, on_progress)
    figures = {query.id: _measure(query, text) for query, text in zip(queries, written, strict=True)}
    by_part: dict[str, dict[str, TurnFigures]] = {}
    for query in queries:
        if query.part is not None:
            by_part.setdefault(query.part, {})[query.id] = figures[query.id]
    return RewritingResult(
        dataset=dataset.name,
        split=split,
        rewriter=rewriter.name,
        all=summarise_turns(figures),
        parts={part: summarise_turns(by_part[part]) for part in sorted(by_part)} if len(by_part) > 1 else {},
        asked=counting.asked,
        failed=counting.failed,
        seconds=time.perf_counter() - began,
        values=values_by_question(figures),
    )


def rewritten_queries(dataset: Dataset, split: str | None) -> list[Query]:
    """The questions that have a rewrite. Raises DatasetError, which names the field that is missing."""
    queries = [query for query in dataset.queries(split) if query.rewrite]
    if not queries:
        raise DatasetError(
            f"{dataset.folder}: No query of this set has a rewrite to be held against. "
            'Add "rewrite", the question as it would be asked outside its conversation, to queries.jsonl.'
        )
    if not any(query.history for query in queries):
        raise DatasetError(
            f"{dataset.folder}: No query with a rewrite has turns before it. "
            'Add "history", a list of {"role": "user" or "assistant", "text": …}, to queries.jsonl.'
        )
    return queries


class _CountingRewriter:
    """The rewriter, how often it was asked, and how often it failed."""

    def __init__(self, rewriter: ChatModel) -> None:
        self._rewriter = rewriter
        self.asked = self.failed = 0

    @property
    def name(self) -> str:
        return self._rewriter.name

    async def prepare(self) -> None:
        await self._rewriter.prepare()

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelDelta]:
        self.asked += 1
        try:
            async for delta in self._rewriter.stream(request):
                yield delta
        except ModelError:
            self.failed += 1
            raise


async def _rewrite_all(
    queries: Sequence[Query], rewriter: ChatModel, concurrency: int, on_progress: OnProgress
) -> list[str]:
    """The rewrites, in the order of the queries."""
    seats = asyncio.Semaphore(concurrency)
    done = 0

    async def rewrite(query: Query) -> str:
        nonlocal done
        async with seats:
            text = await rewrite_with_history(query, rewriter)
            done += 1
            on_progress(Progress(step="ask", done=done, total=len(queries)))
            return text

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(rewrite(query)) for query in queries]
    return [task.result() for task in tasks]


def _measure(query: Query, written: str) -> TurnFigures:
    return measure_turn(
        query.text,
        written,
        thread=words_of_thread(written, memory_of(query)),
        reference=query.rewrite or query.text,
        automatic=query.automatic_rewrite,
    )


def summarise_turns(figures: Mapping[str, TurnFigures]) -> RewritingFigures:
    """The figures of at least one turn, by question id."""
    turns = list(figures.values())
    changed = {question: turn for question, turn in figures.items() if turn.reference_changes}
    return RewritingFigures(
        turns=len(turns),
        reference_changed=len(changed),
        changed_too=sum(turn.changes for turn in changed.values()),
        left_too=sum(not turn.changes and not turn.reference_changes for turn in turns),
        f1=_summarise_f1(figures),
        f1_where_changed=_summarise_f1(changed) if changed else None,
        found=_estimate([turn.found for turn in turns]),
        found_with_thread=_estimate([turn.found_with_thread for turn in turns]),
        beyond=_estimate_of([turn.beyond for turn in turns]),
        beyond_with_thread=_estimate_of([turn.beyond_with_thread for turn in turns]),
    )


def _summarise_f1(figures: Mapping[str, TurnFigures]) -> F1Figures:
    stands = _known(figures, lambda turn: turn.f1_as_it_stands)
    ours = _known(figures, lambda turn: turn.f1)
    automatic = _known(figures, lambda turn: turn.f1_automatic)
    return F1Figures(
        as_it_stands=_estimate_of(list(stands.values())),
        rewritten=_estimate_of(list(ours.values())),
        gained=compare_metric(TOKEN_F1, stands, ours),
        automatic=_estimate(list(automatic.values())),
        over_automatic=compare_metric(TOKEN_F1, automatic, ours) if automatic else None,
    )


def values_by_question(figures: Mapping[str, TurnFigures]) -> dict[str, dict[str, float]]:
    """What is kept of single questions, by metric: what two runs are held against each other on."""
    changed = {question: turn for question, turn in figures.items() if turn.reference_changes}
    left = {question: turn for question, turn in figures.items() if not turn.reference_changes}
    return {
        TOKEN_F1: _known(figures, lambda turn: turn.f1),
        f"{TOKEN_F1} where changed": _known(changed, lambda turn: turn.f1),
        "changed": _known(changed, lambda turn: float(turn.changes)),
        "left alone": _known(left, lambda turn: float(not turn.changes)),
        "words found": _known(figures, lambda turn: turn.found),
        "words found, thread": _known(figures, lambda turn: turn.found_with_thread),
    }


def _known(
    figures: Mapping[str, TurnFigures], figure: Callable[[TurnFigures], float | None]
) -> dict[str, float]:
    return {question: value for question, turn in figures.items() if (value := figure(turn)) is not None}


def _estimate(values: Sequence[float | None]) -> Estimate | None:
    known = [value for value in values if value is not None]
    return _estimate_of(known) if known else None


def _estimate_of(values: Sequence[float]) -> Estimate:
    return Estimate(turns=len(values), mean=mean(values), interval=bootstrap_interval(values))
