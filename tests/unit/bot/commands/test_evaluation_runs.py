"""Runs on the command line: listed, compared, drawn, and held against each other in a build."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bot.cli import app
from core.evaluation.records import RunFolder, RunRecord, make_record

GOOD = {f"q{n}": 0.9 for n in range(50)}
BAD = {f"q{n}": 0.5 + (n % 5) / 20 for n in range(50)}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "home" / "evaluations")


def keep(folder: RunFolder, name: str, values: dict[str, float]) -> RunRecord:
    record = make_record(
        "retrieval",
        {"recall@10": values},
        dataset="town",
        dataset_hash="hash",
        version="1",
        settings={"k": 10, "name": name},
        name=name,
    )
    folder.keep(record)
    return record


def run(tmp_path: Path, *arguments: str) -> Result:
    settings = {"THREADLORE_HOME": str(tmp_path / "home")}
    return CliRunner().invoke(app, ["eval", *arguments], env=settings)


def test_the_gate_fails_on_what_fell_and_on_nothing_else(tmp_path: Path, folder: RunFolder) -> None:
    keep(folder, "good", GOOD)
    keep(folder, "bad", BAD)

    fallen = run(tmp_path, "compare", "good", "bad", "--gate")
    risen = run(tmp_path, "compare", "bad", "good", "--gate")
    looked_at = run(tmp_path, "compare", "good", "bad")

    assert (fallen.exit_code, risen.exit_code, looked_at.exit_code) == (1, 0, 0)
    assert "recall@10" in fallen.stderr
    assert "worse" in fallen.stdout
    assert "name: good → bad" in fallen.stdout


def test_a_comparison_as_json_says_what_a_program_needs(tmp_path: Path, folder: RunFolder) -> None:
    keep(folder, "good", GOOD)
    path = folder.keep(keep(folder, "bad", BAD))

    result = json.loads(run(tmp_path, "compare", "good", str(path), "--json").stdout)

    (metric,) = result["metrics"]
    assert metric["verdict"] == "worse"
    assert metric["difference"]["interval"]["high"] < 0
    assert result["settings"] == {"name": ["good", "bad"]}


def test_runs_are_listed_and_drawn(tmp_path: Path, folder: RunFolder) -> None:
    assert json.loads(run(tmp_path, "runs", "--json").stdout) == []
    keep(folder, "good", GOOD)
    record = keep(folder, "bad", BAD)

    assert f"{record.id} (bad)" in run(tmp_path, "runs").stdout
    (first, second) = json.loads(run(tmp_path, "runs", "--json").stdout)
    assert (first["name"], second["figures"]["recall@10"]) == ("good", pytest.approx(0.6))
    assert "values" not in first

    plot = tmp_path / "plot.svg"
    assert run(tmp_path, "compare", "good", "bad", "--plot", str(plot)).exit_code == 0
    assert plot.read_text().startswith("<svg")
    assert run(tmp_path, "compare", "good", "bad", "--plot", str(tmp_path / "no" / "p.svg")).exit_code == 1


def test_a_run_that_does_not_exist_is_wrong_usage(tmp_path: Path) -> None:
    result = run(tmp_path, "compare", "good", "bad")

    assert result.exit_code == 2
    assert "threadlore eval runs" in result.stderr
