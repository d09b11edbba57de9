"""Finds the structure of Markdown text: headings, paragraphs, lists, tables and fenced code, each with its
character offsets. Pure; it does not render and does not need valid Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
_FENCE = re.compile(r"[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?(`{3,}|~{3,})([^`]*)$")
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+\S")
_ROW = re.compile(r"[ \t]*\|.*\|[ \t]*$")


class BlockKind(Enum):
    HEADING = "heading"
    PARAGRAPH = "paragraph"
    LIST = "list"
    TABLE = "table"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Block:
    """A run of whole lines, text[start:end] without the line break at its end.

    A heading has its `level` (1 to 6) and its `title` without marks; other kinds have 0 and "".
    """

    kind: BlockKind
    start: int
    end: int
    level: int = 0
    title: str = ""


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def blank(self) -> bool:
        return not self.text.strip()

    @property
    def indented(self) -> bool:
        return self.text[:1] in (" ", "\t")


def parse_blocks(text: str) -> Iterator[Block]:
    """The blocks in order; only blank lines lie between them."""
    lines = _lines(text)
    at = 0
    while at < len(lines):
        if lines[at].blank:
            at += 1
            continue
        kind, after, level, title = _block_at(lines, at)
        yield Block(kind, lines[at].start, lines[after - 1].end, level, title)
        at = after


def _lines(text: str) -> list[_Line]:
    lines, start = [], 0
    for line in text.split("\n"):
        lines.append(_Line(line, start))
        start += len(line) + 1
    return lines


def _block_at(lines: list[_Line], at: int) -> tuple[BlockKind, int, int, str]:
    """Kind, index after the last line, and level and title of a heading."""
    line = lines[at].text
    if heading := _HEADING.match(line):
        return BlockKind.HEADING, at + 1, len(heading[1]), (heading[2] or "").strip()
    if _FENCE.match(line) and not _ITEM.match(line):
        return BlockKind.CODE, _after_fence(lines, at), 0, ""
    if _ROW.match(line):
        return BlockKind.TABLE, _after(lines, at, _ROW), 0, ""
    if _ITEM.match(line):
        return BlockKind.LIST, _after_list(lines, at), 0, ""
    return _paragraph(lines, at)


def _paragraph(lines: list[_Line], at: int) -> tuple[BlockKind, int, int, str]:
    after = at + 1
    while after < len(lines) and not lines[after].blank:
        text = lines[after].text
        if after == at + 1 and (underline := _UNDERLINE.match(text)) and not lines[at].indented:
            level = 1 if underline[1][0] == "=" else 2
            return BlockKind.HEADING, after + 1, level, lines[at].text.strip()
        if _HEADING.match(text) or _FENCE.match(text) or _ROW.match(text):
            break
        after += 1
    return BlockKind.PARAGRAPH, after, 0, ""


def _after(lines: list[_Line], at: int, pattern: re.Pattern[str]) -> int:
    while at < len(lines) and pattern.match(lines[at].text):
        at += 1
    return at


def _after_fence(lines: list[_Line], at: int) -> int:
    opening = _FENCE.match(lines[at].text)
    assert opening is not None  # noqa: S101 - the callers have just matched it
    closing = re.compile(rf"[ \t]*{re.escape(opening[1][0])}{{{len(opening[1])},}}[ \t]*$")
    after = at + 1
    while after < len(lines):
        if closing.match(lines[after].text):
            return after + 1
        after += 1
    return after


def _after_list(lines: list[_Line], at: int) -> int:
    """A list goes on over blank lines as long as the next text is an item or indented."""
    after = at
    while after < len(lines):
        line = lines[after]
        if line.blank:
            following = next((n for n in range(after, len(lines)) if not lines[n].blank), None)
            if following is None or not (lines[following].indented or _ITEM.match(lines[following].text)):
                return after
            after = following
        elif _FENCE.match(line.text) and (line.indented or _ITEM.match(line.text)):
            after = _after_fence(lines, after)
        elif after > at and (_HEADING.match(line.text) or _FENCE.match(line.text)):
            return after
        else:
            after += 1
    return after
