"""Retrieval metrics against values worked out by hand, against brute force, and what the bootstrap promises."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.evaluation.metrics import (
    bootstrap_interval,
    mean,
    ndcg_at,
    paired_difference,
    precision_at,
    recall_at,
    reciprocal_rank,
    relevant_documents,
)

RANKING = ["d3", "d1", "d7", "d2", "d9"]
BINARY = {"d1": 1, "d2": 1, "d5": 1, "d7": 0}
GRADED = {"d3": 1, "d1": 3, "d2": 2, "d5": 2}


def test_recall_counts_relevant_documents_among_the_first_k() -> None:
    assert recall_at(RANKING, BINARY, 1) == 0.0
    assert recall_at(RANKING, BINARY, 2) == pytest.approx(1 / 3)
    assert recall_at(RANKING, BINARY, 5) == pytest.approx(2 / 3)


def test_precision_divides_by_k_even_when_fewer_were_found() -> None:
    assert precision_at(RANKING, BINARY, 2) == 0.5
    assert precision_at(RANKING, BINARY, 10) == pytest.approx(0.2)


def test_reciprocal_rank_is_that_of_the_first_relevant_document_within_k() -> None:
    assert reciprocal_rank(RANKING, BINARY, 10) == 0.5
    assert reciprocal_rank(RANKING, BINARY, 1) == 0.0
    assert reciprocal_rank([], BINARY, 10) == 0.0


def test_binary_ndcg_as_worked_out_by_hand() -> None:
    found = 1 / math.log2(3) + 1 / math.log2(5)
    ideal = 1 / math.log2(2) + 1 / math.log2(3) + 1 / math.log2(4)
    assert ndcg_at(RANKING, BINARY, 10) == pytest.approx(found / ideal)


def test_graded_ndcg_takes_the_grade_as_the_gain() -> None:
    found = 1 / math.log2(2) + 3 / math.log2(3) + 2 / math.log2(5)
    ideal = 3 / math.log2(2) + 2 / math.log2(3) + 2 / math.log2(4) + 1 / math.log2(5)
    assert ndcg_at(RANKING, GRADED, 10) == pytest.approx(found / ideal)


def test_the_ideal_of_ndcg_is_cut_at_k_too() -> None:
    many = {f"d{n}": 1 for n in range(20)}
    assert ndcg_at([f"d{n}" for n in range(20)], many, 10) == pytest.approx(1.0)


def test_a_repeated_document_counts_once_and_takes_no_place() -> None:
    assert recall_at(["d1", "d1", "d2"], BINARY, 2) == pytest.approx(2 / 3)
    assert ndcg_at(["d1", "d1", "d2"], BINARY, 10) == ndcg_at(["d1", "d2"], BINARY, 10)


def test_a_negative_grade_is_not_relevant_and_costs_nothing() -> None:
    assert relevant_documents({"a": -1, "b": 0, "c": 2}) == 1
    assert ndcg_at(["a", "c"], {"a": -1, "c": 2}, 10) == pytest.approx(1 / math.log2(3))


def test_a_query_without_relevant_documents_scores_nothing() -> None:
    assert recall_at(RANKING, {}, 5) == ndcg_at(RANKING, {"d3": 0}, 5) == 0.0


ids = st.sampled_from([f"d{n}" for n in range(12)])


@given(
    st.permutations([f"d{n}" for n in range(12)]), st.dictionaries(ids, st.integers(0, 3)), st.integers(1, 15)
)
def test_every_figure_agrees_with_counting_place_by_place(
    ranking: list[str], judgements: dict[str, int], k: int
) -> None:
    hits = [place for place in range(min(k, len(ranking))) if judgements.get(ranking[place], 0) > 0]
    relevant = [grade for grade in judgements.values() if grade > 0]
    gain = sum(judgements[ranking[place]] / math.log2(place + 2) for place in hits)
    best = sum(grade / math.log2(n + 2) for n, grade in enumerate(sorted(relevant, reverse=True)[:k]))
    assert precision_at(ranking, judgements, k) == pytest.approx(len(hits) / k)
    assert recall_at(ranking, judgements, k) == pytest.approx(len(hits) / len(relevant) if relevant else 0)
    assert reciprocal_rank(ranking, judgements, k) == pytest.approx(1 / (hits[0] + 1) if hits else 0)
    assert ndcg_at(ranking, judgements, k) == pytest.approx(gain / best if best else 0)


def test_the_mean_of_nothing_is_zero() -> None:
    assert mean([]) == 0.0
    assert mean([0.0, 1.0, 0.5]) == 0.5


def test_an_interval_is_the_same_every_time_and_holds_the_mean() -> None:
    values = [n / 99 for n in range(100)]
    first, second = bootstrap_interval(values), bootstrap_interval(values)
    assert first == second
    assert first.low < 0.5 < first.high


def test_an_interval_is_as_wide_as_the_normal_approximation_says() -> None:
    values = [float(n % 2) for n in range(400)]
    interval = bootstrap_interval(values, samples=4000)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * 0.5 / math.sqrt(400), rel=0.08)


def test_an_interval_of_equal_values_has_no_width() -> None:
    interval = bootstrap_interval([0.25] * 30)
    assert (interval.low, interval.high) == (0.25, 0.25)


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        bootstrap_interval([])


def test_a_steady_gain_is_told_from_noise_and_noise_is_not() -> None:
    before = [(n * 37 % 101) / 101 for n in range(200)]
    steady = paired_difference(before, [value + 0.02 for value in before])
    assert steady.mean == pytest.approx(0.02)
    assert steady.interval.low > 0
    assert steady.p_value < 0.01
    noise = paired_difference(before, [value + (0.1 if n % 2 else -0.1) for n, value in enumerate(before)])
    assert noise.interval.low < 0 < noise.interval.high
    assert noise.p_value > 0.5


def test_a_paired_difference_wants_the_same_queries_on_both_sides() -> None:
    with pytest.raises(ValueError, match="each query"):
        paired_difference([0.1, 0.2], [0.1])
