"""A sync does what has changed and nothing else, whatever single documents do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from core.errors import ModelPermanentError, ModelTransientError, SourceError
from core.knowledge.chunking import chunk_text
from core.knowledge.documents import Document, Grant, Progress, SyncReport
from core.knowledge.ingest import Ingestor
from core.knowledge.locations import build_source
from core.knowledge.pipeline import Batch, Draft, Embedding, KnownEntry, read_ahead
from core.knowledge.search import Knowledge
from core.knowledge.sources import Entry, Source
from core.messages import Audience
from core.testing.embedder import FakeEmbedder
from core.testing.knowledge import InMemoryKnowledgeStore

ANYONE = Audience(platform="web", workspace="W1", channel="C1")


class Ground:
    """A folder, a store and an embedder that counts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = InMemoryKnowledgeStore()
        self.embedder = FakeEmbedder()

    def write(self, **texts: str) -> None:
        for name, text in texts.items():
            self.folder.joinpath(f"{name}.md").write_text(text)

    async def sync(self, *locations: str) -> SyncReport:
        return await Ingestor(self.store, self.embedder).sync(locations or [str(self.folder)])

    async def found(self, query: str) -> list[str]:
        passages = await Knowledge(self.store, self.embedder).search(query, audience=ANYONE)
        return [passage.uri for passage in passages]


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    folder = tmp_path / "docs"
    folder.mkdir()
    return Ground(folder)


async def test_the_first_sync_stores_everything(ground: Ground) -> None:
    ground.write(leave="Annual leave.", travel="# Trips\n\n" + "Book early. " * 200)

    report = await ground.sync()

    assert (report.documents, report.added, report.updated, report.unchanged) == (2, 2, 0, 0)
    assert report.chunks > 2
    assert report.failed == ()
    assert report.seconds > 0
    assert (await ground.found("annual leave"))[0] == "docs/leave.md"


async def test_an_unchanged_folder_costs_no_embedding(ground: Ground) -> None:
    ground.write(leave="Annual leave.", travel="Trips.")
    await ground.sync()
    embedded = ground.embedder.texts

    report = await ground.sync()

    assert (report.documents, report.chunks, report.unchanged, report.added) == (2, 2, 2, 0)
    assert ground.embedder.texts == embedded


async def test_only_what_changed_is_embedded_again(ground: Ground) -> None:
    ground.write(leave="Annual leave.", travel="Trips.")
    await ground.sync()
    embedded = ground.embedder.texts
    ground.write(travel="Journeys.", new="Parking.")

    report = await ground.sync()

    assert (report.added, report.updated, report.unchanged, report.deleted) == (1, 1, 1, 0)
    assert ground.embedder.texts == embedded + 2
    assert "docs/new.md" in await ground.found("parking")


async def test_what_is_deleted_disappears(ground: Ground) -> None:
    ground.write(leave="Annual leave.", travel="Trips.")
    await ground.sync()
    ground.folder.joinpath("leave.md").unlink()

    report = await ground.sync()

    assert (report.documents, report.deleted, report.unchanged) == (1, 1, 1)
    assert await ground.found("annual leave") == ["docs/travel.md"]


async def test_a_file_that_becomes_unreadable_is_reported_and_keeps_its_last_version(ground: Ground) -> None:
    ground.write(leave="Annual leave.", travel="Trips.")
    await ground.sync()
    ground.folder.joinpath("leave.md").write_bytes(bytes(range(256)))
    ground.folder.joinpath("broken.pdf").write_bytes(b"no pdf")

    report = await ground.sync()

    assert [failed.uri for failed in report.failed] == ["docs/broken.pdf", "docs/leave.md"]
    assert all(failed.reason.endswith(".") for failed in report.failed)
    assert (report.documents, report.unchanged, report.deleted) == (2, 1, 0)
    (source,) = await ground.store.sources()
    assert source.error is not None
    assert "docs/broken.pdf" in source.error


async def test_a_missing_location_is_named_and_the_others_are_synced(ground: Ground) -> None:
    ground.write(leave="Annual leave.")
    missing = str(ground.folder / "nowhere")

    report = await ground.sync(missing, str(ground.folder))

    assert [failed.uri for failed in report.failed] == [missing]
    assert report.added == 1


async def test_a_location_that_fails_wholly_deletes_nothing(ground: Ground) -> None:
    ground.write(leave="Annual leave.")

    class Offline:
        kind = "folder"

        def __init__(self, source: Source) -> None:
            self.uri = source.uri

        async def entries(self) -> Sequence[Entry]:
            raise SourceError(self.uri, "The disk is gone.")

        async def read(self, entry: Entry) -> None:
            raise AssertionError("nothing is listed")

    await ground.sync()
    offline = Ingestor(ground.store, ground.embedder, build=lambda at: Offline(build_source(at)))  # type: ignore[arg-type, return-value]
    report = await offline.sync([str(ground.folder)])

    assert [failed.reason for failed in report.failed] == ["The disk is gone."]
    assert (report.documents, report.deleted) == (1, 0)
    assert await ground.found("annual leave") == ["docs/leave.md"]


