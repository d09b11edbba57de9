"""What every KnowledgeStore must do, run on the one in memory and on the one in PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text as sql

from core.errors import EmbeddingMismatchError
from core.knowledge.chunking import chunk_text
from core.knowledge.documents import Document, Keeper, QuarantinedDocument, SyncOutcome
from core.storage.database import Database
from core.storage.knowledge import PostgresKnowledgeStore
from core.testing.embedder import FakeEmbedder
from tests.contracts.shelf import LEAVE, TRAVEL, Shelf


async def test_a_document_put_again_replaces_what_it_was(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, leave=LEAVE, travel=TRAVEL)
    before = await shelf.store.documents(source_id)
    await shelf.put(source_id, leave="Parental leave lasts twelve weeks.")

    after = await shelf.store.documents(source_id)

    assert set(after) == {"leave", "travel"}
    assert after["leave"].content_hash != before["leave"].content_hash
    assert (after["leave"].embedder, after["leave"].chunks) == ("fake:words", 1)
    texts = {passage.text for passage in await shelf.search("annual parental leave")}
    assert texts == {"Parental leave lasts twelve weeks.", TRAVEL}


async def test_documents_are_told_by_name_and_their_ids_page_by_page(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    await shelf.put(await shelf.open_source("another"), leave=LEAVE, more=TRAVEL)
    await shelf.put(source_id, leave=LEAVE, travel=TRAVEL, zeal=LEAVE)
    everything = await shelf.store.documents(source_id)

    assert await shelf.store.documents(source_id, ["travel", "nowhere"]) == {"travel": everything["travel"]}
    assert await shelf.store.documents(source_id, []) == {}
    first = await shelf.store.document_ids(source_id, limit=2)
    second = await shelf.store.document_ids(source_id, after=list(first)[-1], limit=2)
    assert [len(first), len(second)] == [2, 1]
    assert first | second == {uri: stored.id for uri, stored in everything.items()}
    assert await shelf.store.document_ids(source_id, after=list(second)[-1], limit=2) == {}


async def test_the_same_document_twice_in_one_call_is_stored_as_it_came_last(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    embedder = shelf.embedder
    versions = []
    for text in (LEAVE, TRAVEL):
        document = Document(uri="page", title="Page", text=text, content_hash=text)
        versions.append((document, chunk_text(text), await embedder.embed_documents([text])))

    await shelf.store.put_documents(source_id, versions, embedder=embedder.name)

    assert [p.text for p in await shelf.search("travel leave")] == [TRAVEL]


async def test_deleted_documents_sources_and_collections_are_gone(shelf: Shelf) -> None:
    kept = await shelf.open_source("kept")
    await shelf.put(kept, leave=LEAVE, travel=TRAVEL)
    collection_id = await shelf.store.open_collection("default")
    await shelf.put(await shelf.open_source("dropped"), dropped=LEAVE)
    await shelf.put(await shelf.open_source(collection="other"), other=LEAVE)

    await shelf.store.delete_documents([(await shelf.store.documents(kept))["leave"].id])
    await shelf.store.drop_source(collection_id, "dropped")
    await shelf.store.drop_collection("other")

    assert await shelf.found("annual leave") == {"travel"}
    assert set(await shelf.store.documents(kept)) == {"travel"}
    assert [source.uri for source in await shelf.store.sources()] == ["kept"]


async def test_sources_tell_how_their_last_sync_went(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    assert source_id == await shelf.open_source()
    await shelf.put(source_id, leave=LEAVE, travel=TRAVEL)
    (fresh,) = await shelf.store.sources()
    await shelf.store.finish_source(source_id, error="one file is broken")

    (finished,) = await shelf.store.sources()

    assert (fresh.documents, fresh.synced_at, fresh.error) == (2, None, None)
    assert finished.synced_at is not None
    assert (finished.collection, finished.uri, finished.kind) == ("default", "folder", "folder")
    assert finished.error == "one file is broken"


async def test_a_scheduled_source_is_due_at_once_and_after_each_sync_when_its_time_comes(
    shelf: Shelf,
) -> None:
    collection_id = await shelf.store.open_collection("default")
    by_hand = await shelf.store.open_source(collection_id, "by hand", "folder", kept_by="command")
    hourly = await shelf.store.open_source(
        collection_id, "hourly", "web", kept_by="settings", every_seconds=3600
    )
    always = await shelf.store.open_source(
        collection_id, "always", "web", kept_by="settings", every_seconds=0
    )
    assert set(await shelf.store.due_sources()) == {hourly, always}

    for source_id in (by_hand, hourly, always):
        await shelf.store.begin_source(source_id)
        await shelf.store.finish_source(source_id, error=None)

    assert await shelf.store.due_sources() == [always]
    kept = {s.uri: (s.kept_by, s.every_seconds) for s in await shelf.store.sources()}
    assert kept == {"always": ("settings", 0), "by hand": ("command", None), "hourly": ("settings", 3600)}


async def test_a_sync_can_be_asked_for_and_is_not_forgotten_while_another_one_runs(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    assert await shelf.store.due_sources() == []
    await shelf.store.request_sync([source_id, 999_999])
    assert await shelf.store.due_sources() == [source_id]

    await shelf.store.begin_source(source_id)
    await shelf.store.request_sync([source_id])
    await shelf.store.finish_source(source_id, error=None)
    assert await shelf.store.due_sources() == [source_id]

    await shelf.store.begin_source(source_id)
    await shelf.store.finish_source(source_id, error=None)
    assert await shelf.store.due_sources() == []


async def test_the_state_of_a_source_follows_its_sync(shelf: Shelf) -> None:
    source_id = await shelf.open_source()

    async def state() -> tuple[str, int, int]:
        (source,) = await shelf.store.sources()
        return source.state, source.done, source.total

    assert await state() == ("new", 0, 0)
    await shelf.store.begin_source(source_id)
    await shelf.store.note_progress(source_id, 3, 7)
    assert await state() == ("syncing", 3, 7)
    endings: list[tuple[str | None, SyncOutcome | None, str]] = [
        (None, None, "ok"),
        ("one is broken", None, "incomplete"),
        ("it is away", "failed", "failed"),
    ]
    for error, outcome, shown in endings:
        await shelf.store.finish_source(source_id, error=error, outcome=outcome)
        assert (await state())[0] == shown
    await shelf.store.request_sync([source_id])
    assert (await state())[0] == "due"


async def test_what_the_settings_no_longer_name_goes_and_what_was_taken_in_by_hand_stays(
    shelf: Shelf,
) -> None:
    collection_id = await shelf.store.open_collection("default")
    keepers: dict[str, Keeper] = {"named": "settings", "unnamed": "settings", "by hand": "command"}
    for uri, kept_by in keepers.items():
        source_id = await shelf.store.open_source(
            collection_id, uri, "folder", kept_by=kept_by, every_seconds=60
        )
        await shelf.put(source_id, **{uri: LEAVE})
    # Taken in by hand after the settings had named it: the hand's, from then on.
    both = await shelf.store.open_source(
        collection_id, "both", "folder", kept_by="settings", every_seconds=60
    )
    assert both == await shelf.store.open_source(collection_id, "both", "folder", kept_by="command")
    elsewhere = await shelf.store.open_collection("elsewhere")
    await shelf.store.open_source(elsewhere, "unnamed", "folder", kept_by="settings", every_seconds=60)

    assert await shelf.store.retire_sources(collection_id, ["named"]) == ["unnamed"]

    left = {(s.collection, s.uri, s.every_seconds) for s in await shelf.store.sources()}
    assert left == {
        ("default", "both", None),
        ("default", "by hand", None),
        ("default", "named", 60),
        ("elsewhere", "unnamed", 60),
    }
    assert await shelf.found("annual leave") == {"named", "by hand"}


async def test_what_cannot_be_read_is_remembered_with_its_reason_until_it_is_released(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    soon = datetime.now(UTC) + timedelta(hours=1)
    broken = QuarantinedDocument(uri="b", reason="It is broken.", content_hash="00", retry_at=soon)
    away = QuarantinedDocument(uri="a", reason="It is away.", attempts=3, retry_at=soon)
    await shelf.store.quarantine(source_id, [broken, away])

    held = await shelf.store.quarantined(source_id)
    assert [d.model_copy(update={"failed_at": None}) for d in held.values()] == [away, broken]
    assert all(document.failed_at for document in held.values())
    (source,) = await shelf.store.sources()
    assert source.failed == 2

    await shelf.store.request_sync([source_id])
    retried = await shelf.store.quarantined(source_id)
    assert retried["a"].retry_at < soon
    assert retried["b"].retry_at == soon

    again = broken.model_copy(update={"attempts": 2, "content_hash": None})
    await shelf.store.quarantine(source_id, [again])
    assert (await shelf.store.quarantined(source_id))["b"].attempts == 2
    await shelf.store.release(source_id, ["b", "never known"])
    assert set(await shelf.store.quarantined(source_id)) == {"a"}
    await shelf.store.drop_source(await shelf.store.open_collection("default"), "folder")
    assert await shelf.store.quarantined(source_id) == {}


async def test_a_sync_without_a_sign_of_life_counts_as_interrupted(database: Database) -> None:
    shelf = Shelf(PostgresKnowledgeStore(database))
    await shelf.store.begin_source(await shelf.open_source())
    await database.run(sql("UPDATE sources SET sync_seen_at = now() - interval '61 seconds'"))

    (source,) = await shelf.store.sources()
    assert source.state == "interrupted"


async def test_searching_with_another_model_than_the_stored_one_is_refused(shelf: Shelf) -> None:
    assert await Shelf(shelf.store, FakeEmbedder(name="fake:other")).search("leave") == []
    source_id = await shelf.open_source()
    await shelf.put(source_id, leave=LEAVE)
    other = Shelf(shelf.store, FakeEmbedder(name="fake:other"))

    with pytest.raises(EmbeddingMismatchError, match=r"fake:words.*fake:other"):
        await other.search("leave")


async def test_vectors_of_another_length_under_the_same_name_are_refused(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, leave=LEAVE)
    longer = Shelf(shelf.store, FakeEmbedder(dimensions=96))

    with pytest.raises(EmbeddingMismatchError):
        await longer.put(source_id, travel=TRAVEL)
    with pytest.raises(EmbeddingMismatchError):
        await longer.search("leave")
    assert set(await shelf.store.documents(source_id)) == {"leave"}


async def test_documents_put_again_with_a_new_model_are_found_with_it_and_no_longer_with_the_old(
    shelf: Shelf,
) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, leave=LEAVE)
    other = Shelf(shelf.store, FakeEmbedder(dimensions=96, name="fake:other"))

    await other.put(source_id, leave=LEAVE)

    assert (await shelf.store.documents(source_id))["leave"].embedder == "fake:other"
    (passage,) = await other.search("annual leave")
    assert passage.dense_rank == 1
    with pytest.raises(EmbeddingMismatchError):
        await shelf.search("annual leave")


async def test_nothing_of_a_deleted_document_stays_in_the_tables(database: Database) -> None:
    shelf = Shelf(PostgresKnowledgeStore(database))
    source_id = await shelf.open_source()
    await shelf.put(source_id, leave=LEAVE)
    await shelf.store.delete_documents([d.id for d in (await shelf.store.documents(source_id)).values()])

    (model,) = await database.run(sql("SELECT id FROM embedding_models"))
    for table in ("documents", "chunks", f"vectors_{model.id}"):
        (row,) = await database.run(sql(f"SELECT count(*) AS n FROM {table}"))  # noqa: S608
        assert row.n == 0


async def test_a_source_keeps_how_it_is_sliced(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    assert [status.chunking for status in await shelf.store.sources()] == [None]

    await shelf.store.record_chunking(source_id, "code")
    await shelf.open_source()

    assert [status.chunking for status in await shelf.store.sources()] == ["code"]
    assert await shelf.store.chunking_of(source_id) == "code"
