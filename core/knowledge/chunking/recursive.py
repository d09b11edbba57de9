"""Slices a text at its blank lines, then lines, then sentences, without regard to what they mean. Pure."""

from __future__ import annotations

from core.knowledge.chunking.cutting import Cutter
from core.knowledge.chunking.policy import ChunkingPolicy, CountTokens
from core.knowledge.chunking.structure import Slice

_BORDERS = [r"\n\s*\n", "\n", r"(?<=[.!?…。！？])\s+", " ", ""]


def slice_recursive(text: str, title: str, policy: ChunkingPolicy, count_tokens: CountTokens) -> list[Slice]:
    """Pieces as large as the budget allows, each with the end of the one before."""
    cutter = Cutter(text, count_tokens, overlap_tokens=policy.overlap_tokens)
    budget = max(policy.budget_tokens - count_tokens(title), policy.budget_tokens // 2)
    parts = cutter.cut_text(0, len(text), _BORDERS, budget)
    return [Slice(part.start, part.end) for part in parts if part.start < part.end]
