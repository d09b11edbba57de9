"""`sources`, `sources sync`, `sources remove` and `sources revoke`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bot.commands.knowledge import describe_report
from bot.commands.naming import parse_grant, render_grant
from bot.commands.running import (
    FAILED,
    WRONG_USAGE,
    CommandFailedError,
    confirm,
    run_command,
    tell,
    write_json,
    write_line,
)

if TYPE_CHECKING:
    from bot.stores import Stores
    from core.knowledge.documents import Grant, QuarantinedDocument, SourceStatus, SyncReport
    from core.settings import CoreSettings

Listed = list[tuple["SourceStatus", list["QuarantinedDocument"]]]


def list_sources(*, as_json: bool) -> None:
    async def work(settings: CoreSettings) -> Listed:
        from bot.stores import open_stores

        async with open_stores(settings) as stores:
            store = stores.knowledge_store
            await _tell_of_embedding(settings, stores)
            return [
                (source, list((await store.quarantined(source.id)).values()) if source.failed else [])
                for source in await store.sources()
            ]

    listed = run_command(work)
    if as_json:
        write_json([_as_json(source, held) for source, held in listed])
        return
    if not listed:
        tell("There is no source yet. Name some in KNOWLEDGE, or run `threadlore ingest`.")
    for source, held in listed:
        _describe(source, held)


async def _tell_of_embedding(settings: CoreSettings, stores: Stores) -> None:
    """Where another embedder is set than the one that serves: how far it is."""
    from bot.embedding import name_embedder

    wanted = name_embedder(settings)
    serving = await stores.vectors.serving_embedder()
    if serving not in (None, wanted):
        filling = await stores.vectors.filling(wanted)
        tell(
            f"{serving} serves until everything is embedded with {wanted}: {filling.done} of {filling.total}"
            " chunks are. `serve` goes on with it by itself, and so does `ingest`."
        )


def _as_json(source: SourceStatus, held: Sequence[QuarantinedDocument]) -> dict[str, Any]:
    return {
        **source.model_dump(mode="json", exclude={"id", "failed"}),
        "failed": [document.model_dump(mode="json") for document in held],
    }


def _describe(source: SourceStatus, held: Sequence[QuarantinedDocument]) -> None:
    write_line(f"{source.uri}  [{source.state}]")
    facts = [f"{source.kind} in {source.collection}", f"{source.documents} documents"]
    if source.state in ("syncing", "interrupted"):
        facts.append(f"{source.done} of {source.total} looked at")
    facts.append(f"synced {_moment(source.synced_at)}")
    if source.next_sync_at is not None:
        facts.append(f"next {_moment(source.next_sync_at)}")
    write_line(f"   {', '.join(facts)}")
    if source.error and not held:
        write_line(f"   {source.error}")
    for document in held:
        write_line(f"   not read: {document.uri}: {document.reason}")


def _moment(at: datetime | None) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M") if at else "never"


def sync_sources(locations: Sequence[str], *, as_json: bool) -> None:
    """Exits 1 when another process is at it, which is asked to do this too."""

    async def work(settings: CoreSettings) -> SyncReport:
        from bot.bootstrap import open_library
        from bot.commands.progress import open_progress

        async with open_library(settings) as library:
            listed = await library.stores.knowledge_store.sources()
            ids = [source.id for source in (_choose(listed, locations) if locations else listed)]
            await library.stores.knowledge_store.request_sync(ids)
            async with library.stores.exclusive.exclusively("knowledge-sync") as ours:
                if not ours:
                    raise CommandFailedError("Another process is syncing; it takes this up next.")
                with open_progress("Reading") as show:
                    return await library.keeper.sync(ids, lambda now: show(now.done, now.total, now.uri))

    report = run_command(work)
    if as_json or not sys.stdout.isatty():
        write_json(report.model_dump(mode="json"))
    else:
        describe_report(report)
    if report.failed and not (report.documents or report.deleted):
        raise SystemExit(FAILED)


def remove_source(location: str, *, collection: str | None, yes: bool, as_json: bool) -> None:
    async def work(settings: CoreSettings) -> SourceStatus:
        from bot.bootstrap import knowledge_locations
        from bot.stores import open_stores

        async with open_stores(settings) as stores:
            found = _choose(await stores.knowledge_store.sources(), [location], collection)
            if len(found) > 1:
                names = ", ".join(source.collection for source in found)
                raise CommandFailedError(
                    f"{location} is in several collections: {names}.",
                    remedy="Name one with --collection.",
                    code=WRONG_USAGE,
                )
            (source,) = found
            if source.kept_by == "settings" and source.uri in _named(knowledge_locations(settings)):
                raise CommandFailedError(
                    f"KNOWLEDGE names {location}: it would come back.",
                    remedy="Take it out of KNOWLEDGE; it goes with the next start.",
                )
            if not yes:
                confirm(f"Remove {source.uri} with its {source.documents} documents?")
            collection_id = await stores.knowledge_store.open_collection(source.collection)
            await stores.knowledge_store.drop_source(collection_id, source.uri)
            return source

    removed = run_command(work)
    if as_json:
        write_json({"uri": removed.uri, "collection": removed.collection, "documents": removed.documents})
    else:
        write_line(f"{removed.uri} is removed, with {removed.documents} documents.")


def revoke_grants(collection: str, grants: Sequence[str], *, as_json: bool) -> None:
    async def work(settings: CoreSettings) -> list[Grant]:
        from bot.stores import open_stores

        taken_back = [parse_grant(grant) for grant in grants]
        async with open_stores(settings) as stores:
            return await stores.knowledge_store.revoke_grants(collection, taken_back)

    left = run_command(work)
    if as_json:
        write_json({"collection": collection, "grants": [render_grant(grant) for grant in left]})
    elif left:
        write_line(f"{collection} is read by {', '.join(map(render_grant, left))}.")
    else:
        write_line(f"{collection} is read by nobody.")


def _named(locations: Sequence[str]) -> set[str]:
    from core.errors import SourceError
    from core.knowledge.locations import name_location

    named = set()
    for location in locations:
        try:
            named.add(name_location(location)[0])
        except SourceError:
            continue  # it names nothing
    return named


def _choose(
    sources: Sequence[SourceStatus], locations: Sequence[str], collection: str | None = None
) -> list[SourceStatus]:
    """The sources of these locations. Raises CommandFailedError for one that is none."""
    chosen = []
    for location in locations:
        uris = {location, *_named([location])}
        found = [s for s in sources if s.uri in uris and collection in (None, s.collection)]
        if not found:
            raise CommandFailedError(
                f"{location} is not among the sources.", remedy="`threadlore sources` lists them."
            )
        chosen += found
    return chosen
