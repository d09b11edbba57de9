"""Slices a document along its structure: sections below their headings, whole blocks as far as they fit. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from core.knowledge.blocks import Block, BlockKind, parse_blocks
from core.knowledge.chunking.cutting import Cutter, Part
from core.knowledge.chunking.policy import ChunkingPolicy, CountTokens


@dataclass(frozen=True, slots=True)
class Slice:
    """text[start:end] under `path`, with what is said around it again (core.knowledge.chunking.cutting.Part).

    `opens` is where it starts when the heading line above it is included, None where it is not the first of its
    section; `leads`, when the headings right above that one are included too. The first `parents` of the path
    are not said in text[opens:end]."""

    start: int
    end: int
    path: tuple[str, ...] = ()
    opens: int | None = None
    leads: int = 0
    parents: int = 0
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class _Section:
    """What stands below one heading. `leads` is where the headings begin that stand right above it and lead
    to nothing else; its own, if there are none."""

    path: tuple[str, ...]
    heading: Block | None
    blocks: tuple[Block, ...]
    leads: int


def slice_structure(text: str, title: str, policy: ChunkingPolicy, count_tokens: CountTokens) -> list[Slice]:
    """Sections in order; small neighbours together, long blocks in parts."""
    slicer = _Slicer(text, title, policy, Cutter(text, count_tokens, overlap_tokens=policy.overlap_tokens))
    return slicer.slices()


def slice_code(text: str, title: str, policy: ChunkingPolicy, count_tokens: CountTokens) -> list[Slice]:
    """As by structure, but long code is cut between its definitions, and says which one it is from."""
    cutter = Cutter(text, count_tokens, overlap_tokens=policy.overlap_tokens, by_definitions=True)
    return _Slicer(text, title, policy, cutter).slices()


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
    def __init__(self, text: str, title: str, policy: ChunkingPolicy, cutter: Cutter) -> None:
        self._text = text
        self._title = title
        self._policy = policy
        self._cutter = cutter

    def slices(self) -> list[Slice]:
        return self.merge_small(s for section in _sections(self._text) for s in self.slice_section(section))

    def slice_section(self, section: _Section) -> Iterator[Slice]:
        path = tuple(heading for heading in section.path if heading)
        if not section.blocks:
            assert section.heading is not None  # noqa: S101 - a section has blocks or a heading
            start, above = section.heading.start, path[:-1]
            yield Slice(start, section.heading.end, above, start, section.leads, len(above))
            return
        opens: int | None = section.heading.start if section.heading else section.leads
        for part in pack_blocks(section.blocks, self._budget(path), self._cutter):
            inner = (*path, *part.path)
            yield Slice(
                part.start,
                part.end,
                inner,
                opens,
                section.leads,
                max(0, len(path) - 1),
                part.before,
                part.after,
            )
            opens = None

    def merge_small(self, slices: Iterable[Slice]) -> list[Slice]:
        """Join a small section with the next one where both fit: their headings then stand in the text."""
        merged: list[Slice] = []
        for following in slices:
            if merged and (joined := self._join(merged[-1], following)):
                merged[-1] = joined
            else:
                merged.append(following)
        return merged

    def _join(self, left: Slice, right: Slice) -> Slice | None:
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
        if self._length(start, right.end) + self._cutter.count(right.after) > self._budget(path):
            return None
        return replace(
            left,
            start=start,
            end=right.end,
            path=path,
            opens=min(start, left.opens),
            parents=len(path),
            after=right.after,
        )

    def _budget(self, path: Sequence[str]) -> int:
        """What is left for the text; at least half, however long the headings are."""
        context = self._cutter.count(" ".join((self._title, *path)))
        return max(self._policy.budget_tokens - context, self._policy.budget_tokens // 2)

    def _length(self, start: int, end: int) -> int:
        return self._cutter.count(self._text[start:end])


def pack_blocks(blocks: Sequence[Block], budget: int, cutter: Cutter) -> Iterator[Part]:
    """Whole neighbouring blocks up to the budget; a block that is longer alone is cut."""
    packed: Part | None = None
    filled = 0
    for block in blocks:
        length = cutter.length(block.start, block.end)
        if packed and filled + length <= budget:
            packed, filled = Part(packed.start, block.end), filled + length
            continue
        if packed:
            yield packed
        if length > budget:
            yield from cutter.cut(block, budget)
            packed = None
        else:
            packed, filled = Part(block.start, block.end), length
    if packed:
        yield packed
