"""`eval calibrate`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bot.commands.evaluation_runs import open_workbench, write_file
from bot.commands.progress import open_progress
from bot.commands.running import run_command, write_json, write_line

if TYPE_CHECKING:
    from core.evaluation.calibrating import Calibration
    from core.evaluation.calibration_runs import CalibrationResult
    from core.settings import CoreSettings


def eval_calibrate(
    dataset: Path,
    *,
    split: str | None,
    off_topic: Sequence[Path],
    every: int,
    weights: Path | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    async def work(settings: CoreSettings) -> CalibrationResult:
        from bot.bootstrap import open_library
        from core.evaluation.calibration_runs import run_calibration
        from core.evaluation.datasets import read_dataset

        data, others = read_dataset(dataset), [read_dataset(folder) for folder in off_topic]
        async with open_library(settings, measured=True) as library:
            with open_progress("Calibrating") as show:
                return await run_calibration(
                    data,
                    open_workbench(library, show),
                    off_topic=others,
                    split=split,
                    every=every,
                )

    result = run_command(work)
    if as_json:
        write_json(result.model_dump(mode="json"))
    else:
        _describe(result)
    if weights is not None:
        from core.knowledge.judgement import BY_WORDS

        fitted = {BY_WORDS: result.by_words.judgement, result.embedder: result.with_similarity.judgement}
        content = {name: judgement.model_dump(mode="json") for name, judgement in fitted.items()}
        write_file(weights, json.dumps(content, indent=2) + "\n")
    if plot is not None:
        write_file(plot, _draw(result))


def _describe(result: CalibrationResult) -> None:
    for label, calibration in _both(result):
        write_line(
            f"{label}: fitted on {calibration.fitted} questions, measured on {calibration.reported} others"
        )
        for name, value, interval in (
            ("AUROC", calibration.auroc, calibration.auroc_interval),
            ("balanced accuracy", calibration.balanced_accuracy, calibration.balanced_accuracy_interval),
        ):
            write_line(f"  {name:<18} {value:.4f}   95%: {interval.low:.4f} to {interval.high:.4f}")
        write_line(f"  threshold          {calibration.judgement.threshold}")
        write_line("  threshold  answered  of the answerable  rightly silent  wrongly answered")
        for point in calibration.curve[1::2]:
            write_line(
                f"  {point.threshold:>9.2f}  {point.answered:>8.3f}  {point.kept:>17.3f}  "
                f"{point.held_back:>14.3f}  {point.risk:>16.3f}"
            )


def _both(result: CalibrationResult) -> list[tuple[str, Calibration]]:
    return [(result.embedder, result.with_similarity), ("by words alone", result.by_words)]


def _draw(result: CalibrationResult) -> str:
    from core.evaluation.curve_plots import Curve, render_curves

    return render_curves(
        f"{result.dataset}: what is answered, and how much of it should not be",
        "share of the questions that is answered",
        "of those, not to be answered",
        [
            Curve(
                label=label,
                points=tuple((point.answered, point.risk) for point in calibration.curve if point.answered),
            )
            for label, calibration in _both(result)
        ],
    )
