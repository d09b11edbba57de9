"""Small-to-big: small pieces that are searched, each of a larger part of the document that is read. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from core.knowledge.blocks import Block, parse_blocks
from core.knowledge.chunking.cutting import Cutter, Part
from core.knowledge.chunking.policy import ChunkingPolicy, CountTokens
from core.knowledge.chunking.structure import Slice, pack_blocks, slice_structure


def slice_small_to_big(
    text: str, title: str, policy: ChunkingPolicy, count_tokens: CountTokens
) -> list[tuple[int, Slice]]:
    """Each small slice with the number of its parent, counted from 0. The slices of one parent follow each other
    without a gap or an overlap, so that together they are its text."""
    large = policy.model_copy(update={"budget_tokens": policy.parent_tokens})
    cutter = Cutter(text, count_tokens, overlap_tokens=0)
    return [
        (number, child)
        for number, parent in enumerate(slice_structure(text, title, large, count_tokens))
        for child in _children(text, parent, policy, cutter)
    ]


def _children(text: str, parent: Slice, policy: ChunkingPolicy, cutter: Cutter) -> Iterator[Slice]:
    if parent.before or parent.after:
        whole = Part(parent.start, parent.end, parent.before, parent.after)
        parts = list(cutter.cut_again(whole, policy.child_tokens))
    else:
        blocks = [
            Block(block.kind, parent.start + block.start, parent.start + block.end)
            for block in parse_blocks(text[parent.start : parent.end])
        ]
        parts = list(pack_blocks(blocks, policy.child_tokens, cutter))
    for n, part in enumerate(parts):
        start = parent.start if n == 0 else part.start
        end = parent.end if n == len(parts) - 1 else parts[n + 1].start
        # What separates two pieces belongs to the first, so a closing fence needs no line break of its own.
        after = part.after.removeprefix("\n") if text[start:end].endswith("\n") else part.after
        yield Slice(start, end, parent.path, before=part.before, after=after)
