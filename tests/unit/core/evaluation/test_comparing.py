"""Runs are kept with what produced them, found again, and held against each other question by question."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from core.errors import DatasetError
from core.evaluation.comparing import compare_runs
from core.evaluation.plots import Group, Point, render_plot
from core.evaluation.records import RunFolder, RunRecord, make_record


def record(
    values: dict[str, float],
    *,
    name: str | None = None,
    dataset_hash: str = "hash",
    metric: str = "recall@10",
) -> RunRecord:
    return make_record(
        "retrieval",
        {metric: values, "empty": {}},
        dataset="My Town!",
        dataset_hash=dataset_hash,
        version="1.0",
        settings={"k": 10, "embedder": "local"},
        prompts=("answer@1",),
        name=name,
    )


HARD = {f"q{n}": (n % 10) / 10 for n in range(100)}
BETTER = {question: min(1.0, value + 0.05) for question, value in HARD.items()}
SHUFFLED = {question: HARD[f"q{(n * 7) % 100}"] for n, question in enumerate(HARD)}


def test_a_small_difference_on_every_question_is_told() -> None:
    comparison = compare_runs(record(HARD), record(BETTER))

    (metric,) = comparison.metrics
    assert metric.verdict == "better"
    assert metric.difference.mean == pytest.approx(0.05)
    assert comparison.worse == ()
    assert [each.metric for each in compare_runs(record(BETTER), record(HARD)).worse] == ["recall@10"]


def test_noise_is_not_told_and_how_much_could_be_is_said() -> None:
    (metric,) = compare_runs(record(HARD), record(SHUFFLED)).metrics

    assert metric.verdict == "undecided"
    assert 0 < metric.tells_from < 0.2


def test_the_same_is_the_same() -> None:
    (metric,) = compare_runs(record(HARD), record(HARD)).metrics

    assert metric.verdict == "same"


def test_only_common_questions_count_and_what_differs_is_named() -> None:
    other = record({"q1": 1.0, "elsewhere": 0.0}).model_copy(
        update={"settings": {"k": 10, "embedder": "big"}}
    )

    comparison = compare_runs(record(HARD), other)

    assert [metric.questions for metric in comparison.metrics] == [1]
    assert comparison.settings == {"embedder": ("local", "big")}


def test_what_cannot_be_compared_is_refused() -> None:
    for other in (
        record(HARD, dataset_hash="other"),
        record(HARD, metric="recall@5"),
        record(HARD).model_copy(update={"kind": "answers"}),
    ):
        with pytest.raises(DatasetError):
            compare_runs(record(HARD), other)


def test_runs_are_found_by_id_by_name_and_by_file(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "evaluations")
    assert folder.runs() == []
    first, second = record(HARD, name="baseline"), record(BETTER, name="baseline")
    paths = [folder.keep(run) for run in (first, second)]

    assert folder.runs() == [first, second]
    assert folder.find("baseline") == second, "the latest of that name"
    assert folder.find(first.id) == first
    assert RunFolder(tmp_path / "nowhere").find(str(paths[0])) == first
    assert first.id.split("-", 2)[2].startswith("retrieval-my-town-")
    assert first.figures.keys() == {"recall@10"}
    for unknown in ("missing", first.id[:4], str(tmp_path / "missing.json")):
        with pytest.raises(DatasetError):
            folder.find(unknown)


def test_a_file_that_is_no_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")

    with pytest.raises(DatasetError, match=r"other\.json"):
        RunFolder(tmp_path).runs()


def test_the_plot_is_well_formed_whatever_things_are_called() -> None:
    points = (
        Point(series="<a & b>", value=0.5, low=0.4, high=0.6),
        Point(series="c", value=2, low=-1, high=3),
    )

    svg = ElementTree.fromstring(render_plot("A < B", [Group(label="recall", points=points)]))  # noqa: S314

    names = [element.tag.rpartition("}")[2] for element in svg.iter()]
    assert names.count("circle") == 2
    texts = [element.text for element in svg.iter() if element.tag.endswith("text")]
    assert {"A < B", "recall", "<a & b>", "0.500"} <= set(texts)