async def test_a_document_given_twice_is_stored_once(ground: Ground) -> None:
    ground.write(leave="Annual leave.")
    folder = str(ground.folder)

    report = await ground.sync(folder, f"{folder}/", f"{folder}/../docs", f"{folder}/leave.md")

    assert (report.documents, report.added) == (1, 1)


async def test_equal_chunks_are_embedded_once(ground: Ground) -> None:
    ground.write(**{f"copy{n}": "# Same\n\nThe same text." for n in range(5)})

    report = await ground.sync()

    assert report.added == 5
    assert ground.embedder.texts == 1


async def test_a_new_model_embeds_everything_again(ground: Ground) -> None:
    ground.write(leave="Annual leave.")
    await ground.sync()
    ground.embedder = FakeEmbedder(dimensions=32, name="fake:new")

    report = await ground.sync()

    assert (report.updated, report.unchanged) == (1, 0)
    assert await ground.found("annual leave") == ["docs/leave.md"]


async def test_progress_counts_every_document_once(ground: Ground) -> None:
    ground.write(**{f"page{n}": f"Page {n}." for n in range(7)})
    ground.folder.joinpath("broken.pdf").write_bytes(b"no pdf")
    steps: list[Progress] = []

    await Ingestor(ground.store, ground.embedder).sync([str(ground.folder)], on_progress=steps.append)

    assert [step.done for step in steps] == list(range(1, 9))
    assert {step.total for step in steps} == {8}
    assert len({step.uri for step in steps}) == 8


async def test_many_documents_go_in_batches_sorted_by_length(ground: Ground) -> None:
    ground.write(**{f"page{n}": f"Page {n}. " + "word " * (n % 30) for n in range(300)})

    report = await ground.sync()

    assert report.added == 300
    assert max(ground.embedder.batches) <= 32
    assert len(ground.embedder.batches) < 20


async def test_the_collection_and_its_grants_are_as_asked(ground: Ground) -> None:
    ground.write(leave="Annual leave.")
    grant = Grant(platform="slack", workspace="W1", channel="C9")

    await Ingestor(ground.store, ground.embedder).sync([str(ground.folder)], collection="hr", grants=[grant])

    (source,) = await ground.store.sources()
    assert source.collection == "hr"
    assert await ground.found("annual leave") == []


async def test_a_model_that_refuses_ends_the_sync_and_is_noted_at_the_source(ground: Ground) -> None:
    class Refusing(FakeEmbedder):
        async def embed_documents(self, texts: Sequence[str]) -> list[Sequence[float]]:
            raise ModelPermanentError("wrong key")

    ground.write(leave="Annual leave.")
    with pytest.raises(ModelPermanentError):
        await Ingestor(ground.store, Refusing()).sync([str(ground.folder)])

    (source,) = await ground.store.sources()
    assert source.error == "wrong key"
    assert (await ground.sync()).added == 1


async def test_a_rate_limit_is_waited_out_as_asked() -> None:
    class Busy(FakeEmbedder):
        refusals = 2

        async def embed_documents(self, texts: Sequence[str]) -> list[Sequence[float]]:
            if self.refusals:
                self.refusals -= 1
                raise ModelTransientError("busy", retry_after_seconds=7.0 if self.refusals else None)
            return await super().embed_documents(texts)

    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    embedding = Embedding(Busy(), sleep=sleep)

    document = Document(uri="a", title="A", text="Text.", content_hash="0")
    ((_, _, vectors),) = await embedding.embed([Draft(document, tuple(chunk_text(document.text)))])

    assert len(vectors) == 1
    assert pauses == [7.0, 4.0]


async def known_entries(*names: str) -> AsyncIterator[KnownEntry]:
    for name in names:
        yield KnownEntry(Entry(uri=name, locator=name), None)


async def test_reading_ahead_stops_when_the_reader_leaves_and_never_runs_far_ahead() -> None:
    names = [str(n) for n in range(10_000)]
    read: list[str] = []

    async def unchanged(known: KnownEntry) -> None:
        read.append(known.entry.uri)

    batches = read_ahead(known_entries(*names), unchanged)
    first: Batch = await anext(batches)
    await asyncio.sleep(0)
    await batches.aclose()

    assert first.unchanged == names[:256]
    assert len(read) <= 256 * 4


async def test_a_fault_while_reading_ahead_reaches_the_reader() -> None:
    async def fail(known: KnownEntry) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        _ = [batch async for batch in read_ahead(known_entries("a"), fail)]
