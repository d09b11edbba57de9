"""`eval chunking`: the strategies side by side on one set of documents."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bot.commands.evaluation_runs import keep_run, open_workbench, write_plot
from bot.commands.progress import open_progress
from bot.commands.running import run_command, write_json, write_line

if TYPE_CHECKING:
    from core.evaluation.chunking_runs import ChunkingResult
    from core.evaluation.records import RunRecord
    from core.knowledge.documents import Document
    from core.settings import CoreSettings


def eval_chunking(path: Path, *, k: int, strategies: Sequence[str], plot: Path | None, as_json: bool) -> None:
    name = path.resolve().name

    async def work(settings: CoreSettings) -> tuple[ChunkingResult, dict[str, RunRecord]]:
        from bot.bootstrap import open_library
        from core.evaluation.chunking_runs import run_chunking
        from core.evaluation.library import read_library
        from core.evaluation.place_questions import make_questions
        from core.knowledge.chunking import ChunkingStrategy

        documents = read_library(path)
        async with open_library(settings, measured=True) as library:
            with open_progress("Evaluating") as show:
                result = await run_chunking(
                    name,
                    documents,
                    make_questions(documents),
                    open_workbench(library, show),
                    strategies=[ChunkingStrategy(each) for each in strategies] or list(ChunkingStrategy),
                    k=k,
                )
        return result, _keep(settings, result, documents, library.embedder.name)

    result, records = run_command(work)
    if as_json:
        runs = {strategy: record.id for strategy, record in records.items()}
        write_json({**result.model_dump(mode="json"), "runs": runs})
    else:
        _describe(result)
    if plot is not None:
        write_plot(plot, f"{result.dataset}: {result.questions} questions", records)


def _keep(
    settings: CoreSettings, result: ChunkingResult, documents: Sequence[Document], embedder: str
) -> dict[str, RunRecord]:
    """A run for each strategy, so that any two can be compared."""
    digest = hashlib.sha256("\n".join(f"{d.uri} {d.content_hash}" for d in documents).encode()).hexdigest()
    return {
        measured.strategy.value: keep_run(
            settings.model_copy(update={"chunking": measured.strategy}),
            "chunking",
            {label: measured.values[figure] for figure, label in _labels(result).items()},
            dataset=result.dataset,
            dataset_hash=digest,
            embedder=embedder,
            asked={"k": result.k},
            name=measured.strategy.value,
        )
        for measured in result.strategies
    }


def _labels(result: ChunkingResult) -> dict[str, str]:
    return {
        "ndcg10": "nDCG@10",
        "recall": f"recall@{result.k}",
        "precision": f"precision@{result.k}",
        "mrr": "MRR",
        "recall_by_tokens": f"recall in {result.tokens} tokens",
    }


def _describe(result: ChunkingResult) -> None:
    write_line(f"{result.dataset}: {result.documents} documents, {result.questions} questions")
    for measured in result.strategies:
        write_line(
            f"{measured.strategy.value}: {measured.chunks} chunks of {measured.chunk_tokens:.0f} tokens, "
            f"an answer reads {measured.context_tokens:.0f} tokens, {measured.seconds:.0f} s"
        )
        for figure, label in _labels(result).items():
            interval = measured.intervals[figure]
            write_line(
                f"  {label:<22} {getattr(measured, figure):.4f}   95%: {interval.low:.4f} to {interval.high:.4f}"
            )
