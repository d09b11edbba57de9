"""A passage as the pieces that can be quoted from it: sentences, list items, table rows, code blocks.

Pure. Neighbouring pieces of one paragraph, list, table or code block share a block number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from core.knowledge.words import stems_of, words_of

Kind = Literal["sentence", "step", "item", "row", "header", "code", "heading"]

FENCE = re.compile(r"^\s*(```|~~~)")
HEADING = re.compile(r"^\s{0,3}#{1,6}\s+(.*?)\s*#*$")
STEP = re.compile(r"^\s{0,3}\d{1,3}[.)]\s+")
ITEM = re.compile(r"^\s{0,3}[-*+•]\s+")
ROW = re.compile(r"^\s*\|.*\|\s*$")
DELIMITER_ROW = re.compile(r"^\s*\|(?:\s*:?-+:?\s*\|)+\s*$")
SENTENCE_END = re.compile(r"(?<=[.!?…。！？])[\"'”’)\]*_`]*\s+(?=[\"'“‘(\[*_`]*[A-Z0-9À-ÞЀ-Я\u3040-\u9fff])")
ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|approx|resp|incl|no|nos|fig|sec|dr|mr|mrs|ms|prof|st|inc|ltd|co|jr|sr)"
    r"|\b[A-Z])\.$",
    re.IGNORECASE,
)

LEANS_BACK = re.compile(
    r"^(?:it|its|they|their|them|this|that|these|those|he|she|his|her|such|however|but|then|also|instead"
    r"|otherwise|therefore|thus|so|in this case|for example)\b",
    re.IGNORECASE,
)
"""How a sentence begins that the one before completes."""


@dataclass(frozen=True)
class Piece:
    """`text` is Markdown as it stands in the passage; `stems` are its words, stop words left out.

    The first row of a table is its `header` only where a line of dashes below it says so."""

    text: str
    kind: Kind
    block: int
    stems: tuple[str, ...]
    stem_set: frozenset[str]


@lru_cache(maxsize=1024)
def pieces_of(text: str) -> tuple[Piece, ...]:
    """The pieces of a passage in order. Cached: the same passages are found again and again."""
    pieces = []
    for block, (kind, content) in enumerate(_blocks(text)):
        has_header = kind == "row" and len(content) > 1 and DELIMITER_ROW.match(content[1])
        for n, part in enumerate(_parts(kind, content)):
            stems = tuple(stems_of(part))
            if kind == "code" or words_of(part):
                named: Kind = "header" if has_header and n == 0 else kind
                pieces.append(Piece(part.strip("\n"), named, block, stems, frozenset(stems)))
    return tuple(pieces)


def _blocks(text: str) -> Iterator[tuple[Kind, list[str]]]:
    """Runs of lines of one kind. Indented lines and code belong to the list item before them."""
    run = _Run()
    lines = text.splitlines()
    index = 0
    while index < len(lines):
        line = lines[index]
        if FENCE.match(line):
            end = _fence_end(lines, index)
            if not run.took_code(lines[index:end]):
                yield from run.closed()
                yield "code", ["\n".join(lines[index:end])]
            index = end
            continue
        index += 1
        kind = _line_kind(line)
        if kind is None:
            following = next((later for later in lines[index:] if later.strip()), "")
            if not run.goes_on_with(following):
                yield from run.closed()
        elif not run.took(line, kind):
            yield from run.closed()
            run.open(line, kind)
    yield from run.closed()


class _Run:
    """The lines of one kind that have been read so far."""

    def __init__(self) -> None:
        self.kind: Kind | None = None
        self.lines: list[str] = []

    def open(self, line: str, kind: Kind) -> None:
        self.kind, self.lines = kind, [line]

    def closed(self) -> Iterator[tuple[Kind, list[str]]]:
        if self.kind is not None:
            yield self.kind, self.lines
        self.kind = None

    def took(self, line: str, kind: Kind) -> bool:
        """Whether the line goes on with this run; a plain line after a list item is part of the item."""
        if self.kind in ("step", "item") and (
            kind == "sentence" or (kind != self.kind and line[:1].isspace())
        ):
            self.lines[-1] += "\n" + line
        elif kind == self.kind and kind != "heading":
            self.lines.append(line)
        else:
            return False
        return True

    def took_code(self, fenced: list[str]) -> bool:
        if self.kind not in ("step", "item") or not fenced[0][:1].isspace():
            return False
        self.lines[-1] += "\n" + "\n".join(fenced)
        return True

    def goes_on_with(self, following: str) -> bool:
        """Whether a blank line inside a list is followed by more of it."""
        kind = _line_kind(following)
        return self.kind in ("step", "item") and (kind == self.kind or following[:1].isspace())


def _fence_end(source: list[str], start: int) -> int:
    fence = source[start].strip()[:3]
    for index in range(start + 1, len(source)):
        if source[index].strip().startswith(fence):
            return index + 1
    return len(source)


def _line_kind(line: str) -> Kind | None:
    if not line.strip():
        return None
    if HEADING.match(line):
        return "heading"
    if STEP.match(line):
        return "step"
    if ITEM.match(line):
        return "item"
    return "row" if ROW.match(line) else "sentence"


def _parts(kind: Kind, lines: list[str]) -> list[str]:
    if kind != "sentence":
        return lines
    return list(split_sentences(" ".join(line.strip() for line in lines)))


def split_sentences(text: str) -> Iterator[str]:
    """Sentences of running text; an abbreviation or an initial does not end one."""
    start = 0
    for match in SENTENCE_END.finditer(text):
        before = text[start : match.start()]
        if not ABBREVIATION.search(before[-12:]):
            yield text[start : match.end()].strip()
            start = match.end()
    if rest := text[start:].strip():
        yield rest
