"""A second look at what a search found, by a model that reads question and passage together. Optional: without a
reranker nothing here costs anything."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog

from core.answers import Passage
from core.errors import ModelError

log = structlog.get_logger(__name__)

PASSAGES_READ = 40
"""How many of the best passages the reranker reads."""


class Reranker(Protocol):
    """Judges how well texts answer a query. Has a real implementation in core/providers and a double in
    core/testing; both pass the same contract tests."""

    @property
    def name(self) -> str: ...

    @property
    def timeout_seconds(self) -> float:
        """How long somebody who waits for an answer gives it."""
        ...

    async def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One figure for each text, in their order, higher for better. Raises ModelError."""
        ...


async def rerank(
    reranker: Reranker, query: str, passages: Sequence[Passage], *, timeout_seconds: float | None = None
) -> list[Passage]:
    """The passages in the reranker's order, with its scores; as they were when it fails or takes too long: a
    worse order is better than no answer."""
    if len(passages) < 2:
        return list(passages)
    try:
        async with asyncio.timeout(timeout_seconds or reranker.timeout_seconds):
            scores = await reranker.score(query, [_text(passage) for passage in passages])
    except (ModelError, TimeoutError) as error:
        log.warning(
            "reranker_failed", reranker=reranker.name, error=type(error).__name__, detail=str(error)[:300]
        )
        return list(passages)
    best_first = sorted(zip(scores, passages, strict=True), key=lambda pair: (-pair[0], pair[1].rank))
    return [
        passage.model_copy(update={"rank": rank, "score": score})
        for rank, (score, passage) in enumerate(best_first, start=1)
    ]


def _text(passage: Passage) -> str:
    headings = [heading for heading in passage.heading_path if heading != passage.title]
    context = " › ".join(part for part in (passage.title, *headings) if part)
    return f"{context}\n\n{passage.text}" if context else passage.text
