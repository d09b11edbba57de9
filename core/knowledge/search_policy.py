"""How the two legs of a search are weighed: constants that were tuned by measurement, and pure arithmetic."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from core.messages import Frozen


class SearchPolicy(Frozen):
    """The knobs of hybrid search.

    Each leg contributes `weight / (fusion_k + rank)` to a chunk's score (reciprocal rank fusion).
    `k1`, `b` and `title_weight` shape BM25: how fast repeats saturate, how much long chunks are held back, and how
    many mentions in the text one in title or headings is worth on top. The lexical leg looks at chunks with
    the rarest words of the query, in all at most `lexical_rows`; `exact_rows` is up to how many
    readable chunks the dense leg compares one by one instead of walking the HNSW index.
    """

    fusion_k: float = Field(default=60.0, gt=0)
    dense_weight: float = Field(default=1.0, ge=0)
    lexical_weight: float = Field(default=1.0, ge=0)
    leg_size: int = Field(default=100, ge=1, le=1000)
    k1: float = Field(default=1.2, gt=0)
    b: float = Field(default=0.75, ge=0, le=1)
    title_weight: float = Field(default=0.0, ge=0)
    lexical_rows: int = Field(default=4_000, ge=1)
    lexical_words: int = Field(default=24, ge=1)
    exact_rows: int = Field(default=25_000, ge=0)

    def score(self, dense_rank: int | None, lexical_rank: int | None) -> float:
        """Ranks count from 1; None: the leg did not find it."""
        score = 0.0
        if dense_rank is not None:
            score += self.dense_weight / (self.fusion_k + dense_rank)
        if lexical_rank is not None:
            score += self.lexical_weight / (self.fusion_k + lexical_rank)
        return score

    def fuse(
        self, dense: Mapping[int, int], lexical: Mapping[int, int], limit: int
    ) -> list[tuple[int, float]]:
        """Chunk ids with scores, best first, from each leg's ranks by chunk id; ties go to the older chunk."""
        scores = {
            chunk_id: self.score(dense.get(chunk_id), lexical.get(chunk_id))
            for chunk_id in dense.keys() | lexical.keys()
        }
        return sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:limit]
