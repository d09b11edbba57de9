"""When to abstain is fitted on one half of a set and measured on the other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.errors import DatasetError
from core.evaluation.calibrating import (
    KEPT,
    JudgedQuestion,
    calibrate,
    fit_judgement,
    measure_judgement,
    split_in_halves,
)
from core.evaluation.calibration_runs import run_calibration
from core.evaluation.collection import Workbench
from core.evaluation.curve_plots import Curve, render_curves
from core.evaluation.datasets import read_dataset
from core.knowledge.judgement import Judgement
from core.testing.embedder import FakeEmbedder
from core.testing.knowledge import InMemoryKnowledgeStore


def make_questions(groups: str = "abcd") -> list[JudgedQuestion]:
    """Ten of each kind a group: `telling` tells them apart but for one of each, `noise` says nothing."""
    return [
        JudgedQuestion(
            id=f"{group}{number}{answerable}",
            group=group,
            answerable=answerable,
            signals={"telling": float(answerable != (number == 0)), "noise": float(number % 2)},
        )
        for group in groups
        for number in range(10)
        for answerable in (True, False)
    ]


def test_what_tells_the_questions_apart_gets_the_weight() -> None:
    judgement = fit_judgement(make_questions(), ["telling", "noise"], "test")
    assert judgement.weights["telling"] > 2
    assert abs(judgement.weights["noise"]) < 0.2


def test_the_threshold_lets_the_share_of_the_answerable_through() -> None:
    questions = make_questions()
    judgement = fit_judgement(questions, ["telling"], "test")
    assert measure_judgement(judgement, questions).kept >= KEPT


def test_nothing_that_is_reported_was_fitted_on() -> None:
    own, foreign = make_questions(), JudgedQuestion(id="far", group=None, answerable=False, signals={})
    fitted, reported = split_in_halves([*own, foreign])
    assert {question.group for question in fitted} == {"a", "c", None}
    assert {question.group for question in reported} == {"b", "d"}


def test_a_set_of_one_group_cannot_be_split() -> None:
    with pytest.raises(DatasetError, match="more than one title"):
        split_in_halves(make_questions("a"))


def test_the_figures_are_those_of_the_other_half() -> None:
    calibration = calibrate(make_questions(), ["telling", "noise"], "test")
    assert (calibration.fitted, calibration.reported) == (40, 40)
    assert calibration.auroc == pytest.approx(0.9, abs=0.02)
    assert calibration.balanced_accuracy == pytest.approx(0.9, abs=0.001)
    assert calibration.auroc_interval.low < calibration.auroc < calibration.auroc_interval.high


def test_a_higher_threshold_answers_less_and_errs_less() -> None:
    curve = calibrate(make_questions(), ["telling"], "test").curve
    assert [point.answered for point in curve] == sorted((point.answered for point in curve), reverse=True)
    assert curve[0].answered == 1.0
    assert curve[0].risk == 0.5
    assert curve[10].risk == pytest.approx(0.1)


def test_what_knows_nothing_is_no_better_than_chance() -> None:
    questions = make_questions()
    calibration = measure_judgement(Judgement(constant=0, weights={}, threshold=0.5), questions)
    assert calibration.auroc == 0.5
    assert calibration.balanced_accuracy == 0.5


async def test_a_run_searches_for_every_question_and_splits_by_title(tmp_path: Path) -> None:
    corpus = [{"id": f"d{n}", "title": f"T{n}", "text": f"The gadget{n} is blue."} for n in range(4)]
    queries = [
        {
            "id": f"{n}{sort}",
            "text": f"Is the gadget{n} {word}?",
            "answerable": word == "blue",
            "source": f"d{n}",
        }
        for n in range(4)
        for sort, word in (("yes", "blue"), ("no", "sold"))
    ]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    (tmp_path / "qrels.tsv").write_text("0yes\td0\t1\n")
    data = read_dataset(tmp_path)
    store = InMemoryKnowledgeStore()
    result = await run_calibration(data, Workbench(store, FakeEmbedder()), off_topic=[data])
    assert (result.by_words.fitted, result.by_words.reported) == (4 + 8, 4)
    assert result.by_words.auroc == 1.0
    assert "similarity" in result.with_similarity.judgement.weights
    assert "similarity" not in result.by_words.judgement.weights
    assert await store.sources() == []


def test_a_curve_is_drawn_through_its_points() -> None:
    svg = render_curves("A & B", "along", "up", [Curve(label="c", points=((0.0, 0.0), (1.0, 1.0)))])
    assert "A &amp; B" in svg
    assert '<polyline points="70.0,400.0 720.0,52.0"' in svg
