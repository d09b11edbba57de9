"""Evaluations as a build runs them: measured, kept, and stopped when they fall below a baseline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.test_commands import Terminal

CORPUS = [
    {"id": "harbour", "title": "Harbour", "text": "Ferries leave the harbour at noon."},
    {"id": "museum", "title": "Museum", "text": "The museum shows paintings and old maps."},
    {"id": "bakery", "title": "Bakery", "text": "Fresh bread is baked before sunrise."},
]
QUERIES = [{"id": f"q{n}", "text": "when do ferries leave the harbour?"} for n in range(8)]


@pytest.fixture
def terminal(tmp_path: Path, database_url: str) -> Terminal:
    return Terminal(folder=tmp_path, database_url=database_url, port=0)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "town"
    folder.mkdir()
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in CORPUS))
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in QUERIES))
    (folder / "qrels.tsv").write_text("".join(f"q{n}\tharbour\t1\n" for n in range(8)))
    return folder


async def test_a_run_is_kept_and_the_next_one_is_held_against_it(terminal: Terminal, dataset: Path) -> None:
    first = await terminal.run("eval", "retrieval", str(dataset), "--name", "baseline", "--json")
    assert first.code == 0, first.err
    kept = terminal.folder / "home" / "evaluations" / f"{first.json()['run']}.json"
    record = json.loads(kept.read_text())
    assert record["figures"]["nDCG@10"] == 1.0
    assert record["settings"]["chunking.strategy"] == "structure"
    assert {"embedder", "k", "query", "search.dense_weight"} <= record["settings"].keys()

    again = await terminal.run("eval", "retrieval", str(dataset), "--fail-below", "baseline")
    assert again.code == 0, again.err
    assert "the same for every question" in again.err

    better = terminal.folder / "better.json"
    record["values"]["nDCG@10"] = dict.fromkeys(record["values"]["nDCG@10"], 2.0)
    better.write_text(json.dumps(record))
    fallen = await terminal.run("eval", "retrieval", str(dataset), "--fail-below", str(better))
    assert fallen.code == 1
    assert "worse" in fallen.err

    (dataset / "qrels.tsv").write_text("q1\tharbour\t1\n")
    other = await terminal.run("eval", "retrieval", str(dataset), "--fail-below", "baseline")
    assert other.code == 2
    assert "other data" in other.err


async def test_ways_of_chunking_are_measured_side_by_side(terminal: Terminal) -> None:
    pages = terminal.folder / "pages"
    pages.mkdir()
    for place in ("harbour", "museum", "bakery"):
        (pages / f"{place}.md").write_text(
            f"# Town\n\n## When does the {place} open?\n\n{f'The {place} opens at nine, not before. ' * 12}"
        )

    done = await terminal.run(
        "eval", "chunking", str(pages), "--strategy", "structure", "--strategy", "recursive", "--json"
    )

    assert done.code == 0, done.err
    result = done.json()
    assert (result["documents"], result["questions"]) == (3, 3)
    assert [each["strategy"] for each in result["strategies"]] == ["structure", "recursive"]
    compared = await terminal.run("eval", "compare", "structure", "recursive", "--json")
    assert compared.json()["settings"] == {"chunking.strategy": ["structure", "recursive"]}
