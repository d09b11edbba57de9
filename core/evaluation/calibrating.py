"""Fits how the signs of an answer are weighed, and says how far the result can be trusted: weights and threshold from
one half of a set, figures from the other half."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from core.errors import DatasetError
from core.evaluation.answer_metrics import auroc, measure_abstention
from core.evaluation.metrics import Interval
from core.knowledge.judgement import Judgement
from core.messages import Frozen

Matrix = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Flags = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
Choice = np.ndarray[tuple[int, ...], np.dtype[np.intp]]

WORD_SIGNALS = (
    "sentence", "around", "in_order", "passage", "names_missing", "negated", "opposite", "other_number",
)  # fmt: skip
SIGNALS = ("similarity", *WORD_SIGNALS)
SHRINKING = 3.0
"""How strongly weights are held back (ridge), in units of one standard deviation of each signal."""
MOST_STEPS = 100
KEPT = 7 / 8
"""Of the questions that can be answered, the threshold lets this share through; a stricter one keeps quiet more often
where there is an answer than people put up with."""
RESAMPLES = 1000


class JudgedQuestion(Frozen):
    """A question with what was found for it. Questions of one `group` are never on both sides of the split;
    those without one were asked of documents about something else, and only ever fitted on."""

    id: str
    group: str | None
    answerable: bool
    signals: dict[str, float]


class CurvePoint(Frozen):
    """What a threshold does: the share of all questions that is answered, of the answerable ones, the share of the
    unanswerable ones that is not, and how much of what is answered should not have been (`risk`)."""

    threshold: float
    answered: float
    kept: float
    held_back: float
    risk: float


class Calibration(Frozen):
    """A judgement and its figures on questions that it was not fitted on, with 95% intervals. `kept` and `held_back`
    are those of its threshold (CurvePoint)."""

    judgement: Judgement
    fitted: int
    reported: int
    auroc: float
    auroc_interval: Interval
    balanced_accuracy: float
    balanced_accuracy_interval: Interval
    kept: float
    held_back: float
    curve: tuple[CurvePoint, ...]


def split_in_halves(questions: Sequence[JudgedQuestion]) -> tuple[list[JudgedQuestion], list[JudgedQuestion]]:
    """To fit on, and to report. Every second group by name; raises DatasetError if a half lacks one kind."""
    groups = sorted({question.group for question in questions if question.group is not None})
    first = {None, *groups[::2]}
    fitted = [question for question in questions if question.group in first]
    reported = [question for question in questions if question.group not in first]
    for half in (fitted, reported):
        if len({question.answerable for question in half if question.group is not None}) < 2:
            raise DatasetError(
                "Each half of the documents needs questions with and without an answer. Name the document that "
                'a question was written for as its "source", and give the corpus more than one title.'
            )
    return fitted, reported


def calibrate(questions: Sequence[JudgedQuestion], signals: Sequence[str], name: str) -> Calibration:
    """Fit on one half, measure on the other. The same questions give the same figures."""
    fitted, reported = split_in_halves(questions)
    judgement = fit_judgement(fitted, signals, name)
    return measure_judgement(judgement, reported, fitted=len(fitted))


def fit_judgement(questions: Sequence[JudgedQuestion], signals: Sequence[str], name: str) -> Judgement:
    """Logistic regression, held back a little, and the threshold that keeps the share `KEPT`."""
    rows = np.array([[question.signals[signal] for signal in signals] for question in questions])
    labels = np.array([float(question.answerable) for question in questions])
    middle, spread = rows.mean(axis=0), rows.std(axis=0)
    spread[spread < 1e-9] = 1.0
    found = _fit((rows - middle) / spread, labels)
    slopes = found[1:] / spread
    judgement = Judgement(
        constant=round(float(found[0] - slopes @ middle), 3),
        weights={signal: round(float(slope), 3) for signal, slope in zip(signals, slopes, strict=True)},
        threshold=0.5,
        fitted_on=name,
    )
    likely = [judgement.probability(question.signals) for question in questions if question.answerable]
    return judgement.model_copy(
        update={"threshold": math.floor(1e3 * float(np.quantile(likely, 1 - KEPT))) / 1e3}
    )


def _fit(rows: Matrix, labels: Matrix) -> Matrix:
    """Newton's steps to the weights, the constant first."""
    rows = np.column_stack([np.ones(len(rows)), rows])
    held = np.diag([1e-6, *[SHRINKING] * (rows.shape[1] - 1)])
    weights = np.zeros(rows.shape[1])
    for _ in range(MOST_STEPS):
        likely = 1 / (1 + np.exp(-np.clip(rows @ weights, -500, 500)))
        slope = rows.T @ (likely - labels) + held @ weights
        bend = (rows * (likely * (1 - likely))[:, None]).T @ rows + held
        step = np.linalg.solve(bend, slope)
        weights = weights - step
        if np.abs(step).max() < 1e-9:
            break
    return weights


def measure_judgement(
    judgement: Judgement, questions: Sequence[JudgedQuestion], *, fitted: int = 0
) -> Calibration:
    """How well it tells the questions apart. Both kinds must be among them."""
    likely = np.array([judgement.probability(question.signals) for question in questions])
    answerable = np.array([question.answerable for question in questions])
    point = _point(judgement.threshold, likely, answerable)
    separation, low, high = _with_interval(
        lambda chosen: auroc(likely[chosen].tolist(), answerable[chosen].tolist()), len(questions)
    )
    balance, least, most = _with_interval(
        lambda chosen: (
            measure_abstention(
                (likely[chosen] < judgement.threshold).tolist(), answerable[chosen].tolist()
            ).balanced_accuracy
        ),
        len(questions),
    )
    return Calibration(
        judgement=judgement,
        fitted=fitted,
        reported=len(questions),
        auroc=separation,
        auroc_interval=Interval(low=low, high=high),
        balanced_accuracy=balance,
        balanced_accuracy_interval=Interval(low=least, high=most),
        kept=point.kept,
        held_back=point.held_back,
        curve=tuple(_point(step / 20, likely, answerable) for step in range(1, 20)),
    )


def _point(threshold: float, likely: Matrix, answerable: Flags) -> CurvePoint:
    answered = likely >= threshold
    wrong = float((answered & ~answerable).sum())
    return CurvePoint(
        threshold=threshold,
        answered=float(answered.mean()),
        kept=float(answered[answerable].mean()),
        held_back=float((~answered)[~answerable].mean()),
        risk=wrong / float(answered.sum()) if answered.any() else 0.0,
    )


def _with_interval(figure: Callable[[Choice], float | None], count: int) -> tuple[float, float, float]:
    """The figure of all questions, and the ends of its 95% interval over questions drawn again."""
    draws = np.random.default_rng(20_26)
    values = [figure(draws.integers(count, size=count, dtype=np.intp)) for _ in range(RESAMPLES)]
    low, high = np.quantile([value for value in values if value is not None], [0.025, 0.975])
    return figure(np.arange(count, dtype=np.intp)) or 0.0, float(low), float(high)
