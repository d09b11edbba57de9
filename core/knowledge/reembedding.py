"""From one embedding model to another without a gap: the new one's vectors are filled beside those that serve,
and search goes over to them in one step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog

from core.errors import ModelError, ModelPermanentError, SettingsError
from core.knowledge.chunking import embedding_text
from core.knowledge.pipeline import Embedding
from core.knowledge.vector_store import Filling, VectorStore
from core.ports import Embedder

log = structlog.get_logger(__name__)

CHUNKS_PER_STEP = 256
FORMER_KEPT_SECONDS = 600.0
"""How long the former vectors stay: other processes take a moment to notice, and their questions end first."""

OpenEmbedder = Callable[[str], Awaitable[Embedder]]
"""Opens an embedder by the name under which its vectors are stored. Raises SettingsError and ModelError."""
OnFilled = Callable[[int, int], None]


class TakesEmbedder(Protocol):
    """Search, or ingestion: what works with one embedder at a time."""

    def use(self, embedder: Embedder) -> None: ...


class LostEmbedder:
    """Stands for the embedder that serves where it cannot be opened any more: its key is gone, say. Questions are
    searched for by their words alone until the wanted one has taken over."""

    max_tokens = 0
    dimensions = 0

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self._why = why

    async def embed_documents(self, texts: Sequence[str]) -> list[Sequence[float]]:
        raise ModelPermanentError(self._why)

    async def embed_query(self, text: str) -> Sequence[float]:
        raise ModelPermanentError(self._why)


class Reembedding:
    """Sees to it that `wanted`, the embedder of the settings, comes to serve, and that search and ingestion use
    the one that does serve. Any number of processes may follow; one at a time may fill."""

    def __init__(
        self,
        vectors: VectorStore,
        wanted: Embedder,
        *,
        open_embedder: OpenEmbedder,
        search: TakesEmbedder,
        ingestion: TakesEmbedder,
    ) -> None:
        self._vectors = vectors
        self._wanted = wanted
        self._open_embedder = open_embedder
        self._search = search
        self._ingestion = ingestion
        self._embedding = Embedding(wanted)
        self._in_use = wanted.name
        self._outdated: bool | None = None

    @property
    def serving(self) -> str:
        """The name of the embedder that search uses here."""
        return self._in_use

    def is_due(self) -> bool:
        """Whether the wanted embedder has yet to take over. Another process with other settings may have
        switched after this one had begun: then its settings are the newer ones."""
        return self._in_use != self._wanted.name and not self._outdated

    async def progress(self) -> Filling:
        """How far the vectors are of the embedder that is to take over, or of the one that serves if none is.
        Raises StorageError."""
        return await self._vectors.filling(self._wanted.name if self.is_due() else self._in_use)

    async def is_needed(self) -> bool:
        """As `is_due`; also if something was stored with the former embedder after the switch, by a process
        that had not noticed yet. Raises StorageError."""
        if self._in_use != self._wanted.name:
            return self.is_due()
        return bool(await self._vectors.bare_chunks(self._wanted.name, after=0, limit=1))

    async def follow(self) -> None:
        """Use what serves. Raises StorageError."""
        name = await self._vectors.serving_embedder() or self._wanted.name
        first, self._outdated = self._outdated is None, bool(self._outdated)
        if name == self._in_use:
            return
        if not first and name != self._wanted.name:
            self._outdated = True
            log.warning("embedder_switched_elsewhere", serving=name, wanted=self._wanted.name)
        await self._use(name)

    async def _use(self, name: str) -> None:
        if name == self._wanted.name:
            embedder: Embedder = self._wanted
            self._ingestion.use(embedder)
        else:
            try:
                embedder = await self._open_embedder(name)
                self._ingestion.use(embedder)
            except (SettingsError, ModelError) as error:
                log.warning("serving_embedder_lost", serving=name, wanted=self._wanted.name, error=str(error))
                embedder = LostEmbedder(name, f"{name} cannot be used any more: {error}")
                self._ingestion.use(self._wanted)
        self._search.use(embedder)
        self._in_use = name
        log.info("embedder_in_use", embedder=name)

    async def fill(self, on_filled: OnFilled = lambda done, total: None) -> None:
        """Embed what the wanted embedder lacks, then switch to it. May be broken off anywhere and begun
        again; until the switch nothing changes for anybody. Raises StorageError and ModelError."""
        name = self._wanted.name
        state = await self._vectors.filling(name)
        done, total = state.done, state.total
        log.info("reembedding", embedder=name, done=done, total=total)
        on_filled(done, total)
        while True:
            after = 0
            while chunks := await self._vectors.bare_chunks(name, after=after, limit=CHUNKS_PER_STEP):
                texts = [embedding_text(chunk.title, chunk) for chunk in chunks]
                found = await self._embedding.embed_texts(texts)
                await self._vectors.add_vectors(
                    name, {chunk.chunk_id: found[text] for chunk, text in zip(chunks, texts, strict=True)}
                )
                after = chunks[-1].chunk_id
                done += len(chunks)
                on_filled(done, max(done, total))
            if await self._vectors.switch_to(name):
                break
        log.info("embedder_switched", embedder=name, chunks=done)
        await self.follow()

    async def drop_former(self) -> None:
        """Remove vectors that nobody has searched for a while. Raises StorageError."""
        for name in await self._vectors.drop_former(after_seconds=FORMER_KEPT_SECONDS):
            log.info("former_vectors_dropped", embedder=name)
