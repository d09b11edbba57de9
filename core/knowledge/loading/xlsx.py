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

from core.knowledge.loading.cell_formats import (
    CellFormat,
    Meaning,
    parse_built_in,
    parse_cell_format,
    render_number,
)
from core.knowledge.loading.ooxml import Package, find_relation_id, is_true, open_package
from core.knowledge.loading.tables import make_row, render_rows
from core.knowledge.loading.text import MAX_CHARACTERS, Extract, UnreadableError

MAX_CELLS = 500_000
"""Filled cells of all visible sheets together."""
_LAST_COLUMN = 16_384
_LAST_ROW = 1_048_576
_PLACE = re.compile(r"\$?([A-Z]{1,3})\$?(\d{1,7})$")
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
_WHITES = {"FFFFFFFF", "00FFFFFF", "FFFFFF"}
_SCHEME_WHITE, _INDEXED_WHITES = "0", {"1", "9"}


def extract_xlsx(data: bytes) -> Extract:
    """Sheets in their order. Raises UnreadableError for what is no XLSX, is encrypted, or holds too much."""
    with open_package(data, "XLSX workbook") as package:
        reader = _Reader(package)
        sections = [f"## {name}\n\n{text}" for name, rows in reader.sheets() if (text := render_rows(rows))]
        return Extract(
            "\n\n".join(sections), package.title, "The workbook holds no visible values.", package.author
        )


@dataclass(frozen=True, slots=True)
class _Style:
    form: CellFormat
    is_white: bool
    """White text, as far as the cell itself says on what ground."""


_PLAIN = _Style(CellFormat(), is_white=False)


@dataclass(slots=True)
class _Sheet:
    """What is visible of a sheet, by row and column, both from 1 on. `whites` are the cells of white text;
    `is_painted`, if tables or rules give cells another ground."""

    rows: dict[int, dict[int, str]] = field(default_factory=dict)
    hidden_columns: bytearray = field(default_factory=lambda: bytearray(_LAST_COLUMN + 1))
    merged: list[str] = field(default_factory=list)
    whites: list[tuple[int, int]] = field(default_factory=list)
    is_painted: bool = False


class _Reader:
    def __init__(self, package: Package) -> None:
        self._package = package
        self._book = package.parse(package.main)
        self._parts = package.relations(package.main)
        properties = self._book.find("{*}workbookPr")
        self._from_1904 = properties is not None and is_true(properties, "date1904")
        self._styles = _read_styles(self._part("styles"))
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
                for row, column in sheet.whites:
                    del sheet.rows[row][column]
            self._repeat_merged(sheet)
            rows = [dict(make_row(sheet.rows[row].items())) for row in sorted(sheet.rows)]
            yield " ".join(listed.get("name", "").split()) or "Sheet", rows

    def _part(self, kind: str) -> Any:
        part = next((relation.part for relation in self._parts.values() if relation.kind == kind), "")
        return self._package.parse(part) if part in self._package else None

    def _read_strings(self) -> list[str]:
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
            style = self._styles[number] if number < len(self._styles) else _PLAIN
            if text := self._value(cell, style.form).strip():
                cells[column] = text
                self._count(text)
                if style.is_white:
                    sheet.whites.append((at, column))
        if cells:
            sheet.rows[at] = cells

    def _column(self, letters: str) -> int:
        if letters not in self._columns:
            number = 0
            for letter in letters:
                number = number * 26 + ord(letter) - 64
            self._columns[letters] = number
        return self._columns[letters]

    def _value(self, cell: Any, form: CellFormat) -> str:
        kind = cell.get("t", "n")
        if kind == "inlineStr":
            inline = cell.find("{*}is")
            return "" if inline is None else _rich_text(inline)
        value = (cell.findtext("{*}v") or "").strip()
        if not value or form.meaning is Meaning.NOTHING:
            return ""
        if kind == "s":
            return self._strings[int(value)]
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
        numbers = sorted(number for number, row in sheet.rows.items() if row)
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
                if row or number == top:
                    row[left] = text


def _rich_text(item: Any) -> str:
    """Without the readings that stand beside some scripts."""
    runs = [run.findtext("{*}t") or "" for run in item.iterfind("{*}r")]
    return _unescape((item.findtext("{*}t") or "") + "".join(runs))


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


# --- styles -----------------------------------------------------------------------------------------


def _read_styles(root: Any) -> list[_Style]:
    """By the numbers that cells name."""
    if root is None:
        return []
    codes = {
        int(node.get("numFmtId")): parse_cell_format(node.get("formatCode", ""))
        for node in root.iterfind("{*}numFmts/{*}numFmt")
    }
    white_fonts = [_is_white(font.find("{*}color")) for font in root.iterfind("{*}fonts/{*}font")]
    bare_fills = [_is_bare(fill) for fill in root.iterfind("{*}fills/{*}fill")]
    styles = []
    for node in root.iterfind("{*}cellXfs/{*}xf"):
        number, font, fill = (int(node.get(name, 0)) for name in ("numFmtId", "fontId", "fillId"))
        is_white = font < len(white_fonts) and white_fonts[font]
        is_bare = fill >= len(bare_fills) or bare_fills[fill]
        styles.append(_Style(codes.get(number) or parse_built_in(number), is_white and is_bare))
    return styles


def _is_white(color: Any) -> bool:
    if color is None:
        return False
    return (
        color.get("rgb", "").upper() in _WHITES
        or color.get("indexed") in _INDEXED_WHITES
        or (color.get("theme") == _SCHEME_WHITE and float(color.get("tint", 0)) == 0)
    )


def _is_bare(fill: Any) -> bool:
    """Whether the ground stays white."""
    pattern = fill.find("{*}patternFill")
    if pattern is None:
        return fill.find("{*}gradientFill") is None
    kind = pattern.get("patternType", "none")
    return kind == "none" or (kind == "solid" and _is_white(pattern.find("{*}fgColor")))
