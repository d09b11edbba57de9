"""Reads evaluation data sets: a folder in BEIR's layout, plain or gzipped.

    corpus.jsonl     {"_id" or "id", "title" (may be absent), "text"}
    queries.jsonl    {"_id" or "id", "text"} and, where they exist, "split", "year", "history", "rewrite",
                     "automatic_rewrite", "answerable", "answers", "source", "sample"
    qrels.tsv        query-id, corpus-id, score; or one file per split, qrels/<split>.tsv

The corpus is read line by line, as often as asked, and never held in memory. What is measured without a search needs
the queries alone.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, ValidationError

from core.errors import DatasetError
from core.messages import Frozen

SUFFIXES = ("", ".gz")


class CorpusEntry(Frozen):
    """One document of a corpus. `title` is empty where the set has none."""

    id: str
    title: str
    text: str


class Utterance(Frozen):
    """What was said before a query. Whatever else a set notes about it is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    role: Literal["user", "assistant"]
    text: str


class Query(Frozen):
    """One question of a set, with whatever the set knows about it.

    `rewrite` is the question as it would be asked outside its conversation, `automatic_rewrite` what another system
    made of it. `answerable` is None where the set does not say; `sample` marks the questions for costly runs. What
    came to be read later is left out where it is absent, so that a set keeps its fingerprint.
    """

    id: str
    text: str
    split: str | None = None
    history: tuple[Utterance, ...] = ()
    rewrite: str | None = None
    answerable: bool | None = None
    answers: tuple[str, ...] = ()
    source: str | None = None
    sample: bool = False
    automatic_rewrite: str | None = Field(default=None, exclude_if=lambda value: value is None)
    year: str | None = Field(default=None, exclude_if=lambda value: value is None, coerce_numbers_to_str=True)

    @property
    def part(self) -> str | None:
        """The part of its set that it belongs to: its split, or the year that it is from."""
        return self.split or self.year


class Dataset:
    """A folder that was checked and whose queries and judgements are in memory."""

    def __init__(
        self,
        folder: Path,
        corpus_file: Path | None,
        queries: tuple[Query, ...],
        judgements: dict[str | None, dict[str, dict[str, int]]],
    ) -> None:
        self.name = folder.name
        self.folder = folder
        self._corpus_file = corpus_file
        self._queries = queries
        self._judgements = judgements

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits or years, sorted; empty for a set that has none."""
        named = {query.part for query in self._queries} | set(self._judgements)
        return tuple(sorted(name for name in named if name))

    def corpus(self) -> Iterator[CorpusEntry]:
        """Every document, in the file's order; none where only the queries were read. Raises DatasetError at the
        line that is wrong."""
        if (file := self._corpus_file) is None:
            return
        seen: set[str] = set()
        for line, fields in _read_objects(file):
            entry = CorpusEntry(
                id=_identifier(file, line, fields),
                title=_text(file, line, fields, "title", default=""),
                text=_text(file, line, fields, "text"),
            )
            if entry.id in seen:
                raise _wrong(
                    file,
                    line,
                    f"the id {entry.id!r} stands here a second time",
                    "Give every document an id of its own.",
                )
            seen.add(entry.id)
            yield entry

    def fingerprint(self) -> str:
        """The SHA-256 of documents, queries and judgements, in hex: same data, same figures."""
        digest = hashlib.sha256()
        for _, line in _read_lines(self._corpus_file) if self._corpus_file else ():
            digest.update(f"{line}\n".encode())
        for query in self._queries:
            digest.update(f"{query.model_dump_json()}\n".encode())
        judged = sorted(self._judgements.items(), key=lambda item: item[0] or "")
        digest.update(json.dumps(judged, sort_keys=True).encode())
        return digest.hexdigest()

    def queries(self, split: str | None = None) -> list[Query]:
        """The queries of a split or year, or all. Raises DatasetError if there is no such split."""
        if split is None:
            return list(self._queries)
        if split not in self.splits:
            known = ", ".join(self.splits)
            raise DatasetError(
                f"{self.folder}: there is no split {split!r}. "
                + (f"It has: {known}." if known else "It has no splits: leave the split out.")
            )
        if split in self._judgements and not any(query.split for query in self._queries):
            return [query for query in self._queries if query.id in self._judgements[split]]
        return [query for query in self._queries if query.part == split]

    def judgements(self, split: str | None = None) -> dict[str, dict[str, int]]:
        """Grade by document id, by query id; of one split's file where there is one, else of all."""
        if split in self._judgements:
            return self._judgements[split]
        merged: dict[str, dict[str, int]] = {}
        for part in self._judgements.values():
            for query, grades in part.items():
                merged.setdefault(query, {}).update(grades)
        return merged


