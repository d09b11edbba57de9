"""Reads tables (CSV, TSV), and says how the rows of a table, also those of a spreadsheet, become Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from core.knowledge.chunking.policy import estimate_tokens
from core.knowledge.loading.text import MAX_CHARACTERS, Extract, UnreadableError, decode_text

MAX_CELL_CHARACTERS = 32_767
"""As many as a cell of a spreadsheet can hold."""
MAX_HEAD_TOKENS = 80
"""A longer head fills about half a chunk, and every part of a table that is cut has to say it: rows below it are
written out as records."""

Row = Mapping[int, str]
"""The cells of a row that hold something, by their column: a table costs what it holds, however wide it claims to be."""

_MARKS = ",;\t|"
_SAMPLE_CHARACTERS = 65_536
_SAMPLE_ROWS = 50


def extract_csv(data: bytes, charset: str | None) -> Extract:
    """A table whose cells are parted by commas, semicolons, tabs or bars. Raises UnreadableError."""
    text = decode_text(data, charset)
    first, _, rest = text.partition("\n")
    named = first.rstrip("\r")
    if named[:4].lower() == "sep=" and len(named) == 5 and named[4] in _MARKS:  # Excel's own way to say it
        return _extract(rest, named[4])
    return _extract(text, _find_mark(text))


def extract_tsv(data: bytes, charset: str | None) -> Extract:
    """A table whose cells are parted by tabs. Raises UnreadableError."""
    return _extract(decode_text(data, charset), "\t")


def _extract(text: str, mark: str) -> Extract:
    if len(text) > MAX_CHARACTERS:
        raise UnreadableError(f"The table holds more than {MAX_CHARACTERS} characters.")
    try:
        rows = [make_row(enumerate(row)) for row in _read(text, mark)]
    except csv.Error as error:
        raise UnreadableError("The table is broken.") from error
    return Extract(render_rows(rows), empty_reason="The table holds no values.")


def _read(text: str, mark: str) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=mark)


def _find_mark(text: str) -> str:
    """What parts the cells: the mark that gives the most rows as many cells as the first has."""
    sample = text[:_SAMPLE_CHARACTERS]
    best, most = _MARKS[0], (0, 0)
    for mark in _MARKS:
        try:
            widths = [len(row) for row in islice(_read(sample, mark), _SAMPLE_ROWS) if row]
        except csv.Error:
            continue
        if widths and widths[0] > 1 and (found := (widths.count(widths[0]), widths[0])) > most:
            best, most = mark, found
    return best


def make_row(cells: Iterable[tuple[int, str]]) -> Row:
    """Texts by their column; each becomes one line that is safe between bars."""
    lines = ((n, " ".join(text[:MAX_CELL_CHARACTERS].split()).replace("|", "\\|")) for n, text in cells)
    return {n: line for n, line in lines if line}


def render_rows(rows: Iterable[Row]) -> str:
    """Rows as Markdown, without empty rows and columns. Rows of one cell at the top are titles and stand above the
    table; then comes its head. A wide table, whose head is longer than MAX_HEAD_TOKENS, becomes a list of records."""
    body = [row for row in rows if row]
    first = next((n for n, row in enumerate(body) if len(row) > 1), 0)
    titles, body = [cell for row in body[:first] for cell in row.values()], body[first:]
    if not body:
        return ""
    columns = sorted({n for row in body for n in row})
    is_wide = len(body) > 1 and estimate_tokens("".join(_head(body[0], columns))) > MAX_HEAD_TOKENS
    lines = _records(body) if is_wide else _table(body, columns)
    return "\n\n".join((*titles, "\n".join(lines)))


def _head(row: Row, columns: Sequence[int]) -> tuple[str, str]:
    return f"| {' | '.join(row.get(n, '') for n in columns)} |", f"|{' --- |' * len(columns)}"


def _table(rows: Sequence[Row], columns: Sequence[int]) -> Iterator[str]:
    yield from _head(rows[0], columns)
    for row in rows[1:]:
        last = max(row)
        yield f"| {' | '.join(row.get(n, '') for n in columns if n <= last)} |"


def _records(rows: Sequence[Row]) -> Iterator[str]:
    """Each row as an item of a list, with a line for each of its values: the column's name, then the value."""
    head, *others = rows
    for row in others:
        values = [f"{head[n]}: {row[n]}" if n in head else row[n] for n in sorted(row)]
        yield "- " + "\n  ".join(values)
