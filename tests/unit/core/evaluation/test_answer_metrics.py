"""Answer metrics: abstention, AUROC, gold answers and citations, against values worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.answers import Answer, Citation, Passage
from core.evaluation.answer_metrics import (
    auroc,
    citation_precision,
    citation_validity,
    contains_gold,
    measure_abstention,
    normalise_answer,
)


def test_abstention_is_judged_against_what_can_be_answered() -> None:
    abstained = [True, True, True, False, False, False, False]
    answerable = [False, False, True, True, True, True, False]
    figures = measure_abstention(abstained, answerable)
    assert figures.precision == pytest.approx(2 / 3)
    assert figures.recall == pytest.approx(2 / 3)
    assert figures.f1 == pytest.approx(2 / 3)
    assert figures.accuracy == pytest.approx(5 / 7)
    assert figures.balanced_accuracy == pytest.approx((2 / 3 + 3 / 4) / 2)


def test_always_abstaining_is_balanced_at_one_half() -> None:
    figures = measure_abstention([True] * 4, [True, False, False, False])
    assert figures.balanced_accuracy == 0.5
    assert figures.accuracy == 0.75
    assert figures.recall == 1.0


def test_with_one_kind_of_question_the_balanced_accuracy_is_that_kinds() -> None:
    assert measure_abstention([False, True], [True, True]).balanced_accuracy == 0.5
    assert measure_abstention([], []).balanced_accuracy == 0.0


def test_auroc_of_a_clean_a_reversed_and_a_tied_separation() -> None:
    labels = [True, True, False, False]
    assert auroc([0.9, 0.8, 0.2, 0.1], labels) == 1.0
    assert auroc([0.1, 0.2, 0.8, 0.9], labels) == 0.0
    assert auroc([0.5, 0.5, 0.5, 0.5], labels) == 0.5


def test_auroc_needs_both_kinds() -> None:
    assert auroc([0.3, 0.4], [True, True]) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_auroc_is_the_share_of_pairs_in_the_right_order(rows: list[tuple[int, bool]]) -> None:
    positives = [score for score, label in rows if label]
    negatives = [score for score, label in rows if not label]
    wins = sum((p > n) + 0.5 * (p == n) for p in positives for n in negatives)
    expected = wins / (len(positives) * len(negatives)) if positives and negatives else None
    got = auroc([float(score) for score, _ in rows], [label for _, label in rows])
    assert got == (pytest.approx(expected) if expected is not None else None)


def test_answers_are_normalised_as_squad_does() -> None:
    assert normalise_answer("The  Quick, brown-fox!") == "quick brownfox"
    assert normalise_answer("a.b an apple") == "ab apple"


def test_a_gold_answer_counts_as_whole_words_only() -> None:
    assert contains_gold("It began in **October 1973** [1].", ["October, 1973", "1973"])
    assert contains_gold("It was the Dutch[2].", ["Dutch"])
    assert not contains_gold("It lasted 19730 days.", ["1973"])
    assert not contains_gold("Nothing here.", ["the"])


def test_citation_precision_counts_documents_once() -> None:
    assert citation_precision(["a", "b", "a"], ["a"]) == 0.5
    assert citation_precision([], ["a"]) is None


def make_passage(chunk_id: int, text: str) -> Passage:
    return Passage(chunk_id=chunk_id, document_id=1, title="T", uri="u", text=text, rank=chunk_id, score=1.0)


def make_citation(n: int, chunk_id: int, quote: str) -> Citation:
    return Citation(n=n, chunk_id=chunk_id, document_id=1, title="T", uri="u", quote=quote)


def test_a_citation_is_valid_if_marker_number_and_quote_agree() -> None:
    passages = [make_passage(1, "The sky is\nblue today."), make_passage(2, "Grass is green.")]
    good = Answer(text="Blue [1].", citations=(make_citation(1, 1, "sky is blue"),))
    assert citation_validity(good, passages) == 1.0
    cut = Answer(text="Blue [1].", citations=(make_citation(1, 1, "The sky is…"),))
    assert citation_validity(cut, passages) == 1.0
    unknown_marker = Answer(text="Blue [1], green [7].", citations=good.citations)
    assert citation_validity(unknown_marker, passages) == pytest.approx(2 / 3)
    made_up = Answer(text="Blue [1].", citations=(make_citation(1, 2, "sky is blue"),))
    assert citation_validity(made_up, passages) == 0.5
    assert citation_validity(Answer(text="Blue."), passages) is None
