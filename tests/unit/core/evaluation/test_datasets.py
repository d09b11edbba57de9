"""Reading data sets: the layouts that exist in the wild, and errors that name file, line and remedy."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from core.errors import DatasetError
from core.evaluation.datasets import Dataset, read_dataset, read_queries

CORPUS = [{"_id": "d1", "title": "One", "text": "first"}, {"_id": "d2", "text": "second"}]
QUERIES = [{"_id": "q1", "text": "what is first?"}, {"_id": "q2", "text": "what is second?"}]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t2\n"


def jsonl(rows: Sequence[Mapping[str, object]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def make_folder(
    folder: Path, *, corpus: str = jsonl(CORPUS), queries: str = jsonl(QUERIES), qrels: str | None = QRELS
) -> Path:
    (folder / "corpus.jsonl").write_text(corpus)
    (folder / "queries.jsonl").write_text(queries)
    if qrels is not None:
        (folder / "qrels.tsv").write_text(qrels)
    return folder


def read(folder: Path) -> Dataset:
    return read_dataset(folder)


def test_the_plain_layout_is_read(tmp_path: Path) -> None:
    dataset = read(make_folder(tmp_path))
    assert dataset.name == tmp_path.name
    assert [(entry.id, entry.title, entry.text) for entry in dataset.corpus()] == [
        ("d1", "One", "first"),
        ("d2", "", "second"),
    ]
    assert [query.text for query in dataset.queries()] == ["what is first?", "what is second?"]
    assert dataset.judgements() == {"q1": {"d1": 1}, "q2": {"d2": 2}}
    assert dataset.splits == ()


def test_the_corpus_can_be_read_more_than_once(tmp_path: Path) -> None:
    dataset = read(make_folder(tmp_path))
    assert len(list(dataset.corpus())) == len(list(dataset.corpus())) == 2


def test_gzipped_files_numeric_ids_and_a_missing_header_are_fine(tmp_path: Path) -> None:
    for name, text in (
        ("corpus.jsonl.gz", jsonl([{"id": 7, "title": None, "text": "x"}])),
        ("queries.jsonl.gz", jsonl([{"id": 1, "text": "x?"}])),
        ("qrels.tsv.gz", "1\t7\t1\n"),
    ):
        (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    dataset = read(tmp_path)
    assert [entry.id for entry in dataset.corpus()] == ["7"]
    assert dataset.judgements() == {"1": {"7": 1}}


def test_blank_lines_and_a_byte_order_mark_are_passed_over(tmp_path: Path) -> None:
    make_folder(tmp_path, corpus="\ufeff" + jsonl(CORPUS) + "\n  \n", qrels=QRELS + "\n")
    assert len(list(read(tmp_path).corpus())) == 2


def test_conversations_and_answers_come_along(tmp_path: Path) -> None:
    query = {
        "id": "q1",
        "text": "and where?",
        "history": [{"role": "user", "text": "who?", "at": 3}, {"role": "assistant", "text": "she"}],
        "rewrite": "where is she?",
        "answerable": True,
        "answers": ["here"],
        "source": "d1",
        "sample": True,
        "unknown": {"is": "ignored"},
    }
    (only,) = read(make_folder(tmp_path, queries=jsonl([query]))).queries()
    assert [(said.role, said.text) for said in only.history] == [("user", "who?"), ("assistant", "she")]
    assert (only.rewrite, only.answerable, only.answers) == ("where is she?", True, ("here",))
    assert (only.source, only.sample) == ("d1", True)


def test_a_split_named_by_the_queries_selects_them(tmp_path: Path) -> None:
    queries = [dict(QUERIES[0], split="train"), dict(QUERIES[1], split="test")]
    dataset = read(make_folder(tmp_path, queries=jsonl(queries)))
    assert dataset.splits == ("test", "train")
    assert [query.id for query in dataset.queries("test")] == ["q2"]
    assert dataset.judgements("test")["q2"] == {"d2": 2}


def test_a_split_with_a_file_of_judgements_selects_the_queries_it_judges(tmp_path: Path) -> None:
    make_folder(tmp_path, qrels=None)
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq2\td2\t1\n")
    (tmp_path / "qrels" / "train.tsv.gz").write_bytes(gzip.compress(b"q1\td1\t1\n"))
    dataset = read(tmp_path)
    assert dataset.splits == ("test", "train")
    assert [query.id for query in dataset.queries("test")] == ["q2"]
    assert dataset.judgements("test") == {"q2": {"d2": 1}}
    assert dataset.judgements() == {"q1": {"d1": 1}, "q2": {"d2": 1}}


def test_an_unknown_split_is_refused_and_the_known_ones_are_named(tmp_path: Path) -> None:
    queries = [dict(QUERIES[0], split="train"), QUERIES[1]]
    with pytest.raises(DatasetError, match=r"no split 'dev'.*train"):
        read(make_folder(tmp_path, queries=jsonl(queries))).queries("dev")


def test_a_split_of_a_set_without_splits_says_to_leave_it_out(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="leave the split out"):
        read(make_folder(tmp_path)).queries("test")


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels.tsv"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    make_folder(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(DatasetError, match=name.replace(".", r"\.")):
        read(tmp_path)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="not a folder"):
        read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("second_line", "expected"),
    [
        ("{broken", "line 2: this is not JSON"),
        ('["a list"]', "line 2: this is not a JSON object"),
        ('{"text": "no id"}', "line 2: the id is missing"),
        ('{"id": "d9"}', "line 2: 'text' is missing"),
        ('{"id": "d9", "title": 4, "text": "x"}', "line 2: 'title' is missing or not a string"),
        ('{"id": "d1", "text": "again"}', "line 2: the id 'd1' stands here a second time"),
    ],
)
def test_a_wrong_line_of_the_corpus_is_named(tmp_path: Path, second_line: str, expected: str) -> None:
    dataset = read(make_folder(tmp_path, corpus=jsonl(CORPUS[:1]) + second_line + "\n"))
    with pytest.raises(DatasetError) as raised:
        list(dataset.corpus())
    assert "corpus.jsonl" in str(raised.value)
    assert expected in str(raised.value)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"id": "q1", "text": "x", "history": [{"role": "bot", "text": "y"}]}', "history.0.role"),
        ('{"id": "q1", "text": "x", "answers": "one"}', "answers"),
        ('{"id": "q1"}', "'text' is missing"),
    ],
)
def test_a_wrong_field_of_a_query_is_named(tmp_path: Path, line: str, expected: str) -> None:
    with pytest.raises(DatasetError) as raised:
        read(make_folder(tmp_path, queries=line + "\n"))
    assert "queries.jsonl, line 1" in str(raised.value)
    assert expected in str(raised.value)


@pytest.mark.parametrize(
    ("qrels", "expected"),
    [
        ("q1\td1\t1\nq1 d2 1\n", "line 2: there are 1 columns"),
        ("q1\td1\t1\nq1\td2\tyes\n", "line 2: the score 'yes'"),
    ],
)
def test_a_wrong_judgement_is_named(tmp_path: Path, qrels: str, expected: str) -> None:
    with pytest.raises(DatasetError) as raised:
        read(make_folder(tmp_path, qrels=qrels))
    assert expected in str(raised.value)


def test_a_file_that_is_not_utf8_is_named_with_its_line(tmp_path: Path) -> None:
    make_folder(tmp_path)
    (tmp_path / "corpus.jsonl").write_bytes(jsonl(CORPUS).encode() + b'{"id": "d3", "text": "\xff"}\n')
    with pytest.raises(DatasetError, match="line 3: this is not UTF-8"):
        list(read(tmp_path).corpus())


def test_a_gzip_file_that_was_cut_off_is_named(tmp_path: Path) -> None:
    make_folder(tmp_path)
    (tmp_path / "corpus.jsonl").unlink()
    packed = gzip.compress(jsonl([{"id": str(n), "text": "x" * n} for n in range(2000)]).encode())
    (tmp_path / "corpus.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(DatasetError, match="Pack the file again"):
        list(read(tmp_path).corpus())


def test_queries_can_be_read_without_corpus_and_judgements(tmp_path: Path) -> None:
    query = {"id": "q1", "text": "and it?", "rewrite": "and bread?", "automatic_rewrite": "and that?"}
    (tmp_path / "queries.jsonl").write_text(jsonl([query]))
    dataset = read_queries(tmp_path)
    assert [(each.rewrite, each.automatic_rewrite) for each in dataset.queries()] == [
        ("and bread?", "and that?")
    ]
    assert (list(dataset.corpus()), dataset.judgements()) == ([], {})
    first = dataset.fingerprint()
    (tmp_path / "queries.jsonl").write_text(jsonl([query | {"automatic_rewrite": "and bread?"}]))
    assert read_queries(tmp_path).fingerprint() != first
    with pytest.raises(DatasetError, match=r"corpus\.jsonl is missing"):
        read(tmp_path)


def test_a_year_parts_a_set_that_has_no_splits(tmp_path: Path) -> None:
    queries: list[dict[str, object]] = [{**QUERIES[0], "year": 2019}, {**QUERIES[1], "year": "2020"}]
    dataset = read(make_folder(tmp_path, queries=jsonl(queries)))
    assert dataset.splits == ("2019", "2020")
    assert [query.id for query in dataset.queries("2019")] == ["q1"]


def test_a_file_of_judgements_names_a_split_beside_the_years(tmp_path: Path) -> None:
    make_folder(tmp_path, queries=jsonl([{**row, "year": 2019} for row in QUERIES]), qrels=None)
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("q2\td2\t1\n")
    dataset = read(tmp_path)
    assert [query.id for query in dataset.queries("test")] == ["q2"]
    assert [query.id for query in dataset.queries("2019")] == ["q1", "q2"]


def test_a_set_keeps_the_fingerprint_that_stored_runs_have(tmp_path: Path) -> None:
    assert read(make_folder(tmp_path)).fingerprint() == (
        "175898d8e465638887b81e73e47aa4ac47c9e5a54f1e42a948aa1c48defd0616"
    )
