"""`eval retrieval` and `eval answers`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from bot.commands.evaluation_runs import fail_if_worse, find_baseline, keep_run, open_workbench
from bot.commands.progress import open_progress
from bot.commands.running import run_command, write_json, write_line

if TYPE_CHECKING:
    from core.evaluation.answer_runs import AnswersResult
    from core.evaluation.comparing import Comparison
    from core.evaluation.records import RunRecord
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
    async def work(settings: CoreSettings) -> tuple[RetrievalResult, RunRecord, Comparison | None]:
        from bot.bootstrap import build_models, open_library
        from core.evaluation.comparing import compare_runs
        from core.evaluation.datasets import read_dataset
        from core.evaluation.runs import run_retrieval

        data = read_dataset(dataset)
        data_hash = data.fingerprint()
        before = find_baseline(settings, fail_below, data_hash)
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
        record = keep_run(
            settings,
            "retrieval",
            {label: result.values[figure] for figure, label in _labels(k).items()},
            dataset=data.name,
            dataset_hash=data_hash,
            embedder=library.embedder.name,
            asked={"query": query, "k": k},
            split=split,
            name=name,
        )
        return result, record, compare_runs(before, record) if before else None

    result, record, comparison = run_command(work)
    if as_json:
        write_json({**result.model_dump(mode="json"), "run": record.id})
    else:
        _describe_retrieval(result)
    fail_if_worse(comparison)


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
    async def work(settings: CoreSettings) -> tuple[AnswersResult, RunRecord, Comparison | None]:
        from bot.bootstrap import build_models, open_library
        from bot.commands.question_set import build_ask
        from core.evaluation.answer_runs import run_answers
        from core.evaluation.comparing import compare_runs
        from core.evaluation.datasets import read_dataset

        data = read_dataset(dataset)
        data_hash = data.fingerprint()
        before = find_baseline(settings, fail_below, data_hash)
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
        record = keep_run(
            settings,
            "answers",
            result.values,
            dataset=data.name,
            dataset_hash=data_hash,
            embedder=library.embedder.name,
            asked={"sample": sample},
            split=split,
            name=name,
        )
        return result, record, compare_runs(before, record) if before else None

    result, record, comparison = run_command(work)
    if result.questions and result.failed == result.questions:
        raise SystemExit(1)
    if as_json:
        write_json({**result.model_dump(mode="json"), "run": record.id})
    else:
        _describe(result)
    fail_if_worse(comparison)


def _describe(result: AnswersResult) -> None:
    write_line(
        f"{result.dataset}: {result.questions} questions, {result.answered} answered, {result.failed} failed"
    )
    for name, value in result.model_dump(mode="json", exclude={"dataset", "intervals"}).items():
        if isinstance(value, float):
            write_line(f"  {name:<22} {value:.4f}")
        elif isinstance(value, dict):
            for part, number in value.items():
                write_line(f"  {name}.{part:<22} {number}")
