"""The port to the vectors themselves: which embedder's serve, and what another embedder's still lack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from core.messages import Frozen

THROW_AWAY = "evaluation"
"""The kind of sources that are made for one measurement and dropped after it: their vectors are their own."""


class BareChunk(Frozen):
    """A chunk without a vector of some embedder, as far as embedding it needs to know."""

    chunk_id: int
    title: str
    heading_path: tuple[str, ...]
    text: str


class Filling(Frozen):
    """How many chunks have a vector of the embedder, of how many."""

    embedder: str
    done: int
    total: int


class VectorStore(Protocol):
    """Vectors of several embedders side by side; those of one serve. What is made for a measurement
    (`THROW_AWAY`) is left alone by all of it. Raises StorageError."""

    async def serving_embedder(self) -> str | None:
        """Whose vectors are searched: the one last switched to, else that of most documents; None without
        any."""
        ...

    async def bare_chunks(self, embedder: str, *, after: int, limit: int) -> list[BareChunk]:
        """Chunks that have no vector of this embedder, in the order of their ids, from the one after `after`."""
        ...

    async def add_vectors(self, embedder: str, vectors: Mapping[int, Sequence[float]]) -> None:
        """Store vectors by chunk id; chunks that are gone meanwhile are passed over, what has one keeps it.
        Raises EmbeddingMismatchError."""
        ...

    async def filling(self, embedder: str) -> Filling:
        """How far this embedder's vectors are."""
        ...

    async def switch_to(self, embedder: str) -> bool:
        """From now on this embedder serves, and every document counts as embedded with it; all at once.
        False, and nothing has changed, while a chunk lacks its vector."""
        ...

    async def drop_former(self, *, after_seconds: float) -> list[str]:
        """Remove the vectors of the embedders that have not served for that long and that no document is
        embedded with any more; their names."""
        ...
