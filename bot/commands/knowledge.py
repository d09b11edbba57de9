"""`ingest` and `search`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bot.commands.naming import parse_audience, parse_grant
from bot.commands.running import FAILED, run_command, tell, write_json, write_line

if TYPE_CHECKING:
    from bot.bootstrap import Library
    from core.answers import Passage
    from core.knowledge.documents import SyncReport
    from core.settings import CoreSettings

JSON_FIELDS = ("rank", "score", "document_id", "title", "uri", "text")


def ingest(
    locations: Sequence[str], *, collection: str, grants: Sequence[str], chunking: str | None, as_json: bool
) -> None:
    """Prints the report; exits 1 when nothing at all could be taken in."""

    async def work(settings: CoreSettings) -> SyncReport:
        from bot.bootstrap import open_library
        from bot.commands.progress import open_progress
        from core.knowledge.ingest import parse_choice

        granted = [parse_grant(grant) for grant in grants]
        async with open_library(settings) as library:
            with open_progress("Reading") as show:
                report = await library.ingestor.sync(
                    locations,
                    collection=collection,
                    grants=granted,
                    chunking=parse_choice(chunking) if chunking else None,
                    on_progress=lambda now: show(now.done, now.total, now.uri),
                )
            await reembed(library)
            return report

    report = run_command(work)
    # For a program a result is JSON wherever it goes; a person at a terminal reads sentences.
    if as_json or not sys.stdout.isatty():
        write_json(report.model_dump(mode="json"))
    else:
        describe_report(report)
    if report.failed and not (report.documents or report.deleted):
        raise SystemExit(FAILED)


async def reembed(library: Library) -> None:
    """Bring the embedder of the settings to serve, unless another process is at it."""
    from bot.commands.progress import open_progress

    if not library.reembedding.is_due():
        return
    serving = library.reembedding.serving
    async with library.stores.exclusive.exclusively("reembedding") as ours:
        if not ours:
            tell(f"Another process is embedding everything with {library.embedder.name}.")
            return
        with open_progress(f"Embedding with {library.embedder.name}") as show:
            await library.reembedding.fill(lambda done, total: show(done, total, ""))
    tell(f"Searched with {library.embedder.name} from now on, and no longer with {serving}.")


def describe_report(report: SyncReport) -> None:
    """The report in sentences, for a person at a terminal."""
    write_line(
        f"{report.documents} documents in {report.chunks} chunks: {report.added} added, {report.updated} updated, "
        f"{report.deleted} deleted, {report.unchanged} unchanged, in {report.seconds:.1f} s"
    )
    for failed in report.failed:
        tell(f"not read: {failed.uri}: {failed.reason}")


def search(text: str, *, k: int, audience: str | None, as_json: bool) -> None:
    async def work(settings: CoreSettings) -> list[Passage]:
        from bot.bootstrap import open_library
        from bot.commands.first_sync import sync_once
        from bot.console.adapter import CONSOLE_CHANNEL
        from core.messages import Audience

        reader = (
            parse_audience(audience)
            if audience
            else Audience(
                platform=CONSOLE_CHANNEL.platform,
                workspace=CONSOLE_CHANNEL.workspace,
                channel=CONSOLE_CHANNEL.id,
            )
        )
        async with open_library(settings) as library:
            await sync_once(library)
            return await library.knowledge.search(text, audience=reader, limit=k)

    passages = run_command(work)
    if as_json:
        write_json([{field: getattr(passage, field) for field in JSON_FIELDS} for passage in passages])
        return
    if not passages:
        tell("Nothing was found.")
    for passage in passages:
        path = " › ".join(part for part in (passage.title, *passage.heading_path) if part)
        write_line(f"{passage.rank}. {path}  ({passage.score:.4f})")
        write_line(f"   {passage.uri}")
        write_line(f"   {' '.join(passage.text.split())[:300]}")
        write_line()
