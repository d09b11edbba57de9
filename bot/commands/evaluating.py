"""`eval retrieval` and `eval answers`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from bot.commands.progress import open_progress
from bot.commands.running import run_command, write_json, write_line

if TYPE_CHECKING:
    from core.evaluation.answer_runs import AnswersResult
    from core.evaluation.collection import Progress
    from core.evaluation.runs import RetrievalResult
    from core.settings import CoreSettings

STEPS = {"ingest": "Taking the corpus in", "search": "Searching", "ask": "Asking"}


def eval_retrieval(dataset: Path, *, k: int, split: str | None, query: str, as_json: bool) -> None:
    async def work(settings: CoreSettings) -> RetrievalResult:
        from bot.bootstrap import build_models, open_library
        from core.evaluation.datasets import read_dataset
        from core.evaluation.runs import run_retrieval

        data = read_dataset(dataset)
        async with open_library(settings) as library:
            with open_progress("Evaluating") as show:
                return await run_retrieval(
                    data,
                    store=library.stores.knowledge_store,
                    embedder=library.embedder,
                    k=k,
                    split=split,
                    query=cast("Literal['text', 'rewrite', 'history']", query),
                    rewriter=build_models(settings)[0] if query == "history" else None,
                    on_progress=lambda now: show(now.done, now.total, STEPS[now.step]),
                )

    result = run_command(work)
    if as_json:
        write_json(result.model_dump(mode="json"))
        return
    write_line(f"{result.dataset}: {result.queries} queries, {result.documents} documents")
    names = {
        "ndcg10": "nDCG@10",
        "recall": f"recall@{k}",
        "mrr": f"MRR@{max(k, 10)}",
        "precision": f"precision@{k}",
    }
    for name, label in names.items():
        interval = result.intervals[name]
        write_line(
            f"  {label:<14} {getattr(result, name):.4f}   95%: {interval.low:.4f} to {interval.high:.4f}"
        )
    write_line(f"  one search: median {result.search_ms_p50} ms, 95% within {result.search_ms_p95} ms")
    write_line(f"  {result.seconds:.1f} s in all")


def eval_answers(dataset: Path, *, split: str | None, sample: bool, concurrency: int, as_json: bool) -> None:
    async def work(settings: CoreSettings) -> AnswersResult:
        from bot.bootstrap import build_models, open_library
        from bot.commands.question_set import build_ask
        from core.evaluation.answer_runs import run_answers
        from core.evaluation.datasets import read_dataset

        data = read_dataset(dataset)
        async with open_library(settings) as library:
            with open_progress("Evaluating") as show:

                def report(now: Progress) -> None:
                    show(now.done, now.total, STEPS[now.step])

                return await run_answers(
                    data,
                    build_ask(library, build_models(settings)),
                    store=library.stores.knowledge_store,
                    embedder=library.embedder,
                    split=split,
                    sample=sample,
                    concurrency=concurrency,
                    on_progress=report,
                )

    result = run_command(work)
    if result.questions and result.failed == result.questions:
        raise SystemExit(1)
    write_json(result.model_dump(mode="json")) if as_json else _describe(result)


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
