"""Figures about rewritten questions, against values worked out by hand."""

from __future__ import annotations

import pytest

from core.evaluation.rewriting_metrics import is_changed, measure_turn, token_f1


def test_token_f1_of_two_questions_is_worked_out_by_hand() -> None:
    # is, it, frozen / is, sourdough, bread, frozen: 2 in common, precision 2/3, recall 2/4
    assert token_f1("Is it frozen?", "Is sourdough bread frozen?") == pytest.approx(2 * 2 / (3 + 4))


def test_a_word_counts_as_often_as_both_have_it() -> None:
    # bread, bread / bread: 1 in common, precision 1/2, recall 1
    assert token_f1("bread bread", "bread") == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("text", "reference", "expected"),
    [
        ("The U.S. tax?", "a us tax", 1.0),
        ("bread", "ferries", 0.0),
        ("", "ferries", 0.0),
        ("the", "?", 1.0),
    ],
)
def test_case_punctuation_and_articles_do_not_count(text: str, reference: str, expected: float) -> None:
    assert token_f1(text, reference) == expected
    assert is_changed(text, reference) is (expected != 1.0)


def test_what_a_search_gets_is_counted_in_content_words() -> None:
    # The reference adds "harbour" and "winter"; the rewrite brings the first and "boat", the thread the second,
    # "ferry" (which the question has) and "ticket". "Blue" was asked, so nobody added it.
    figures = measure_turn(
        "When does the blue ferry leave?",
        "When does the blue ferry leave the harbours by boat?",
        thread="winter ferries tickets",
        reference="When does the ferry leave the harbour in winter?",
        automatic="When does the ferry leave the harbour?",
    )
    assert figures.found == 0.5
    assert figures.found_with_thread == 1.0
    assert (figures.beyond, figures.beyond_with_thread) == (1, 2)
    # when, does, blue, ferry, leave / when, does, ferry, leave, harbour, in, winter: 4 in common
    assert figures.f1_as_it_stands == pytest.approx(2 * 4 / (5 + 7))
    # when, does, blue, ferry, leave, harbours, by, boat: 4 in common
    assert figures.f1 == pytest.approx(2 * 4 / (8 + 7))
    # when, does, ferry, leave, harbour: 5 in common
    assert figures.f1_automatic == pytest.approx(2 * 5 / (5 + 7))
    assert (figures.reference_changes, figures.changes) == (True, True)


def test_a_turn_that_needs_no_words_has_no_share_of_them() -> None:
    figures = measure_turn("Where is it?", "Where is it?", thread="", reference="where is it")
    assert (figures.found, figures.found_with_thread, figures.f1_automatic) == (None, None, None)
    assert (figures.reference_changes, figures.changes, figures.beyond) == (False, False, 0)
