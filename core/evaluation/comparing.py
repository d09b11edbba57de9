"""Which of two runs is better, on which metric, and whether the data can tell. Pure.

The runs are held against each other question by question: what makes a question hard is the same for both, so that
much smaller differences show than between two means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from core.errors import DatasetError
from core.evaluation.metrics import Difference, mean, paired_difference
from core.evaluation.records import RunRecord, Setting
from core.messages import Frozen

Verdict = Literal["better", "worse", "same", "undecided"]
"""Of the second run: better or worse beyond chance; the same for every question; or the data cannot tell."""


class MetricComparison(Frozen):
    """Means over the questions that both runs have; `difference` is second - first. `tells_from`: about the
    smallest difference that this many questions can tell."""

    metric: str
    questions: int
    first: float
    second: float
    difference: Difference
    tells_from: float
    verdict: Verdict


class Comparison(Frozen):
    """`settings` holds what differs: first, second."""

    first: str
    second: str
    dataset: str
    metrics: tuple[MetricComparison, ...]
    settings: dict[str, tuple[Setting, Setting]]

    @property
    def worse(self) -> tuple[MetricComparison, ...]:
        """Where the second run has fallen by more than its noise."""
        return tuple(metric for metric in self.metrics if metric.verdict == "worse")


def compare_runs(first: RunRecord, second: RunRecord) -> Comparison:
    """Raises DatasetError when the runs cannot be compared."""
    if first.kind != second.kind:
        raise DatasetError(f"{first.id} measured {first.kind}, {second.id} measured {second.kind}.")
    if first.dataset_hash != second.dataset_hash:
        raise DatasetError(
            f"{first.id} and {second.id} were not measured on the same data. Run both on the same data set."
        )
    compared = [
        compare_metric(metric, first.values[metric], second.values[metric])
        for metric in first.values
        if metric in second.values and first.values[metric].keys() & second.values[metric].keys()
    ]
    if not compared:
        raise DatasetError(f"{first.id} and {second.id} have no question and metric in common.")
    return Comparison(
        first=first.id,
        second=second.id,
        dataset=first.dataset,
        metrics=tuple(compared),
        settings=_differing(first, second),
    )


def compare_metric(metric: str, first: Mapping[str, float], second: Mapping[str, float]) -> MetricComparison:
    """One metric of two systems, by question id. Raises ValueError when they have no question in common."""
    common = [question for question in first if question in second]
    before, after = [first[question] for question in common], [second[question] for question in common]
    difference = paired_difference(before, after)
    verdict: Verdict = "undecided"
    if before == after:
        verdict = "same"
    elif difference.interval.low > 0:
        verdict = "better"
    elif difference.interval.high < 0:
        verdict = "worse"
    return MetricComparison(
        metric=metric,
        questions=len(common),
        first=mean(before),
        second=mean(after),
        difference=difference,
        tells_from=(difference.interval.high - difference.interval.low) / 2,
        verdict=verdict,
    )


def _differing(first: RunRecord, second: RunRecord) -> dict[str, tuple[Setting, Setting]]:
    before: dict[str, Setting] = {**first.settings, "version": first.version, "split": first.split}
    after: dict[str, Setting] = {**second.settings, "version": second.version, "split": second.split}
    before["prompts"], after["prompts"] = ", ".join(first.prompts), ", ".join(second.prompts)
    return {
        name: (before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    }
