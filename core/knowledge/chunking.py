"""Slices the Markdown text of a document into chunks that follow its structure. Pure: no model, no store.

A chunk is a verbatim slice of the document, `document.text[chunk.start:chunk.end]`. What is embedded and
put into full text is `embedding_text`: the title and the headings above the slice, then the slice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.knowledge.blocks import Block, BlockKind, parse_blocks
from core.knowledge.documents import ChunkDraft
from core.messages import Frozen

if TYPE_CHECKING:
    from langchain_text_splitters import RecursiveCharacterTextSplitter

# A piece of about one token of a WordPiece vocabulary: ideographs alone, words in runs of at most eight
# letters, digits in pairs, every mark alone.
_PIECE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af]|[^\W\d_\u2e80-\u9fff\uac00-\ud7af]{1,8}|\d{1,2}|[^\w\s]|_")

_BORDERS: dict[BlockKind, list[str]] = {
    BlockKind.PARAGRAPH: [r"(?<=[.!?…。！？])\s+", "\n", " ", ""],
    BlockKind.LIST: [r"\n(?=[-*+\d])", r"\n\s*(?=[-*+\d]+[.)]?\s)", "\n", r"(?<=[.!?])\s+", " ", ""],
    BlockKind.TABLE: ["\n", r"\|", " ", ""],
    BlockKind.CODE: [r"\n\n+", "\n", " ", ""],
}


def estimate_tokens(text: str) -> int:
    """About how many tokens the local embedder's vocabulary needs for the text; rather too many than too few."""
    return len(_PIECE.findall(text))


class ChunkingPolicy(Frozen):
    """How large chunks are. All figures are tokens as `estimate_tokens` counts them.

    `budget_tokens` holds title, heading path and text together. `overlap_tokens` is how much of a block that
    had to be split stands in both neighbours. A section below `small_tokens` shares a chunk with the next.
    """

    budget_tokens: int = 200
    overlap_tokens: int = 24
    small_tokens: int = 48


@dataclass(frozen=True, slots=True)
class _Slice:
    """text[start:end] under `path`. `opens` is where it starts when the heading line above it is included,
    None where it is not the first of its section; `leads`, when the headings right above that one are
    included too. The first `parents` of the path are not said in text[opens:end]."""

    start: int
    end: int
    path: tuple[str, ...]
    opens: int | None = None
    leads: int = 0
    parents: int = 0


@dataclass(frozen=True, slots=True)
class _Section:
    """What stands below one heading. `leads` is where the headings begin that stand right above it and lead
    to nothing else; its own, if there are none."""

    path: tuple[str, ...]
    heading: Block | None
    blocks: tuple[Block, ...]
    leads: int


def embedding_text(title: str, chunk: ChunkDraft) -> str:
    """What is embedded and found by full text: title, heading path, text. A heading equal to the title is
    said once."""
    headings = [heading for heading in chunk.heading_path if heading != title]
    context = " › ".join(part for part in (title, *headings) if part)
    return f"{context}\n\n{chunk.text}" if context else chunk.text


def chunk_text(
    text: str,
    *,
    title: str = "",
    policy: ChunkingPolicy | None = None,
    count_tokens: Callable[[str], int] = estimate_tokens,
) -> list[ChunkDraft]:
    """The chunks of a document's Markdown text, in order; none for a blank text."""
    policy = policy or ChunkingPolicy()
    slicer = _Slicer(text, title, policy, count_tokens)
    slices = slicer.merge_small(s for section in _sections(text) for s in slicer.slice_section(section))
    return [
        ChunkDraft(position=n, text=text[s.start : s.end], heading_path=s.path, start=s.start, end=s.end)
        for n, s in enumerate(slices)
    ]


def _sections(text: str) -> Iterator[_Section]:
    """Each heading with the blocks below it, and what stands before the first heading."""
    path: list[tuple[int, str]] = []
    heading: Block | None = None
    blocks: list[Block] = []
    leads: int | None = None
    for block in parse_blocks(text):
        leads = block.start if leads is None else leads
        if block.kind is not BlockKind.HEADING:
            blocks.append(block)
            continue
        # A heading with nothing below it but a deeper heading lives on in that one's path.
        if blocks or (heading and block.level <= heading.level):
            yield _Section(tuple(t for _, t in path), heading, tuple(blocks), leads)
            leads = block.start
        path = [(level, t) for level, t in path if level < block.level]
        path.append((block.level, block.title))
        heading, blocks = block, []
    if leads is not None:
        yield _Section(tuple(t for _, t in path), heading, tuple(blocks), leads)