def read_dataset(folder: Path) -> Dataset:
    """Read queries and judgements, find the corpus. Raises DatasetError naming file, line and remedy."""
    _check_folder(folder, "corpus.jsonl")
    corpus = _find(folder, "corpus.jsonl")
    judgements = _read_judgements(folder)
    if not judgements:
        raise DatasetError(
            f"{folder}: the judgements are missing. Put qrels.tsv or qrels/<split>.tsv into it."
        )
    return Dataset(folder, corpus, _queries_in(_find(folder, "queries.jsonl")), judgements)


def read_queries(folder: Path) -> Dataset:
    """The same without the corpus, for what is measured without a search; there may be no judgements either."""
    _check_folder(folder, "queries.jsonl")
    return Dataset(folder, None, _queries_in(_find(folder, "queries.jsonl")), _read_judgements(folder))


def _check_folder(folder: Path, holding: str) -> None:
    if not folder.is_dir():
        raise DatasetError(f"{folder}: this is not a folder. Name the folder that holds {holding}.")


def _find(folder: Path, name: str) -> Path:
    for suffix in SUFFIXES:
        if (path := folder / f"{name}{suffix}").is_file():
            return path
    raise DatasetError(f"{folder}: {name} is missing. Put {name} or {name}.gz into the folder.")


def _wrong(path: Path, line: int, problem: str, remedy: str) -> DatasetError:
    return DatasetError(f"{path}, line {line}: {problem}. {remedy}")


def _read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, text) of every line that is not blank."""
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                if text.strip():
                    yield number, text
    except UnicodeDecodeError as error:
        raise _wrong(path, number, "this is not UTF-8", "Save the file as UTF-8.") from error
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise _wrong(path, number + 1, "the gzip data ends or breaks here", "Pack the file again.") from error
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror}. Make the file readable.") from error


def _read_objects(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    for line, text in _read_lines(path):
        try:
            fields = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise _wrong(path, line, "this is not JSON", "Write one JSON object on each line.") from error
        if not isinstance(fields, dict):
            raise _wrong(path, line, "this is not a JSON object", "Write one JSON object on each line.")
        yield line, fields


def _identifier(path: Path, line: int, fields: dict[str, object]) -> str:
    value = fields.get("_id", fields.get("id"))
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value:
        raise _wrong(path, line, "the id is missing", 'Add "id" (or "_id"), a string that names the line.')
    return value


def _text(path: Path, line: int, fields: dict[str, object], name: str, default: str | None = None) -> str:
    value = fields.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise _wrong(path, line, f"{name!r} is missing or not a string", f'Add "{name}" with a string.')
    return value


def _queries_in(path: Path) -> tuple[Query, ...]:
    queries: dict[str, Query] = {}
    for line, fields in _read_objects(path):
        query = _parse_query(path, line, fields)
        if query.id in queries:
            raise _wrong(
                path,
                line,
                f"the id {query.id!r} stands here a second time",
                "Give every query an id of its own.",
            )
        queries[query.id] = query
    if not queries:
        raise DatasetError(f"{path}: there is no query. Write one JSON object on each line.")
    return tuple(queries.values())


def _parse_query(path: Path, line: int, fields: dict[str, object]) -> Query:
    known = {
        name: fields[name]
        for name in Query.model_fields.keys() - {"id", "text"}
        if fields.get(name) is not None
    }
    try:
        return Query.model_validate(
            {"id": _identifier(path, line, fields), "text": _text(path, line, fields, "text"), **known}
        )
    except ValidationError as error:
        fault = error.errors()[0]
        raise _wrong(
            path,
            line,
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}",
            "See docs/evaluation.md for the fields and their types.",
        ) from error


def _read_judgements(folder: Path) -> dict[str | None, dict[str, dict[str, int]]]:
    """Judgements by split; a single qrels.tsv has the key None. Empty where there is neither."""
    for suffix in SUFFIXES:
        if (path := folder / f"qrels.tsv{suffix}").is_file():
            return {None: _read_qrels(path)}
    return {
        path.name.partition(".tsv")[0]: _read_qrels(path)
        for path in sorted((folder / "qrels").glob("*.tsv*"))
        if path.name.endswith((".tsv", ".tsv.gz"))
    }


def _read_qrels(path: Path) -> dict[str, dict[str, int]]:
    judgements: dict[str, dict[str, int]] = {}
    for line, text in _read_lines(path):
        columns = text.split("\t")
        if len(columns) != 3:
            raise _wrong(
                path,
                line,
                f"there are {len(columns)} columns, not 3",
                "Write query-id, corpus-id and score with tabs between them.",
            )
        query, document, score = (column.strip() for column in columns)
        try:
            grade = int(score)
        except ValueError as error:
            if line == 1:  # the header
                continue
            raise _wrong(
                path,
                line,
                f"the score {score!r} is not a whole number",
                "Write 1 for relevant (or a higher grade), 0 for not.",
            ) from error
        judgements.setdefault(query, {})[document] = grade
    return judgements
