"""Figures about rankings, and how sure we can be of them. Pure.

The definitions are trec_eval's: a document with a grade of 1 or more is relevant, its gain in nDCG is
the grade itself, the discount at rank r is log2(r + 1), and the ideal ranking holds every judged
document. An id that a ranking repeats counts once, at its first place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from core.messages import Frozen

Judgements = Mapping[str, int]
"""Grade by document id, for one query; a document that is not named has grade 0."""


class Interval(Frozen):
    """A confidence interval; both ends belong to it."""

    low: float
    high: float


class Difference(Frozen):
    """How much better the second of two systems is on the same queries, with its interval.

    `p_value` is two-sided: how often resampled queries see no difference or one of the other sign.
    """

    mean: float
    interval: Interval
    p_value: float


def _grades(ranking: Sequence[str], judgements: Judgements, k: int) -> list[int]:
    distinct = list(dict.fromkeys(ranking))[:k]
    return [max(judgements.get(document, 0), 0) for document in distinct]


def relevant_documents(judgements: Judgements) -> int:
    """How many documents are relevant to the query."""
    return sum(grade > 0 for grade in judgements.values())


def recall_at(ranking: Sequence[str], judgements: Judgements, k: int) -> float:
    """The share of the relevant documents that stand among the first k. 0 if none is relevant."""
    relevant = relevant_documents(judgements)
    found = sum(grade > 0 for grade in _grades(ranking, judgements, k))
    return found / relevant if relevant else 0.0


def precision_at(ranking: Sequence[str], judgements: Judgements, k: int) -> float:
    """The share of relevant documents among the first k places; empty places count as misses."""
    return sum(grade > 0 for grade in _grades(ranking, judgements, k)) / k


def reciprocal_rank(ranking: Sequence[str], judgements: Judgements, k: int) -> float:
    """1 / rank of the first relevant document among the first k, 0 if there is none."""
    for rank, grade in enumerate(_grades(ranking, judgements, k), start=1):
        if grade > 0:
            return 1.0 / rank
    return 0.0


def _discounted(grades: Sequence[int]) -> float:
    return sum(grade / math.log2(rank + 1) for rank, grade in enumerate(grades, start=1))


def ndcg_at(ranking: Sequence[str], judgements: Judgements, k: int) -> float:
    """Normalised discounted cumulative gain of the first k places. 0 if no document is relevant."""
    ideal = _discounted(sorted((g for g in judgements.values() if g > 0), reverse=True)[:k])
    return _discounted(_grades(ranking, judgements, k)) / ideal if ideal else 0.0


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean; 0 of nothing."""
    return math.fsum(values) / len(values) if values else 0.0


def _resampled_means(
    values: Sequence[float], samples: int, seed: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """`samples` means of as many values drawn with replacement; the same for the same seed."""
    data = np.asarray(values, dtype=np.float64)
    generator = np.random.default_rng(seed)
    means = np.empty(samples, dtype=np.float64)
    block = max(1, 2_000_000 // max(len(data), 1))  # bounds the memory for large sets: 16 MB of indices
    for start in range(0, samples, block):
        size = min(block, samples - start)
        means[start : start + size] = data[generator.integers(len(data), size=(size, len(data)))].mean(axis=1)
    return means


def bootstrap_interval(
    values: Sequence[float], *, confidence: float = 0.95, samples: int = 2000, seed: int = 20_26
) -> Interval:
    """The percentile bootstrap interval of the mean over queries. Raises ValueError on no values."""
    if not values:
        raise ValueError("an interval needs at least one value")
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(_resampled_means(values, samples, seed), [tail, 1.0 - tail])
    return Interval(low=float(low), high=float(high))


def paired_difference(
    first: Sequence[float],
    second: Sequence[float],
    *,
    confidence: float = 0.95,
    samples: int = 2000,
    seed: int = 20_26,
) -> Difference:
    """The mean of second - first, query by query, with its bootstrap interval.

    Both sequences hold one value per query, in the same order. Raises ValueError otherwise.
    """
    if not first or len(first) != len(second):
        raise ValueError("a paired difference needs one value of each system for each query")
    differences = [after - before for before, after in zip(first, second, strict=True)]
    means = _resampled_means(differences, samples, seed)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail])
    one_sided = min(float(np.mean(means <= 0.0)), float(np.mean(means >= 0.0)))
    return Difference(
        mean=mean(differences),
        interval=Interval(low=float(low), high=float(high)),
        p_value=min(1.0, 2.0 * max(one_sided, 1.0 / samples)),
    )
