"""`threadlore eval rewriting`: on a set without a corpus, with the rules that rewrite where no model is set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bot.cli import app

FIRST = "What is sourdough bread?"
BEFORE = [{"role": "user", "text": FIRST}]
STANDS = 2 * 2 / (3 + 4)
"""Token F1 of "Is it frozen?" against "Is sourdough bread frozen?"."""
TURNS: list[dict[str, Any]] = [
    {"id": "1_1", "year": 2019, "text": FIRST, "history": [], "rewrite": FIRST},
    {
        "id": "1_2",
        "year": 2019,
        "text": "Is it frozen?",
        "history": BEFORE,
        "rewrite": "Is sourdough bread frozen?",
    },
    {
        "id": "2_2",
        "year": 2020,
        "text": "Tell me about rye bread.",
        "history": BEFORE,
        "rewrite": "Tell me about rye bread.",
        "automatic_rewrite": "Tell me about it.",
    },
    {"id": "2_3", "year": 2020, "text": "Thank you!", "history": BEFORE},
]


def write_set(tmp_path: Path, turns: list[dict[str, Any]]) -> Path:
    folder = tmp_path / "talks"
    folder.mkdir(exist_ok=True)
    (folder / "queries.jsonl").write_text("".join(json.dumps(turn) + "\n" for turn in turns))
    return folder


def measure(tmp_path: Path, turns: list[dict[str, Any]], *options: str, **settings: str) -> Result:
    return run(tmp_path, "rewriting", str(write_set(tmp_path, turns)), *options, **settings)


def run(tmp_path: Path, *arguments: str, **settings: str) -> Result:
    environment = {"THREADLORE_HOME": str(tmp_path / "home"), **settings}
    return CliRunner().invoke(app, ["eval", *arguments], env=environment)


def test_the_rules_are_measured_without_corpus_and_judgements(tmp_path: Path) -> None:
    done = measure(tmp_path, TURNS, "--json")

    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["dataset"], result["rewriter"]) == ("talks", "extractive")
    assert (result["asked"], result["failed"]) == (2, 0)
    figures = result["all"]
    assert (figures["turns"], figures["reference_changed"]) == (3, 1)
    assert (figures["changed_too"], figures["left_too"]) == (1, 2)
    assert figures["f1"]["as_it_stands"]["mean"] == pytest.approx((2 + STANDS) / 3)
    assert figures["f1"]["rewritten"]["mean"] == 1.0
    assert figures["f1_where_changed"]["gained"]["first"] == pytest.approx(STANDS)
    assert figures["f1_where_changed"]["gained"]["verdict"] == "better"
    assert (figures["found"]["turns"], figures["found"]["mean"]) == (1, 1.0)
    assert figures["beyond"]["mean"] == 0.0
    # The thread's "sourdough" stands beside the question about rye bread.
    assert figures["beyond_with_thread"]["mean"] == pytest.approx(1 / 3)


def test_another_systems_rewrite_is_measured_on_the_turns_that_have_one(tmp_path: Path) -> None:
    f1 = json.loads(measure(tmp_path, TURNS, "--json").stdout)["all"]["f1"]

    # tell, me, about, it / tell, me, about, rye, bread: 3 in common
    assert f1["automatic"]["turns"] == 1
    assert f1["automatic"]["mean"] == pytest.approx(2 * 3 / (4 + 5))
    assert f1["over_automatic"]["second"] == 1.0


def test_years_are_measured_apart_and_can_be_chosen(tmp_path: Path) -> None:
    both = json.loads(measure(tmp_path, TURNS, "--json").stdout)
    one = json.loads(measure(tmp_path, TURNS, "--split", "2019", "--json").stdout)
    none = measure(tmp_path, TURNS, "--split", "2021")

    assert {part: figures["turns"] for part, figures in both["parts"].items()} == {"2019": 2, "2020": 1}
    assert (one["split"], one["all"], one["parts"]) == ("2019", both["parts"]["2019"], {})
    assert none.exit_code == 2
    assert "2019, 2020" in none.stderr


def test_the_figures_are_printed_for_people(tmp_path: Path) -> None:
    lines = measure(tmp_path, TURNS).stdout.splitlines()

    assert lines[0] == "talks: 3 turns, rewritten by extractive"
    assert "  changed: 1 of the 1 (1.000) that the reference changes" in lines
    assert "  left alone: 2 of the 2 (1.000) that the reference leaves alone" in lines
    assert any(line.startswith("    as it stands     0.8571") for line in lines)
    assert any(line.startswith("    difference") and line.endswith("better") for line in lines)
    assert "2020: 1 turns" in lines


def test_a_run_is_kept_compared_and_held_against_a_baseline(tmp_path: Path) -> None:
    first = json.loads(measure(tmp_path, TURNS, "--name", "rules", "--json").stdout)
    path = tmp_path / "home" / "evaluations" / f"{first['run']}.json"
    record = json.loads(path.read_text())
    assert record["kind"] == "rewriting"
    assert record["settings"] == {"chat_model": "extractive"}
    assert record["values"]["token F1 where changed"] == {"1_2": 1.0}
    assert record["values"]["left alone"] == {"1_1": 1.0, "2_2": 1.0}

    record["values"]["token F1"] = dict.fromkeys(record["values"]["token F1"], 2.0)
    better = tmp_path / "better.json"
    better.write_text(json.dumps(record))
    same = measure(tmp_path, TURNS, "--fail-below", "rules")
    fallen = measure(tmp_path, TURNS, "--fail-below", str(better))
    compared = json.loads(run(tmp_path, "compare", str(better), "rules", "--json").stdout)

    assert (same.exit_code, fallen.exit_code) == (0, 1)
    assert "token F1" in fallen.stderr
    verdicts = {metric["metric"]: metric["verdict"] for metric in compared["metrics"]}
    assert (verdicts.pop("token F1"), set(verdicts.values())) == ("worse", {"same"})


@pytest.mark.parametrize(("missing", "named"), [("rewrite", "has a rewrite"), ("history", "turns before it")])
def test_a_set_that_cannot_be_measured_says_which_field_to_add(
    tmp_path: Path, missing: str, named: str
) -> None:
    turns = [{name: value for name, value in turn.items() if name != missing} for turn in TURNS]

    done = measure(tmp_path, turns)

    assert done.exit_code == 2
    assert "No query" in done.stderr
    assert named in done.stderr
    assert f'Add "{missing}"' in done.stderr


def test_a_model_that_never_answers_is_no_measurement(tmp_path: Path) -> None:
    nowhere = {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "OPENAI_API_KEY": "sk-none"}

    done = measure(tmp_path, TURNS, "--json", CHAT_MODEL="openai:any", **nowhere)

    assert done.exit_code == 1
    assert done.stdout == ""
    assert "failed on every turn" in done.stderr
