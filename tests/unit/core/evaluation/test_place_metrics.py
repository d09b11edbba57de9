"""Passages of any size are judged by how much of the place they hold."""

from __future__ import annotations

import math

import pytest

from core.evaluation.place_metrics import PlaceFigures, Span, measure_places

PLACE = Span(uri="leave", start=100, end=200)


def span(start: int, end: int, uri: str = "leave") -> Span:
    return Span(uri=uri, start=start, end=end, tokens=(end - start) // 10)


def measure(*passages: Span, k: int = 10, tokens: int = 1000) -> PlaceFigures:
    return measure_places(passages, PLACE, k=k, tokens=tokens)


def test_the_whole_place_and_nothing_else_is_perfect() -> None:
    assert measure(span(100, 200)) == PlaceFigures(
        recall=1.0, precision=1.0, mrr=1.0, ndcg10=1.0, recall_by_tokens=1.0
    )


def test_what_two_passages_share_counts_once() -> None:
    figures = measure(span(100, 160), span(140, 200), span(0, 100))

    assert figures.recall == pytest.approx(1.0)
    assert figures.ndcg10 == pytest.approx(0.6 + 0.4 / math.log2(3))
    assert figures.precision == pytest.approx(120 / 220)


def test_other_documents_and_passages_beyond_k_hold_nothing() -> None:
    figures = measure(span(100, 200, uri="travel"), span(0, 100), span(100, 200), k=2)

    assert (figures.recall, figures.precision) == (0.0, 0.0)
    assert figures.mrr == pytest.approx(1 / 3)


def test_a_passage_that_only_touches_the_place_is_no_find() -> None:
    assert measure(span(0, 110)).mrr == 0.0
    assert measure(span(0, 110)).recall == pytest.approx(0.1)
    assert measure(span(140, 160)).mrr == 1.0, "all of it lies in the place"
    assert measure(span(0, 1000)).mrr == 1.0, "it holds all of the place"


def test_only_what_fits_into_the_tokens_is_read() -> None:
    figures = measure(span(0, 100), span(100, 200), tokens=15)

    assert figures.recall_by_tokens == pytest.approx(0.5)
    assert measure(span(100, 200), tokens=0).recall_by_tokens == 0.0


def test_nothing_found_is_nothing() -> None:
    assert measure() == PlaceFigures(recall=0, precision=0, mrr=0, ndcg10=0, recall_by_tokens=0)
