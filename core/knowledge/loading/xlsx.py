"""Reads workbooks (XLSX): each visible sheet is a section with its rows as a table, values as people see them.

The XML is read as it streams by (docs/adr/0018): what a sheet costs follows from the cells that it holds, not from
the size that it claims, and hidden rows, columns and cells are known.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from core.knowledge.loading.cell_formats import CellFormat, Meaning, render_number
from core.knowledge.loading.cell_styles import PLAIN, is_white_color, read_styles
from core.knowledge.loading.ooxml import Package, find_relation_id, is_true, open_package
from core.knowledge.loading.tables import make_row, render_rows
from core.knowledge.loading.text import MAX_CHARACTERS, Extract, UnreadableError

MAX_CELLS = 500_000
"""Filled cells of all visible sheets together."""
_LAST_COLUMN = 16_384
_LAST_ROW = 1_048_576
_PLACE = re.compile(r"\$?([A-Z]{1,3})\$?(\d{1,7})$")
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")


def extract_xlsx(data: bytes) -> Extract:
    """Sheets in their order. Raises UnreadableError for what is no XLSX, is encrypted, or holds too much."""
    with open_package(data, "XLSX workbook") as package:
        reader = _Reader(package)
        sections = [f"## {name}\n\n{text}" for name, rows in reader.sheets() if (text := render_rows(rows))]
        return Extract(
            "\n\n".join(sections), package.title, "The workbook holds no visible values.", package.author
        )


@dataclass(slots=True)
class _Sheet:
    """What is visible of a sheet, by row and column, both from 1 on. `unseen` are the cells with white
    text on white, with what is seen of them; `is_painted`, if tables or rules give cells another ground."""

    rows: dict[int, dict[int, str]] = field(default_factory=dict)
    hidden_columns: bytearray = field(default_factory=lambda: bytearray(_LAST_COLUMN + 1))
    merged: list[str] = field(default_factory=list)
    unseen: list[tuple[int, int, str]] = field(default_factory=list)
    is_painted: bool = False


class _Reader:
    def __init__(self, package: Package) -> None:
        self._package = package
        self._book = package.parse(package.main)
        self._parts = package.relations(package.main)
        properties = self._book.find("{*}workbookPr")
        self._from_1904 = properties is not None and is_true(properties, "date1904")
        self._styles = read_styles(self._part("styles"))
        self._strings = self._read_strings()
        self._columns: dict[str, int] = {}
        self._cells = self._characters = 0

    def sheets(self) -> Iterator[tuple[str, list[dict[int, str]]]]:
        """Name and rows of every visible sheet. Raises UnreadableError once they hold too much."""
        for listed in self._book.iterfind("{*}sheets/{*}sheet"):
            relation = self._parts.get(find_relation_id(listed))
            if (
                relation is None
                or relation.kind != "worksheet"
                or listed.get("state", "visible") != "visible"
            ):
                continue
            sheet = self._read_sheet(relation.part)
            if not sheet.is_painted:
                for row, column, seen in sheet.unseen:
                    sheet.rows[row][column] = seen
            self._repeat_merged(sheet)
            rows = [dict(make_row(sheet.rows[row].items())) for row in sorted(sheet.rows)]
            yield " ".join(listed.get("name", "").split()) or "Sheet", rows

    def _part(self, kind: str) -> Any:
        part = next((relation.part for relation in self._parts.values() if relation.kind == kind), "")
        return self._package.parse(part) if part in self._package else None

    def _read_strings(self) -> list[tuple[str, str]]:
        part = next((r.part for r in self._parts.values() if r.kind == "sharedStrings"), "")
        return [_rich_text(item) for item in self._package.iterate(part, "si")] if part else []

    # --- a sheet ------------------------------------------------------------------------------------

    def _read_sheet(self, part: str) -> _Sheet:
        sheet, at = _Sheet(), 0
        for element in self._package.iterate(
            part, "col", "row", "mergeCell", "tablePart", "conditionalFormatting"
        ):
            match element.tag.rpartition("}")[2]:
                case "row":
                    at = int(element.get("r", at + 1))
                    if 0 < at <= _LAST_ROW and not is_true(element, "hidden"):
                        self._read_row(element, at, sheet)
                case "col" if is_true(element, "hidden"):
                    first, last = int(element.get("min")), min(int(element.get("max")), _LAST_COLUMN)
                    sheet.hidden_columns[first : last + 1] = b"\1" * (last + 1 - first)
                case "mergeCell":
                    sheet.merged.append(element.get("ref", ""))
                case "tablePart" | "conditionalFormatting":
                    sheet.is_painted = True
        return sheet

    def _read_row(self, element: Any, at: int, sheet: _Sheet) -> None:
        cells, column = dict[int, str](), 0
        for cell in element.iterfind("{*}c"):
            place = _PLACE.match(cell.get("r", ""))
            column = self._column(place[1]) if place else column + 1
            if not 0 < column <= _LAST_COLUMN or sheet.hidden_columns[column]:
                continue
            number = int(cell.get("s", 0))
            style = self._styles[number] if number < len(self._styles) else PLAIN
            text, seen = self._value(cell, style.form)
            if not text.strip():
                continue
            cells[column] = text
            self._count(text)
            if style.is_bare and (style.is_white or seen != text):
                sheet.unseen.append((at, column, "" if style.is_white else seen))
        if cells:
            sheet.rows[at] = cells

    def _column(self, letters: str) -> int:
        if letters not in self._columns:
            number = 0
            for letter in letters:
                number = number * 26 + ord(letter) - 64
            self._columns[letters] = number
        return self._columns[letters]

    def _value(self, cell: Any, form: CellFormat) -> tuple[str, str]:
        """The text of a cell, and that text without what is white in it."""
        kind = cell.get("t", "n")
        inline = cell.find("{*}is") if kind == "inlineStr" else None
        value = (cell.findtext("{*}v") or "").strip()
        if form.meaning is Meaning.NOTHING or (inline is None and not value):
            return "", ""
        if inline is not None:
            return _rich_text(inline)
        if kind == "s":
            return self._strings[int(value)]
        text = self._render(value, kind, form)
        return text, text

    def _render(self, value: str, kind: str, form: CellFormat) -> str:
        if kind == "b":
            return "TRUE" if value == "1" else "FALSE"
        if kind == "d":
            return value.removesuffix("T00:00:00").replace("T", " ")
        if kind != "n":
            return _unescape(value)
        number = float(value)
        return render_number(number, form, from_1904=self._from_1904) if math.isfinite(number) else ""

    def _count(self, text: str) -> None:
        self._cells += 1
        self._characters += len(text)
        if self._cells > MAX_CELLS:
            raise UnreadableError(f"The workbook holds more than {MAX_CELLS} filled cells.")
        if self._characters > MAX_CHARACTERS:
            raise UnreadableError(f"The workbook holds more than {MAX_CHARACTERS} characters of text.")

    def _repeat_merged(self, sheet: _Sheet) -> None:
        """What is written once beside several rows is said in each of them; what spans columns, once. What lies
        below a merged cell is not seen."""
        numbers = sorted(number for number, row in sheet.rows.items() if any(row.values()))
        for merged in sheet.merged:
            first, _, last = merged.partition(":")
            start, end = _PLACE.match(first), _PLACE.match(last)
            if not start or not end:
                continue
            top, left, right = int(start[2]), self._column(start[1]), self._column(end[1])
            text = sheet.rows.get(top, {}).get(left, "")
            for number in numbers[bisect_left(numbers, top) : bisect_right(numbers, int(end[2]))]:
                self._count(text)
                row = sheet.rows[number]
                for covered in [column for column in row if left <= column <= right]:
                    del row[covered]
                if any(row.values()) or number == top:
                    row[left] = text


def _rich_text(item: Any) -> tuple[str, str]:
    """Its text without the readings that stand beside some scripts, and that text without white runs."""
    text = seen = item.findtext("{*}t") or ""
    for run in item.iterfind("{*}r"):
        words = run.findtext("{*}t") or ""
        text += words
        seen += "" if is_white_color(run.find("{*}rPr/{*}color")) else words
    text = _unescape(text)
    return text, text if len(seen) == len(text) else _unescape(seen)


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text
