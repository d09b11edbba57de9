"""A part of the composition root: opens the embedder that the settings name, or the one whose vectors still serve."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from core.ports import Embedder
from core.settings import CoreSettings

if TYPE_CHECKING:
    from bot.stores import Stores
    from core.knowledge.ingest import Ingestor
    from core.knowledge.reembedding import Reembedding
    from core.knowledge.search import Knowledge

SECONDS_FOR_A_VECTOR = 5.0
"""How long a question waits for a hosted embedder before it is searched for by its words alone."""


def name_embedder(settings: CoreSettings) -> str:
    """The embedder that the settings name, as its vectors are known by."""
    from core.providers.local_embedder import NAME as LOCAL_NAME

    return settings.embedding_model or LOCAL_NAME


OnChange = Callable[[str, bool], None]
"""Told the embedder's name, and whether it is left alone now because it keeps failing."""


async def open_embedder(
    settings: CoreSettings, model: str | None, stack: AsyncExitStack, on_change: OnChange
) -> Embedder:
    """The hosted embedder `provider:model`, or without one the local one; closed with the stack.
    Raises SettingsError and ModelPermanentError."""
    if model is not None:
        from core.providers.line_up import build_guarded_embedder

        hosted = build_guarded_embedder(model, on_change, seconds=SECONDS_FOR_A_VECTOR)
        await hosted.open()
        return hosted
    from core.providers.local_embedder import LocalEmbedder

    local = LocalEmbedder(settings.threadlore_home / "models")
    stack.push_async_callback(local.aclose)
    await local.open()
    return local


def build_reembedding(
    stores: Stores,
    wanted: Embedder,
    knowledge: Knowledge,
    ingestor: Ingestor,
    stack: AsyncExitStack,
    on_change: OnChange,
) -> Reembedding:
    """What brings `wanted` to serve; until then the embedder that does is opened by its name."""
    from core.knowledge.reembedding import Reembedding
    from core.providers.local_embedder import NAME as LOCAL_NAME

    async def open_by_name(name: str) -> Embedder:
        return await open_embedder(stores.settings, None if name == LOCAL_NAME else name, stack, on_change)

    return Reembedding(
        stores.vectors,
        wanted,
        open_embedder=open_by_name,
        search=knowledge,
        ingestion=ingestor,
    )
