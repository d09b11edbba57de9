"""Figures about passages that should hold one place of a document. Pure.

What is compared are ways of slicing, whose passages differ in size and border, so that relevance cannot be a
property of a passage. It is measured in characters of the place instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from core.messages import Frozen


class Span(Frozen):
    """Characters `start` to `end` of a document, read at the cost of `tokens`."""

    uri: str
    start: int
    end: int
    tokens: int = 0


class PlaceFigures(Frozen):
    """Each from 0 to 1.

    `recall`: the share of the place that the first k passages hold. `precision`: the share of those passages that
    lies in the place. `mrr`: 1 / rank of the first passage that is mostly in the place, or holds most of it.
    `ndcg10`: each of the first 10 passages gains the share of the place that no passage before it held,
    discounted by log2(rank + 1); 1 is the whole place in the first passage. `recall_by_tokens`: `recall`, of as
    many passages as fit into a number of tokens, the last one cut where they end.
    """

    recall: float
    precision: float
    mrr: float
    ndcg10: float
    recall_by_tokens: float


MOSTLY = 0.5
NDCG_DEPTH = 10


def measure_places(passages: Sequence[Span], place: Span, *, k: int, tokens: int) -> PlaceFigures:
    """The figures of one question; `passages` best first."""
    covered = _Covered(place)
    gains: list[float] = []
    inside: list[int] = []
    for passage in passages:
        before = covered.share
        inside.append(covered.add(passage))
        gains.append(covered.share - before)
    first = next(
        (
            rank
            for rank, (passage, common) in enumerate(zip(passages, inside, strict=True), start=1)
            if common >= MOSTLY * min(_length(passage), _length(place)) and common
        ),
        None,
    )
    read = sum(_length(passage) for passage in passages[:k])
    return PlaceFigures(
        recall=sum(gains[:k]),
        precision=sum(inside[:k]) / read if read else 0.0,
        mrr=1.0 / first if first else 0.0,
        ndcg10=sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains[:NDCG_DEPTH], start=1)),
        recall_by_tokens=_recall_by_tokens(passages, place, tokens),
    )


def _length(span: Span) -> int:
    return max(span.end - span.start, 1)


class _Covered:
    """How much of a place has been held so far."""

    def __init__(self, place: Span) -> None:
        self._place = place
        self._held: list[tuple[int, int]] = []

    @property
    def share(self) -> float:
        total, reached = 0, self._place.start
        for start, end in sorted(self._held):
            total += max(0, end - max(start, reached))
            reached = max(reached, end)
        return total / _length(self._place)

    def add(self, passage: Span) -> int:
        """The characters that passage and place have in common."""
        start, end = max(passage.start, self._place.start), min(passage.end, self._place.end)
        if passage.uri != self._place.uri or start >= end:
            return 0
        self._held.append((start, end))
        return end - start


def _recall_by_tokens(passages: Sequence[Span], place: Span, tokens: int) -> float:
    covered = _Covered(place)
    for passage in passages:
        if tokens <= 0:
            break
        share = min(1.0, tokens / max(passage.tokens, 1))
        cut = passage.start + round(_length(passage) * share)
        covered.add(passage.model_copy(update={"end": cut}))
        tokens -= passage.tokens
    return covered.share
