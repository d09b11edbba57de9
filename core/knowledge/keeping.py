"""Keeps sources in sync: takes over what the settings name, removes what they no longer name, and syncs what
is due."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import structlog

from core.errors import SourceError
from core.knowledge.channel_messages import parse_channel_location
from core.knowledge.documents import SourceStatus, SyncReport
from core.knowledge.ingest import Ingestor
from core.knowledge.locations import name_location
from core.knowledge.tally import OnProgress
from core.ports import KnowledgeStore

log = structlog.get_logger(__name__)

COLLECTION = "default"
"""Where the documents named by the settings go."""

_LOCAL = frozenset({"folder", "file", "path"})


class SourceKeeper:
    """Looks after the sources of one store. `locations` are those that the settings name."""

    def __init__(
        self, store: KnowledgeStore, ingestor: Ingestor, locations: Sequence[str], *, every_seconds: float
    ) -> None:
        self._store = store
        self._ingestor = ingestor
        self._locations = locations
        self._every_seconds = every_seconds

    async def adopt(self) -> None:
        """Make exactly the locations of the settings scheduled sources. What the settings kept before and do
        not name any more is removed with its documents; what was taken in by hand stays."""
        collection_id = await self._store.open_collection(COLLECTION)
        named: list[str] = []
        for location in self._locations:
            if parse_channel_location(location) is not None:
                continue  # core.knowledge.channel_keeping looks after them
            try:
                uri, kind = name_location(location)
            except SourceError as error:
                log.warning("location_not_understood", uri=error.uri, reason=error.reason)
                continue
            named.append(uri)
            await self._store.open_source(
                collection_id, uri, kind, kept_by="settings", every_seconds=self._every_seconds
            )
        for uri in await self._store.retire_sources(collection_id, named):
            log.info("source_removed", uri=uri)

    async def request_all(self) -> None:
        """Make everything that the settings name due now."""
        named = [source.id for source in await self._store.sources() if source.every_seconds is not None]
        await self._store.request_sync(named)

    async def is_any_due(self) -> bool:
        """Whether there is something to sync; costs one small query."""
        return bool(await self._store.due_sources())

    async def sync_due(self, on_progress: OnProgress | None = None) -> SyncReport | None:
        """Sync the sources whose time has come; None if there are none. Raises StorageError and ModelError."""
        due = set(await self._store.due_sources())
        if not due:
            return None
        return await self.sync(due, on_progress)

    async def sync(self, source_ids: Collection[int], on_progress: OnProgress | None = None) -> SyncReport:
        """Sync these sources now. Raises StorageError and ModelError."""
        wanted = _with_neighbours(await self._store.sources(), source_ids)
        order = {uri: n for n, uri in enumerate(self._named())}
        wanted.sort(key=lambda source: order.get(source.uri, len(order)))
        report = SyncReport()
        for collection in dict.fromkeys(source.collection for source in wanted):
            uris = [source.uri for source in wanted if source.collection == collection]
            # Should the collection be gone by now, it must not come back as one that everybody reads.
            channel = parse_channel_location(collection)
            report += await self._ingestor.sync(
                uris,
                collection=collection,
                grants=() if channel is None else [channel.own_grant],
                on_progress=on_progress,
                kept_by=None,
            )
        return report

    def _named(self) -> list[str]:
        named = []
        for location in self._locations:
            try:
                named.append(name_location(location)[0])
            except SourceError:
                continue  # `adopt` has said so
        return named


def _with_neighbours(sources: Sequence[SourceStatus], ids: Collection[int]) -> list[SourceStatus]:
    """What is due, and the scheduled folders and files beside it: they may overlap, and a document that two of
    them hold belongs to the first."""
    asked = [source for source in sources if source.id in ids]
    overlapping = {source.collection for source in asked if source.kind in _LOCAL and source.every_seconds}
    return [
        source
        for source in sources
        if source in asked
        or (source.kind in _LOCAL and source.every_seconds and source.collection in overlapping)
    ]
