"""What a run leaves: outcomes that can be run again, and a page that says nothing but what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.outcome import Outcome, Results, percentile, summarise
from tests.chaos.page import OTHERWISE, render_page


def make_outcome(seed: int = 0, **counted: object) -> Outcome:
    return Outcome.model_validate({"scenario": "C2", "seed": seed, "asked": 50, "answered": 50} | counted)


def test_a_newer_outcome_takes_the_place_of_an_older_one_with_the_same_seed(tmp_path: Path) -> None:
    results = Results(tmp_path)
    for outcome in (make_outcome(1, lost=1), make_outcome(0), make_outcome(1)):
        results.keep(outcome)
    assert results.of("C2") == [make_outcome(0), make_outcome(1)]
    assert results.of("C1") == []


@pytest.mark.parametrize("name", ["lost", "untold", "doubled", "unfinished", "out_of_order"])
def test_whatever_goes_wrong_with_a_question_is_a_failure(name: str) -> None:
    assert make_outcome().holds
    assert not make_outcome(**{name: 1}).holds
    assert not make_outcome(problems=["a replica ended by itself"]).holds


def test_outcomes_add_up() -> None:
    summary = summarise(
        [make_outcome(faults={"SIGKILL": 1}), make_outcome(1, doubled=2, faults={"SIGKILL": 2})]
    )
    assert (summary.seeds, summary.asked, summary.doubled, summary.faults) == (2, 100, 2, {"SIGKILL": 3})


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert [percentile(range(1, 201), share) for share in (0.5, 0.99, 1.0)] == [100, 198, 200]


def test_the_page_says_how_little_was_tried_and_how_to_repeat_it(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.keep(make_outcome(ack_ms=[12.0], recovery_seconds=[2.5], revision="abc"))
    page = render_page(results)
    assert "50 questions in all, none of them went wrong" in page
    assert "| 1 in 16 |" in page
    assert "`make chaos ONLY=C2 SEEDS=1`" in page
    results.keep(make_outcome(1, lost=1, problems=["1 item is parked"]))
    page = render_page(results)
    assert "100 questions in all, 1 of them went wrong" in page
    assert "| 1 in" not in page
    assert "C2, seed 1: 1 item is parked" in page


def test_the_tests_that_the_page_names_are_there() -> None:
    assert [test for _, test in OTHERWISE if not Path(test).exists()] == []


def test_without_an_outcome_there_is_no_page(tmp_path: Path) -> None:
    with pytest.raises(LookupError):
        render_page(Results(tmp_path))
