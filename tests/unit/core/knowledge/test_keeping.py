"""Sources follow the settings, are synced when due, and nothing bad holds the others up."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.errors import SourceError
from core.knowledge.documents import QuarantinedDocument, SourceStatus
from core.knowledge.ingest import Ingestor
from core.knowledge.keeping import SourceKeeper
from core.knowledge.locations import build_source
from core.knowledge.quarantine import HeldError, UnparsedError, make_quarantined, refuse_held
from core.knowledge.sources import Content, Entry, Source
from core.messages import Audience
from core.testing.embedder import FakeEmbedder
from core.testing.knowledge import InMemoryKnowledgeStore

ANYONE = Audience(platform="web", workspace="W1", channel="C1")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Counting:
    """A source that counts what is read of it, and is away while `away`."""

    lists_everything = True

    def __init__(self, source: Source, ground: Ground) -> None:
        self.kind, self.uri = source.kind, source.uri
        self._source, self._ground = source, ground

    async def entries(self) -> Iterable[Entry]:
        return await self._source.entries()

    async def read(self, entry: Entry, validator: str | None = None) -> Content | None:
        self._ground.read.append(Path(entry.uri).name)
        if Path(entry.uri).name in self._ground.away:
            raise SourceError(entry.uri, "The server did not answer.")
        return await self._source.read(entry)


class Ground:
    """Two folders, and what is known of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = InMemoryKnowledgeStore()
        self.read: list[str] = []
        self.away: set[str] = set()
        self.ingestor = Ingestor(
            self.store, FakeEmbedder(), build=lambda location: Counting(build_source(location), self)
        )
        for name in ("handbook", "runbooks"):
            self.write(f"{name}/page.md", f"All about {name}.")

    def write(self, name: str, text: str | bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)

    def keeper(self, *names: str) -> SourceKeeper:
        locations = [str(self.folder / name) for name in names]
        return SourceKeeper(self.store, self.ingestor, locations, every_seconds=3600)

    async def sources(self) -> dict[str, SourceStatus]:
        return {Path(source.uri).name: source for source in await self.store.sources()}


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


async def test_what_the_settings_name_is_synced_when_due_and_then_left_alone(ground: Ground) -> None:
    keeper = ground.keeper("handbook", "runbooks")
    await keeper.adopt()

    first = await keeper.sync_due()
    assert first is not None
    assert (first.documents, first.added) == (2, 2)
    assert await keeper.sync_due() is None

    await keeper.request_all()
    again = await keeper.sync_due()
    assert again is not None
    assert (again.unchanged, again.added) == (2, 0)
    assert {name: s.state for name, s in (await ground.sources()).items()} == {
        "handbook": "ok",
        "runbooks": "ok",
    }


async def test_a_location_taken_out_goes_with_its_documents_and_one_taken_in_by_hand_stays(
    ground: Ground,
) -> None:
    ground.write("notes/page.md", "Notes.")
    await ground.ingestor.sync([str(ground.folder / "notes")])
    before = ground.keeper("handbook", "runbooks", "notes")
    await before.adopt()
    await before.sync_due()

    after = ground.keeper("runbooks")
    await after.adopt()

    assert {n: (s.kept_by, s.every_seconds) for n, s in (await ground.sources()).items()} == {
        "notes": ("command", None),
        "runbooks": ("settings", 3600),
    }


async def test_a_folder_that_is_away_is_shown_as_failed_and_keeps_what_was_read(ground: Ground) -> None:
    keeper = ground.keeper("handbook", "nowhere")
    await keeper.adopt()
    await keeper.sync_due()
    (ground.folder / "handbook").rename(ground.folder / "moved")

    await keeper.adopt()
    await keeper.request_all()
    report = await keeper.sync_due()

    assert report is not None
    assert len(report.failed) == 2
    sources = await ground.sources()
    assert {name: source.state for name, source in sources.items()} == {
        "handbook": "failed",
        "nowhere": "failed",
    }
    assert sources["handbook"].documents == 1
    assert "no file or folder" in str(sources["nowhere"].error)


