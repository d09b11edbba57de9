"""A command that asks on a fresh machine finds something: KNOWLEDGE is taken in if nothing ever was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.commands.progress import open_progress

if TYPE_CHECKING:
    from bot.bootstrap import Library


async def sync_once(library: Library) -> None:
    """Does nothing once there is any source; keeping in sync is what `serve` and `ingest` do."""
    if await library.stores.knowledge_store.sources():
        return
    async with library.stores.exclusive.exclusively("knowledge-sync") as ours:
        if ours:
            with open_progress("Reading the documents for the first time") as show:
                await library.keeper.adopt()
                await library.keeper.sync_due(lambda now: show(now.done, now.total, now.uri))
