"""`eval retrieval` and `eval answers`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from bot.commands.evaluation_runs import open_workbench
from bot.commands.gated_runs import Measured, run_gated
from bot.commands.progress import open_progress
from bot.commands.running import FAILED, write_line

if TYPE_CHECKING:
    from core.evaluation.answer_runs import AnswersResult
    from core.evaluation.datasets import Dataset
    from core.evaluation.runs import RetrievalResult
    from core.settings import CoreSettings


def eval_retrieval(
    dataset: Path,
    *,
    k: int,
    split: str | None,
    query: str,
    name: str | None,
    fail_below: str | None,
    as_json: bool,
) -> None:
    async def measure(settings: CoreSettings, data: Dataset) -> Measured[RetrievalResult]:
        from bot.bootstrap import build_models, open_library
        from core.evaluation.runs import run_retrieval

        async with open_library(settings, measured=True) as library:
            with open_progress("Evaluating") as show:
                result = await run_retrieval(
                    data,
                    open_workbench(library, show),
                    k=k,
                    split=split,
                    query=cast("Literal['text', 'rewrite', 'history']", query),
                    rewriter=build_models(settings)[0] if query == "history" else None,
                    reranker=library.knowledge.reranker,
                )
        values = {label: result.values[figure] for figure, label in _labels(k).items()}
        return Measured(result, values, library.embedder.name)

    asked: dict[str, str | int | None] = {"query": query, "k": k}
    run = run_gated(
        "retrieval",
        lambda: _read(dataset),
        measure,
        asked=asked,
        split=split,
        name=name,
        fail_below=fail_below,
    )
    run.show(_describe_retrieval, as_json=as_json)


def _read(folder: Path) -> Dataset:
    from core.evaluation.datasets import read_dataset

    return read_dataset(folder)


def _labels(k: int) -> dict[str, str]:
    """What each figure is called, by the name it has in a result."""
    return {
        "ndcg10": "nDCG@10",
        "recall": f"recall@{k}",
        "mrr": f"MRR@{max(k, 10)}",
        "precision": f"precision@{k}",
    }


def _describe_retrieval(result: RetrievalResult) -> None:
    write_line(f"{result.dataset}: {result.queries} queries, {result.documents} documents")
    for name, label in _labels(result.k).items():
        interval = result.intervals[name]
        write_line(
            f"  {label:<14} {getattr(result, name):.4f}   95%: {interval.low:.4f} to {interval.high:.4f}"
        )
    write_line(f"  one search: median {result.search_ms_p50} ms, 95% within {result.search_ms_p95} ms")
    write_line(f"  {result.seconds:.1f} s in all")


def eval_answers(
    dataset: Path,
    *,
    split: str | None,
    sample: bool,
    concurrency: int,
    name: str | None,
    fail_below: str | None,
    as_json: bool,
) -> None:
    async def measure(settings: CoreSettings, data: Dataset) -> Measured[AnswersResult]:
        from bot.bootstrap import build_models, open_library
        from bot.commands.question_set import build_ask
        from core.evaluation.answer_runs import run_answers

        async with open_library(settings, measured=True) as library:
            with open_progress("Evaluating") as show:
                result = await run_answers(
                    data,
                    build_ask(library, build_models(settings)),
                    open_workbench(library, show),
                    split=split,
                    sample=sample,
                    concurrency=concurrency,
                )
        return Measured(result, result.values, library.embedder.name)

    asked = {"sample": sample}
    run = run_gated(
        "answers", lambda: _read(dataset), measure, asked=asked, split=split, name=name, fail_below=fail_below
    )
    if run.result.questions and run.result.failed == run.result.questions:
        raise SystemExit(FAILED)
    run.show(_describe_answers, as_json=as_json)


def _describe_answers(result: AnswersResult) -> None:
    write_line(
        f"{result.dataset}: {result.questions} questions, {result.answered} answered, {result.failed} failed"
    )
    for name, value in result.model_dump(mode="json", exclude={"dataset", "intervals"}).items():
        if isinstance(value, float):
            write_line(f"  {name:<22} {value:.4f}")
        elif isinstance(value, dict):
            for part, number in value.items():
                write_line(f"  {name}.{part:<22} {number}")