def _shared(left: Sequence[str], right: Sequence[str]) -> tuple[str, ...]:
    return tuple(a for n, a in enumerate(left) if tuple(right[: n + 1]) == tuple(left[: n + 1]))


class _Slicer:
    def __init__(
        self, text: str, title: str, policy: ChunkingPolicy, count_tokens: Callable[[str], int]
    ) -> None:
        self._text = text
        self._title = title
        self._policy = policy
        self._count = count_tokens

    def slice_section(self, section: _Section) -> Iterator[_Slice]:
        path = tuple(heading for heading in section.path if heading)
        if not section.blocks:
            assert section.heading is not None  # noqa: S101 - a section has blocks or a heading
            start, above = section.heading.start, path[:-1]
            yield _Slice(start, section.heading.end, above, start, section.leads, len(above))
            return
        opens: int | None = section.heading.start if section.heading else section.leads
        for start, end in self._pack(section.blocks, self._budget(path)):
            yield _Slice(start, end, path, opens, section.leads, max(0, len(path) - 1))
            opens = None

    def merge_small(self, slices: Iterable[_Slice]) -> list[_Slice]:
        """Join a small section with the next one where both fit: their headings then stand in the text."""
        merged: list[_Slice] = []
        for following in slices:
            if merged and (joined := self._join(merged[-1], following)):
                merged[-1] = joined
            else:
                merged.append(following)
        return merged

    def _join(self, left: _Slice, right: _Slice) -> _Slice | None:
        if left.opens is None or right.opens is None:
            return None
        small = min(self._length(left.start, left.end), self._length(right.start, right.end))
        if small >= self._policy.small_tokens:
            return None
        path = _shared(left.path, right.path)
        start = left.start
        if path != left.path:
            # Headings that the shared path no longer says must be said by the text.
            start = left.opens if len(path) >= left.parents else left.leads
        if self._length(start, right.end) > self._budget(path):
            return None
        return _Slice(start, right.end, path, min(start, left.opens), left.leads, len(path))

    def _budget(self, path: Sequence[str]) -> int:
        """What is left for the text; at least half, however long the headings are."""
        context = self._count(" ".join((self._title, *path)))
        return max(self._policy.budget_tokens - context, self._policy.budget_tokens // 2)

    def _length(self, start: int, end: int) -> int:
        return self._count(self._text[start:end])

    def _pack(self, blocks: Sequence[Block], budget: int) -> Iterator[tuple[int, int]]:
        """Whole neighbouring blocks up to the budget; a block that is longer alone is split."""
        packed: tuple[int, int] | None = None
        filled = 0
        for block in blocks:
            length = self._length(block.start, block.end)
            if packed and filled + length <= budget:
                packed, filled = (packed[0], block.end), filled + length
                continue
            if packed:
                yield packed
            if length > budget:
                yield from self._split(block, budget)
                packed = None
            else:
                packed, filled = (block.start, block.end), length
        if packed:
            yield packed

    def _split(self, block: Block, budget: int) -> Iterator[tuple[int, int]]:
        overlap = min(self._policy.overlap_tokens, budget // 4)
        start = block.start
        for piece in self._splitter(block.kind, budget - overlap).split_text(
            self._text[block.start : block.end]
        ):
            end = start + len(piece)
            if piece.strip():
                first = start if start == block.start else self._reach_back(block.start, start, overlap)
                yield self._trim(first, end)
            start = end

    def _splitter(self, kind: BlockKind, budget: int) -> RecursiveCharacterTextSplitter:
        # Half a second of imports, and only texts with long blocks need it.
        from langchain_text_splitters import RecursiveCharacterTextSplitter

        return RecursiveCharacterTextSplitter(
            separators=_BORDERS[kind],
            is_separator_regex=True,
            keep_separator="end",
            strip_whitespace=False,
            chunk_size=max(budget, 1),
            chunk_overlap=0,
            length_function=self._count,
        )

    def _reach_back(self, floor: int, start: int, overlap_tokens: int) -> int:
        """The start of the word, at most `overlap_tokens` before `start`, where the overlap begins."""
        words = list(re.finditer(r"\S+", self._text[max(floor, start - overlap_tokens * 8) : start]))
        base = max(floor, start - overlap_tokens * 8)
        # The first word may be cut in half by the window.
        whole = words if base == floor else words[1:]
        for word in whole:
            if self._count(self._text[base + word.start() : start]) <= overlap_tokens:
                return base + word.start()
        return start

    def _trim(self, start: int, end: int) -> tuple[int, int]:
        piece = self._text[start:end]
        return start + len(piece) - len(piece.lstrip("\n")), end - (len(piece) - len(piece.rstrip()))