async def test_overlapping_folders_hold_each_document_once_whichever_is_asked_for(ground: Ground) -> None:
    keeper = ground.keeper("handbook", "handbook/page.md")
    await keeper.adopt()
    await keeper.sync_due()
    inner = (await ground.sources())["page.md"]

    await ground.store.request_sync([inner.id])
    await keeper.sync_due()

    assert {name: source.documents for name, source in (await ground.sources()).items()} == {
        "handbook": 1,
        "page.md": 0,
    }


async def test_a_document_that_cannot_be_read_is_left_alone_until_it_changes(ground: Ground) -> None:
    ground.write("handbook/broken.pdf", b"no pdf")
    keeper = ground.keeper("handbook")
    await keeper.adopt()
    for _ in range(3):
        await keeper.request_all()
        report = await keeper.sync_due()
        assert report is not None
        assert [failed.uri for failed in report.failed] == ["handbook/broken.pdf"]
        assert report.documents == 1

    source = (await ground.sources())["handbook"]
    held = (await ground.store.quarantined(source.id))["handbook/broken.pdf"]
    assert (source.state, source.failed, held.attempts) == ("incomplete", 1, 1)

    ground.write("handbook/broken.pdf", b"no pdf either")
    await keeper.request_all()
    await keeper.sync_due()
    assert (await ground.store.quarantined(source.id))[
        "handbook/broken.pdf"
    ].content_hash != held.content_hash

    (ground.folder / "handbook/broken.pdf").unlink()
    await keeper.request_all()
    await keeper.sync_due()
    assert (await ground.sources())["handbook"].state == "ok"
    assert await ground.store.quarantined(source.id) == {}


async def test_what_is_away_is_not_asked_for_again_until_somebody_asks_or_a_while_has_passed(
    ground: Ground,
) -> None:
    ground.away.add("page.md")
    keeper = ground.keeper("handbook")
    await keeper.adopt()
    await keeper.sync_due()
    (source,) = (await ground.sources()).values()

    await keeper.sync([source.id])
    assert ground.read == ["page.md"]

    await keeper.request_all()
    await keeper.sync_due()
    await ground.ingestor.sync([str(ground.folder / "handbook")])
    assert ground.read == ["page.md"] * 3
    ground.away.clear()
    report = await ground.ingestor.sync([str(ground.folder / "handbook")])
    assert (report.added, report.failed) == (1, ())
    assert await ground.store.quarantined(source.id) == {}


async def test_a_source_that_breaks_in_an_unforeseen_way_is_noted_and_not_due_again_at_once(
    ground: Ground,
) -> None:
    class Broken(Counting):
        async def entries(self) -> Iterable[Entry]:
            raise ZeroDivisionError

    broken = Ingestor(ground.store, FakeEmbedder(), build=lambda at: Broken(build_source(at), ground))
    keeper = SourceKeeper(ground.store, broken, [str(ground.folder / "handbook")], every_seconds=3600)
    await keeper.adopt()

    with pytest.raises(ZeroDivisionError):
        await keeper.sync_due()

    assert (await ground.sources())["handbook"].state == "failed"
    assert not await keeper.is_any_due()


def test_the_pause_grows_with_every_failure_of_the_same_content_up_to_a_limit() -> None:
    def pauses(content_hash: str | None, times: int) -> list[timedelta]:
        error = UnparsedError("a", "Broken.", content_hash) if content_hash else SourceError("a", "Away.")
        known: QuarantinedDocument | None = None
        found = []
        for _ in range(times):
            known = make_quarantined("a", error, known, NOW)
            found.append(known.retry_at - NOW)
        return found

    assert pauses("00", 3) == [timedelta(hours=1), timedelta(hours=2), timedelta(hours=4)]
    assert pauses("00", 40)[-1] == timedelta(days=7)
    assert pauses(None, 2) == [timedelta(minutes=10), timedelta(minutes=20)]
    assert pauses(None, 40)[-1] == timedelta(days=1)


def test_a_document_is_held_only_for_its_time_and_its_content() -> None:
    held = make_quarantined("a", UnparsedError("a", "Broken.", "00"), None, NOW)
    with pytest.raises(HeldError):
        refuse_held(held, "00", NOW + timedelta(minutes=59))
    refuse_held(held, "00", NOW + timedelta(minutes=61))
    refuse_held(held, "01", NOW)
    refuse_held(held, None, NOW)
    refuse_held(None, "00", NOW)
