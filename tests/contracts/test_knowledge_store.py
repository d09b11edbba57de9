"""What every KnowledgeStore must do, run on the one in memory and on the one in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text as sql

from core.errors import EmbeddingMismatchError
from core.knowledge.chunking import ChunkingPolicy, ChunkingStrategy, chunk_text, embedding_text
from core.knowledge.documents import Document, Grant, Keeper, QuarantinedDocument, SyncOutcome
from core.knowledge.search_policy import SearchPolicy, share_of_word
from core.messages import Audience, Extent, Passage
from core.ports import KnowledgeStore
from core.storage.database import Database
from core.storage.knowledge import PostgresKnowledgeStore
from core.testing.embedder import FakeEmbedder
from core.testing.knowledge import InMemoryKnowledgeStore

ANYONE = Audience(platform="slack", workspace="W1", channel="C1")
LEAVE = "Staff earn four hours of annual leave in each pay period."
TRAVEL = "Book travel through the agency before the trip starts."


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest) -> KnowledgeStore:
    if request.param == "memory":
        return InMemoryKnowledgeStore()
    database: Database = request.getfixturevalue("database")
    return PostgresKnowledgeStore(database)


class Shelf:
    """Puts documents into a store and searches them, embedding as it goes."""

    def __init__(self, store: KnowledgeStore, embedder: FakeEmbedder | None = None) -> None:
        self.store = store
        self.embedder = embedder or FakeEmbedder()

    async def open_source(
        self, uri: str = "folder", *, collection: str = "default", grants: Sequence[Grant] = ()
    ) -> int:
        collection_id = await self.store.open_collection(collection, grants)
        return await self.store.open_source(collection_id, uri, "folder")

    async def put(self, source_id: int, *, author: str | None = None, **texts: str) -> None:
        documents = []
        for uri, text in texts.items():
            document = Document(
                uri=uri, title=uri.title(), text=text, content_hash=f"hash of {text}", author=author
            )
            chunks = chunk_text(text, title=document.title)
            vectors = await self.embedder.embed_documents(
                [embedding_text(document.title, chunk) for chunk in chunks]
            )
            documents.append((document, chunks, vectors))
        await self.store.put_documents(source_id, documents, embedder=self.embedder.name)

    async def search(
        self,
        query: str,
        audience: Audience = ANYONE,
        *,
        limit: int = 5,
        collections: set[str] | None = None,
        context: str = "",
    ) -> list[Passage]:
        return await self.store.search(
            query,
            await self.embedder.embed_query(query),
            embedder=self.embedder.name,
            audience=audience,
            limit=limit,
            collections=collections,
            context=context,
        )

    async def found(
        self, query: str, audience: Audience = ANYONE, collections: set[str] | None = None
    ) -> set[str]:
        return {passage.uri for passage in await self.search(query, audience, collections=collections)}


@pytest.fixture
def shelf(store: KnowledgeStore) -> Shelf:
    return Shelf(store)


async def test_words_said_before_tip_the_scales_between_equals(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, forms="The limit of the printer.", trains="The limit of the railway.")
    for topic, wanted in (("railway", "trains"), ("printer", "forms")):
        first, second = await shelf.search("What is the limit?", context=f"{topic} delays")
        assert (first.uri, first.score > second.score) == (wanted, True)


async def test_words_said_before_do_not_outweigh_the_question(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, leave=LEAVE, travel=TRAVEL)
    [first, *_] = await shelf.search("annual leave", context="agency travel trip")
    assert first.uri == "leave"


async def test_words_said_before_find_what_a_question_without_a_word_means(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, leave=LEAVE, travel=TRAVEL)
    [first, *_] = await shelf.search("what is it?", context="travel agency")
    assert first.uri == "travel"
    assert first.lexical_rank == 1


async def test_the_best_passage_comes_first_with_what_is_known_of_it(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, leave=f"# Benefits\n\n## Holidays\n\n{LEAVE}", travel=TRAVEL)

    best, other = await shelf.search("How much annual leave do staff earn?")

    assert (best.uri, best.title, best.rank) == ("leave", "Leave", 1)
    assert best.heading_path == ("Benefits", "Holidays")
    assert best.text == LEAVE
    assert (best.dense_rank, best.lexical_rank) == (1, 1)
    assert best.score > other.score
    assert other.rank == 2
    stored = await shelf.store.documents(source_id)
    assert best.document_id == stored["leave"].id


async def test_similarity_is_the_cosine_to_the_query(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, leave=LEAVE)

    (passage,) = await shelf.search(f"Leave\n\n{LEAVE}")

    assert passage.similarity == pytest.approx(1.0, abs=2e-3)


async def test_scores_are_those_of_the_policy_for_the_figures_of_the_legs(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, leave=LEAVE, travel=TRAVEL, both=f"{LEAVE} {TRAVEL}")

    for passage in await shelf.search("annual leave and travel"):
        expected = SearchPolicy().score(passage.similarity, passage.coverage)
        assert passage.score == pytest.approx(expected)


async def test_coverage_grows_with_the_words_held_and_stays_a_share(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, leave=LEAVE, travel=TRAVEL, both=f"{LEAVE} {TRAVEL}")

    coverage = {p.uri: p.coverage or 0.0 for p in await shelf.search("annual leave and travel")}

    assert 0.0 < coverage["travel"] < coverage["both"] < 1.0
    assert 0.0 < coverage["leave"] < coverage["both"]


async def test_coverage_is_the_share_of_bm25_that_the_policy_says(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, one="zebra zebra zebra quagga okapi tapir")

    (passage,) = [p for p in await shelf.search("zebra") if p.uri == "one"]

    assert passage.coverage == pytest.approx(share_of_word(3, 7), abs=1e-6)  # "One" is the title


async def test_what_only_the_words_found_has_its_similarity_too(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, leave=LEAVE, travel=TRAVEL)

    assert all(p.similarity is not None for p in await shelf.search("annual leave and travel"))


async def test_a_question_is_found_by_any_of_its_words(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, leave=LEAVE, travel=TRAVEL)

    passages = await shelf.search("Whom do I ask when my trip to Mars was cancelled by the agency?")

    assert passages[0].uri == "travel"
    assert passages[0].lexical_rank == 1
    assert [p.lexical_rank for p in passages if p.uri == "leave"] == [None]


async def test_a_rare_word_weighs_more_than_a_common_one(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    common = {f"page{n}": f"The printer on floor {n} needs paper paper paper." for n in range(12)}
    await shelf.put(source_id, **common, rare="The printer speaks Zigbee.")
    await shelf.store.finish_source(source_id, error=None)

    passages = await shelf.search("printer paper zigbee", limit=20)

    assert next(p.uri for p in passages if p.lexical_rank == 1) == "rare"


async def test_a_word_in_the_title_or_a_heading_is_found(shelf: Shelf) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, onboarding="Welcome.", pets="## Hamsters\n\nAllowed on Fridays.")

    assert [p.uri for p in await shelf.search("onboarding") if p.lexical_rank] == ["onboarding"]
    assert [p.uri for p in await shelf.search("hamsters") if p.lexical_rank] == ["pets"]


@pytest.mark.parametrize(
    "query",
    ["", "the of and", "'; DROP TABLE chunks; --", "a:*&|!<->()\\'\"", "%", "\u0000", "word " * 3000, "🦄"],
)
async def test_no_query_is_too_odd_to_search_for(shelf: Shelf, query: str) -> None:
    source_id = await shelf.open_source()
    await shelf.put(source_id, leave=LEAVE)

    assert await shelf.found(query) <= {"leave"}
    assert await shelf.found("annual leave") == {"leave"}


async def test_what_is_granted_to_one_channel_is_found_nowhere_else(shelf: Shelf) -> None:
    private = Grant(platform="slack", workspace="W1", channel="C1")
    source_id = await shelf.open_source(collection="private", grants=[private])
    await shelf.put(source_id, leave=LEAVE)

    assert await shelf.found("annual leave") == {"leave"}
    for elsewhere in (
        Audience(platform="slack", workspace="W1", channel="C2"),
        Audience(platform="slack", workspace="W2", channel="C1"),
        Audience(platform="discord", workspace="W1", channel="C1"),
        Audience(platform="", workspace="", channel=""),
    ):
        assert await shelf.found("annual leave", elsewhere) == set()


@pytest.mark.parametrize(
    ("grant", "readers"),
    [
        (Grant(), {"here", "same workspace", "same platform", "elsewhere"}),
        (Grant(platform="slack"), {"here", "same workspace", "same platform"}),
        (Grant(platform="slack", workspace="W1"), {"here", "same workspace"}),
        (Grant(platform="slack", workspace="W1", channel="C1"), {"here", "here, with outsiders"}),
    ],
)
async def test_a_grant_admits_exactly_whom_it_names(shelf: Shelf, grant: Grant, readers: set[str]) -> None:
    await shelf.put(await shelf.open_source(grants=[grant]), leave=LEAVE)
    audiences = {
        "here": ANYONE,
        "same workspace": Audience(platform="slack", workspace="W1", channel="C2"),
        "same platform": Audience(platform="slack", workspace="W2", channel="C1"),
        "elsewhere": Audience(platform="discord", workspace="W1", channel="C1"),
        "here, with outsiders": ANYONE.model_copy(update={"outsiders": True}),
    }

    assert {name for name, a in audiences.items() if await shelf.found("annual leave", a)} == readers


async def test_a_private_collection_does_not_hide_behind_a_public_one_or_show_through_it(
    shelf: Shelf,
) -> None:
    secret = Grant(platform="slack", workspace="W1", channel="secret")
    await shelf.put(await shelf.open_source(), public=LEAVE)
    await shelf.put(await shelf.open_source(collection="private", grants=[secret]), hidden=f"{LEAVE} {LEAVE}")

    inside = Audience(platform="slack", workspace="W1", channel="secret")
    assert await shelf.found("annual leave") == {"public"}
    assert await shelf.found("annual leave", inside) == {"public", "hidden"}


async def test_naming_collections_narrows_and_never_widens(shelf: Shelf) -> None:
    secret = Grant(platform="slack", workspace="W1", channel="secret")
    await shelf.put(await shelf.open_source(), public=LEAVE)
    await shelf.put(await shelf.open_source(collection="other"), other=LEAVE)
    await shelf.put(await shelf.open_source(collection="private", grants=[secret]), hidden=LEAVE)

    assert await shelf.found("annual leave", collections={"other"}) == {"other"}
    assert await shelf.found("annual leave", collections={"private"}) == set()
    assert await shelf.found("annual leave", collections=set()) == set()


async def test_grants_are_added_and_a_new_collection_without_any_is_for_everyone(shelf: Shelf) -> None:
    first, second = (Grant(platform="slack", workspace="W1", channel=channel) for channel in ("C1", "C2"))
    await shelf.put(await shelf.open_source(grants=[first]), leave=LEAVE)
    other = Audience(platform="slack", workspace="W1", channel="C2")
    assert await shelf.found("annual leave", other) == set()

    again = await shelf.store.open_collection("default", [second, second])
    assert again == await shelf.store.open_collection("default")

    assert await shelf.found("annual leave", other) == {"leave"}
    third = Audience(platform="slack", workspace="W1", channel="C3")
    assert await shelf.found("annual leave", third) == set()


async def test_a_grant_that_is_taken_back_ends_at_once(shelf: Shelf) -> None:
    here, there = (Grant(platform="slack", workspace="W1", channel=channel) for channel in ("C1", "C2"))
    await shelf.put(await shelf.open_source(grants=[here, there]), leave=LEAVE)
    assert await shelf.found("annual leave") == {"leave"}

    assert await shelf.store.revoke_grants("default", [here, Grant(), Grant(platform="slack")]) == [there]
    assert await shelf.found("annual leave") == set()
    assert await shelf.found("annual leave", Audience(platform="slack", workspace="W1", channel="C2")) == {
        "leave"
    }

    assert await shelf.store.revoke_grants("default", [there]) == []
    await shelf.store.open_collection("default")
    assert (
        await shelf.found("annual leave", Audience(platform="slack", workspace="W1", channel="C2")) == set()
    )
    assert await shelf.store.revoke_grants("never known", [Grant()]) == []


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


async def test_sources_are_listed_for_those_who_may_read_them(shelf: Shelf) -> None:
    private = Grant(platform="slack", workspace="W1", channel="C1")
    await shelf.open_source("open")
    await shelf.open_source("closed", collection="private", grants=[private])
    other = Audience(platform="slack", workspace="W1", channel="C2")

    assert [s.uri for s in await shelf.store.sources()] == ["open", "closed"]
    assert [s.uri for s in await shelf.store.sources(readable_by=ANYONE)] == ["open", "closed"]
    assert [s.uri for s in await shelf.store.sources(readable_by=other)] == ["open"]


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


async def test_an_empty_store_finds_nothing(shelf: Shelf) -> None:
    await shelf.open_source()

    assert await shelf.search("anything") == []
    assert await shelf.store.documents(await shelf.open_source()) == {}


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


async def test_a_passage_knows_where_it_stands(shelf: Shelf) -> None:
    await shelf.put(await shelf.open_source(), leave=f"# Leave\n\n{LEAVE}")

    passage = (await shelf.search(LEAVE))[0]

    assert passage.extent == Extent(first=0, last=0, start=9, end=9 + len(LEAVE))


async def test_a_small_chunk_is_read_with_its_whole_parent(shelf: Shelf) -> None:
    rows = [f"| Country number {n} | {n} |" for n in range(12)]
    text = "\n".join(
        [
            "# Leave",
            "",
            "Rest well. " * 20,
            "",
            "| Country | Days |",
            "| --- | --- |",
            *rows,
            "",
            "# End",
            "",
            LEAVE,
        ]
    )
    policy = ChunkingPolicy(
        strategy=ChunkingStrategy.SMALL_TO_BIG, child_tokens=30, parent_tokens=90, small_tokens=0
    )
    chunks = chunk_text(text, policy=policy)
    document = Document(uri="leave", title="", text=text, content_hash="x")
    vectors = await shelf.embedder.embed_documents([embedding_text("", chunk) for chunk in chunks])
    source_id = await shelf.open_source()
    await shelf.store.put_documents(source_id, [(document, chunks, vectors)], embedder=shelf.embedder.name)

    found = await shelf.search("country number 11", limit=50)

    assert len(found) == len(chunks)
    for passage in found:
        assert passage.extent is not None
        own = passage.text[passage.extent.repeated :]
        assert own == text[passage.extent.start : passage.extent.end]
        assert len({chunk.parent for chunk in chunks[passage.extent.first : passage.extent.last + 1]}) == 1
    best = found[0]
    assert "| Country number 11 | 11 |" in best.text
    assert best.text.startswith("| Country | Days |\n| --- | --- |\n")
    assert max(passage.text.count("Country number") for passage in found) > 3
