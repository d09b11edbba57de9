"""The vectors of an evaluation's documents, kept between runs: embedding a corpus takes most of a run's time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import numpy as np

from core.ports import Embedder


class EmbedderAround:
    """Implements core.ports.Embedder by asking another one."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    @property
    def name(self) -> str:
        return self._embedder.name

    @property
    def dimensions(self) -> int:
        return self._embedder.dimensions

    @property
    def max_tokens(self) -> int:
        return self._embedder.max_tokens

    async def embed_query(self, text: str) -> Sequence[float]:
        return await self._embedder.embed_query(text)

    async def embed_documents(self, texts: Sequence[str]) -> list[Sequence[float]]:
        return await self._embedder.embed_documents(texts)


class KeepingEmbedder(EmbedderAround):
    """A list of documents that it has embedded before is read from `folder` (one file a list, named after the model
    and the texts). Questions are embedded each time, so that a model which cannot be reached is noticed."""

    def __init__(self, embedder: Embedder, folder: Path) -> None:
        super().__init__(embedder)
        self._folder = folder

    async def embed_documents(self, texts: Sequence[str]) -> list[Sequence[float]]:
        path = self._folder / f"{_name_of(self.name, texts)}.npy"
        kept = _read(path, len(texts))
        if kept is not None:
            return kept
        vectors = await self._embedder.embed_documents(texts)
        if vectors:
            _write(path, vectors)
        return vectors


def _name_of(model: str, texts: Sequence[str]) -> str:
    digest = hashlib.sha256(model.encode())
    for text in texts:
        encoded = text.encode()
        digest.update(b"%d:" % len(encoded))
        digest.update(encoded)
    return digest.hexdigest()


def _read(path: Path, count: int) -> list[Sequence[float]] | None:
    """None when there is no such file, or one that something has damaged."""
    try:
        vectors = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return vectors.tolist() if vectors.ndim == 2 and len(vectors) == count else None


def _write(path: Path, vectors: Sequence[Sequence[float]]) -> None:
    """Whole or not at all, also when another run writes the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.stem}.{uuid4().hex}")
    with unfinished.open("wb") as file:
        np.save(file, np.asarray(vectors, dtype=np.float32))
    unfinished.replace(path)
