"""An Embedder for tests: a bag of hashed words, the same in every process, no model and no download."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence

_WORD = re.compile(r"\w+")


class FakeEmbedder:
    """Texts that share words are similar; texts that share none are orthogonal but for collisions.

    `texts` counts what was embedded, `batches` holds the size of each call.
    """

    def __init__(self, dimensions: int = 64, name: str = "fake:words") -> None:
        self._name = name
        self._dimensions = dimensions
        self.texts = 0
        self.batches: list[int] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def dimensions(self) -> int:
        return self._dimensions

    @property
    def max_tokens(self) -> int:
        return 256

    async def embed_documents(self, texts: Sequence[str]) -> list[Sequence[float]]:
        self.texts += len(texts)
        self.batches.append(len(texts))
        return [self._embed(text) for text in texts]

    async def embed_query(self, text: str) -> Sequence[float]:
        return self._embed(text)

    def _embed(self, text: str) -> Sequence[float]:
        vector = [0.0] * self._dimensions
        for word in _WORD.findall(text.lower()) or [""]:
            digest = hashlib.sha256(word.encode(errors="replace")).digest()
            vector[int.from_bytes(digest[:4], "big") % self._dimensions] += 1.0
        length = math.sqrt(sum(value * value for value in vector))
        return [value / length for value in vector]
