"""Cuts a block that is longer than a chunk: running text at sentences with some overlap, lists between items,
tables between rows with the header repeated, code between lines with the fence repeated. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.knowledge.blocks import Block, BlockKind
from core.knowledge.chunking.definitions import find_definitions
from core.knowledge.chunking.policy import CountTokens

if TYPE_CHECKING:
    from langchain_text_splitters import RecursiveCharacterTextSplitter

BORDERS: dict[BlockKind, list[str]] = {
    BlockKind.PARAGRAPH: [r"(?<=[.!?…。！？])\s+", "\n", " ", ""],
    BlockKind.LIST: [r"\n(?=[-*+\d])", r"\n\s*(?=[-*+\d]+[.)]?\s)", "\n", r"(?<=[.!?])\s+", " ", ""],
    BlockKind.TABLE: ["\n", r"\|", " ", ""],
    BlockKind.CODE: [r"\n\n+", "\n", " ", ""],
}
_DELIMITER_ROW = re.compile(r"[ \t]*\|?(?:[ \t]*:?-+:?[ \t]*\|)*[ \t]*:?-+:?[ \t]*\|?[ \t]*$")
FENCE_MARK = re.compile(r"[ \t]*(`{3,}|~{3,})")


@dataclass(frozen=True, slots=True)
class Part:
    """text[start:end] of a document. `before` and `after` are said around it again, so that it can be read
    alone: a table's header, a code block's fence. `path` names the definitions that it stands in."""

    start: int
    end: int
    before: str = ""
    after: str = ""
    path: tuple[str, ...] = ()


class Cutter:
    """Cuts blocks of one text."""

    def __init__(
        self, text: str, count_tokens: CountTokens, *, overlap_tokens: int, by_definitions: bool = False
    ) -> None:
        self._text = text
        self.count = count_tokens
        self._overlap_tokens = overlap_tokens
        self._by_definitions = by_definitions

    def length(self, start: int, end: int) -> int:
        """The tokens of text[start:end]."""
        return self.count(self._text[start:end])

    def cut(self, block: Block, budget: int) -> Iterator[Part]:
        """Parts of at most `budget` tokens each, `before` and `after` included; they cover the block."""
        if block.kind is BlockKind.TABLE:
            return self._cut_table(block, budget)
        if block.kind is BlockKind.CODE:
            return self._cut_code(block, budget)
        return self.cut_text(block.start, block.end, BORDERS[block.kind], budget)

    def cut_text(self, start: int, end: int, borders: list[str], budget: int) -> Iterator[Part]:
        """text[start:end] at the best borders (regular expressions, the best first), with overlap."""
        overlap = min(self._overlap_tokens, budget // 4)
        begin = start
        for piece in self._pieces(start, end, borders, budget - overlap):
            after = begin + len(piece)
            if piece.strip():
                first = begin if begin == start else self._reach_back(start, begin, overlap)
                yield self._trim(Part(first, after))
            begin = after

    # --- tables -------------------------------------------------------------------------------------

    def _cut_table(self, block: Block, budget: int) -> Iterator[Part]:
        rows = self._lines(block.start, block.end)
        header = self._header(rows)
        if self.count(header) > budget // 2:
            header = ""
        room = budget - self.count(header)
        first = last = block.start
        filled = 0
        for start, end in rows:
            length = self.count(self._text[start:end])
            before = header if first > block.start else ""
            if last > first and filled + length > (room if before else budget):
                yield Part(first, last, before)
                first, filled, before = start, 0, header
            if length > (room if before else budget):
                yield from self._cut_long_row(first, end, budget)
                first = last = end + 1
                filled = 0
            else:
                last, filled = end, filled + length
        if last > first:
            yield Part(first, last, header if first > block.start else "")

    def _cut_long_row(self, start: int, end: int, budget: int) -> Iterator[Part]:
        for piece in self._pieces(start, end, BORDERS[BlockKind.TABLE], budget):
            if piece.strip():
                yield self._trim(Part(start, start + len(piece)))
            start += len(piece)

    def _header(self, rows: Sequence[tuple[int, int]]) -> str:
        """The header row with the line below it; empty for a table without one."""
        if len(rows) < 2 or not _DELIMITER_ROW.match(self._text[slice(*rows[1])]):
            return ""
        return self._text[rows[0][0] : rows[1][1]] + "\n"

    def _lines(self, start: int, end: int) -> list[tuple[int, int]]:
        lines = []
        for line in self._text[start:end].split("\n"):
            lines.append((start, start + len(line)))
            start += len(line) + 1
        return lines

    # --- code ---------------------------------------------------------------------------------------

    def _cut_code(self, block: Block, budget: int) -> Iterator[Part]:
        lines = self._lines(block.start, block.end)
        opening = self._text[slice(*lines[0])]
        mark = FENCE_MARK.match(opening)
        fence = mark[0] if mark else ""
        before, after = f"{opening}\n", f"\n{fence}"
        inner = lines[1][0] if len(lines) > 1 else block.end
        is_closed = len(lines) > 1 and self._text[slice(*lines[-1])].strip() == fence.strip()
        outer = lines[-1][0] - 1 if is_closed else block.end
        fences = self.count(before + after)
        if not fence or fences > budget // 2 or inner >= outer:
            yield from self._code_pieces(block.start, block.end, budget)
            return
        parts = list(self._code_parts(inner, outer, budget - fences))
        for n, part in enumerate(parts):
            is_first, is_last = n == 0, n == len(parts) - 1
            yield Part(
                block.start if is_first else part.start,
                block.end if is_last else part.end,
                "" if is_first else before,
                "" if is_last and is_closed else after,
                part.path,
            )

    def _code_parts(self, start: int, end: int, budget: int) -> Iterator[Part]:
        if self._by_definitions:
            for found in find_definitions(self._text[start:end], budget, self.count):
                if self.count(self._text[start + found.start : start + found.end]) <= budget:
                    yield self._trim(Part(start + found.start, start + found.end, path=found.path))
                else:
                    yield from self._code_pieces(
                        start + found.start, start + found.end, budget, path=found.path
                    )
            return
        yield from self._code_pieces(start, end, budget)

    def _code_pieces(self, start: int, end: int, budget: int, path: tuple[str, ...] = ()) -> Iterator[Part]:
        for piece in self._pieces(start, end, BORDERS[BlockKind.CODE], budget):
            if piece.strip():
                yield self._trim(Part(start, start + len(piece), path=path))
            start += len(piece)

    def cut_again(self, part: Part, budget: int) -> Iterator[Part]:
        """A part of a cut table or code block in smaller parts, between lines."""
        mark = FENCE_MARK.match(part.before or self._text[part.start : part.end])
        before, after = part.before, part.after
        if mark:
            before = before or self._text[part.start : part.end].split("\n", 1)[0] + "\n"
            after = f"\n{mark[0]}"
        if self.count(before + after) > budget // 2:
            before = after = ""
        parts = list(self._code_pieces(part.start, part.end, budget - self.count(before + after)))
        for n, piece in enumerate(parts):
            yield Part(
                piece.start,
                piece.end,
                part.before if n == 0 else before,
                part.after if n == len(parts) - 1 else after,
            )

    # --- text ---------------------------------------------------------------------------------------

    def _pieces(self, start: int, end: int, borders: list[str], budget: int) -> list[str]:
        """Pieces that make up text[start:end]."""
        return self._splitter(borders, budget).split_text(self._text[start:end])

    def _splitter(self, borders: list[str], budget: int) -> RecursiveCharacterTextSplitter:
        # Half a second of imports, and only texts with long blocks need it.
        from langchain_text_splitters import RecursiveCharacterTextSplitter

        return RecursiveCharacterTextSplitter(
            separators=borders,
            is_separator_regex=True,
            keep_separator="end",
            strip_whitespace=False,
            chunk_size=max(budget, 1),
            chunk_overlap=0,
            length_function=self.count,
        )

    def _reach_back(self, floor: int, start: int, overlap_tokens: int) -> int:
        """The start of the word, at most `overlap_tokens` before `start`, where the overlap begins."""
        words = list(re.finditer(r"\S+", self._text[max(floor, start - overlap_tokens * 8) : start]))
        base = max(floor, start - overlap_tokens * 8)
        # The first word may be cut in half by the window.
        whole = words if base == floor else words[1:]
        for word in whole:
            if self.count(self._text[base + word.start() : start]) <= overlap_tokens:
                return base + word.start()
        return start

    def _trim(self, part: Part) -> Part:
        piece = self._text[part.start : part.end]
        return Part(
            part.start + len(piece) - len(piece.lstrip("\n")),
            part.end - (len(piece) - len(piece.rstrip())),
            part.before,
            part.after,
            part.path,
        )
