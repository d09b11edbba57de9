"""`eval rewriting`: how well follow-ups are made to stand on their own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bot.commands.evaluation_runs import describe_difference
from bot.commands.gated_runs import Measured, run_gated
from bot.commands.progress import open_progress
from bot.commands.running import FAILED, tell, write_line

if TYPE_CHECKING:
    from core.evaluation.datasets import Dataset
    from core.evaluation.rewriting_runs import Estimate, F1Figures, RewritingFigures, RewritingResult
    from core.settings import CoreSettings


def eval_rewriting(
    dataset: Path,
    *,
    split: str | None,
    concurrency: int,
    name: str | None,
    fail_below: str | None,
    as_json: bool,
) -> None:
    def read() -> Dataset:
        from core.evaluation.datasets import read_queries

        return read_queries(dataset)

    async def measure(settings: CoreSettings, data: Dataset) -> Measured[RewritingResult]:
        from bot.bootstrap import build_models
        from core.evaluation.rewriting_runs import run_rewriting

        with open_progress("Evaluating") as show:
            result = await run_rewriting(
                data,
                build_models(settings)[0],
                split=split,
                concurrency=concurrency,
                on_progress=lambda now: show(now.done, now.total, "Rewriting"),
            )
        return Measured(result, result.values, embedder=None)

    run = run_gated("rewriting", read, measure, asked={}, split=split, name=name, fail_below=fail_below)
    if run.result.asked and run.result.failed == run.result.asked:
        tell(f"threadlore: {run.result.rewriter} failed on every turn. `threadlore doctor models` says why.")
        raise SystemExit(FAILED)
    run.show(_describe, as_json=as_json)


def _describe(result: RewritingResult) -> None:
    failed = f", which failed on {result.failed}" if result.failed else ""
    write_line(f"{result.dataset}: {result.all.turns} turns, rewritten by {result.rewriter}{failed}")
    _describe_figures(result.all)
    for part, figures in result.parts.items():
        write_line(f"{part}: {figures.turns} turns")
        _describe_figures(figures)
    write_line(f"{result.seconds:.1f} s in all")


def _describe_figures(figures: RewritingFigures) -> None:
    write_line("  token F1 against the reference")
    _describe_f1(figures.f1)
    if figures.f1_where_changed:
        write_line(f"  token F1 on the {figures.reference_changed} turns that the reference changes")
        _describe_f1(figures.f1_where_changed)
    left = figures.turns - figures.reference_changed
    write_line(f"  changed: {_of(figures.changed_too, figures.reference_changed)} that the reference changes")
    write_line(f"  left alone: {_of(figures.left_too, left)} that the reference leaves alone")
    if figures.found and figures.found_with_thread:
        write_line(
            f"  content words that the reference adds, on the {figures.found.turns} turns where it does"
        )
        _describe_estimate("in the rewrite", figures.found)
        _describe_estimate("with the thread", figures.found_with_thread)
    write_line("  content words added beyond the reference's, per turn")
    _describe_estimate("in the rewrite", figures.beyond)
    _describe_estimate("with the thread", figures.beyond_with_thread)


def _describe_f1(f1: F1Figures) -> None:
    _describe_estimate("as it stands", f1.as_it_stands)
    _describe_estimate("rewritten", f1.rewritten)
    write_line(f"    {'difference':<16} {describe_difference(f1.gained)}")
    if f1.automatic and f1.over_automatic:
        _describe_estimate("automatic", f1.automatic, f" on the {f1.automatic.turns} turns that have one")
        write_line(f"    {'ours against it':<16} {describe_difference(f1.over_automatic)}")


def _describe_estimate(label: str, estimate: Estimate, suffix: str = "") -> None:
    low, high = estimate.interval.low, estimate.interval.high
    write_line(f"    {label:<16} {estimate.mean:.4f}   95%: {low:.4f} to {high:.4f}{suffix}")


def _of(count: int, whole: int) -> str:
    return f"{count} of the {whole}" + (f" ({count / whole:.3f})" if whole else "")
