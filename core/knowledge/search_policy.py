"""How the two legs of a search are weighed: constants that were tuned by measurement, and pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pydantic import Field

from core.messages import Frozen

K1 = 0.9
"""How slowly repeats of a word saturate."""
B = 0.4
"""How much long chunks are held back, from 0 to 1."""
TYPICAL_WORDS = 75
"""Words of a chunk of usual length, common ones left out. Fixed, so that what is stored of a chunk never depends
on the others."""


AUTHOR_CHUNKS = 2
"""How many chunks of one author are put before those of others."""
SOURCE_SHARE = 7 / 8
"""Which share of the places the chunks of one source may have before those of others: never all of them."""


def most_of_source(limit: int, share: float = SOURCE_SHARE) -> int:
    """How many of `limit` places one source may have before others have theirs."""
    return max(1, min(limit - 1, math.ceil(limit * share)))


def share_of_word(often: int, words: int) -> float:
    """How much a chunk holds of a word that occurs in it `often` times among `words`: BM25's saturation, 0 to 1.

    Stored with each chunk, so the database knows it too: a change needs a migration.
    """
    return often / (often + K1 * (1 - B + B * words / TYPICAL_WORDS))


class SearchPolicy(Frozen):
    """The knobs of hybrid search.

    A chunk's score is `dense_weight` times its cosine similarity to the question plus `lexical_weight` times its
    coverage: its BM25 score as a share of what a chunk that repeats every word of the question for ever
    would reach. Both are figures of the pair of question and chunk alone, so that scores of different questions
    can be compared; ranks, which reciprocal rank fusion goes by, say less (docs/evaluation.md).
    `context_weight` is what a word said before counts beside one of the question.
    `leg_size` is how many chunks each leg proposes; up to `exact_rows`, no fewer than are asked for.

    Up to `lexical_exact_rows` readable chunks, the lexical leg scores each of them. Beyond, it looks at those with the
    rarest words of the question, in all about `lexical_rows`, or at those with the rarest one, and never at more
    than `lexical_exact_rows`. It weighs at most `lexical_words` words; `exact_rows` is up to how many readable chunks the dense leg compares one
    by one instead of walking the HNSW index.
    """

    dense_weight: float = Field(default=0.45, ge=0)
    lexical_weight: float = Field(default=0.55, ge=0)
    context_weight: float = Field(default=0.15, ge=0, le=1)
    leg_size: int = Field(default=100, ge=1, le=1000)
    lexical_rows: int = Field(default=4_000, ge=1)
    lexical_exact_rows: int = Field(default=10_000, ge=1)
    lexical_words: int = Field(default=24, ge=1)
    exact_rows: int = Field(default=25_000, ge=0)
    author_chunks: int = Field(default=AUTHOR_CHUNKS, ge=1)
    source_share: float = Field(default=SOURCE_SHARE, gt=0, le=1)

    def score(self, similarity: float | None, coverage: float | None) -> float:
        """None: no vector of the question's model; none of the question's words (or none that was looked at)."""
        return self.dense_weight * (similarity or 0.0) + self.lexical_weight * (coverage or 0.0)

    def fuse(
        self, similarities: Mapping[int, float], coverages: Mapping[int, float]
    ) -> list[tuple[int, float]]:
        """Chunk ids with scores, best first, from the figures by chunk id; ties go to the older chunk."""
        scores = {
            chunk_id: self.score(similarities.get(chunk_id), coverages.get(chunk_id))
            for chunk_id in similarities.keys() | coverages.keys()
        }
        return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
