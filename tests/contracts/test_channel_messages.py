"""What every store of channel messages promises."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from core.knowledge.channel_messages import ChannelMessages, Talk, WatchedChannel
from core.knowledge.documents import Document
from core.messages import Author, Channel, Message, Thread
from core.ports import KnowledgeStore
from core.storage.channel_messages import PostgresChannelMessages
from core.storage.database import Database
from core.storage.knowledge import PostgresKnowledgeStore
from core.testing.channel_messages import InMemoryChannelMessages
from core.testing.knowledge import InMemoryKnowledgeStore

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
WATCHED = WatchedChannel(platform="chat", workspace="W1", channel="C1")
CHANNEL = Channel(platform="chat", workspace="W1", id="C1")
PART = Channel(platform="chat", workspace="W1", id="C1THREAD", parent="C1")
Stores = tuple[KnowledgeStore, ChannelMessages]


@pytest.fixture(params=["memory", "postgres"])
def stores(request: pytest.FixtureRequest) -> Stores:
    if request.param == "memory":
        store = InMemoryKnowledgeStore()
        return store, InMemoryChannelMessages(store)
    database: Database = request.getfixturevalue("database")
    return PostgresKnowledgeStore(database), PostgresChannelMessages(database)


@pytest.fixture
async def source_id(stores: Stores) -> int:
    store, said = stores
    collection_id = await store.open_collection(WATCHED.uri, [WATCHED.own_grant])
    source_id = await store.open_source(collection_id, WATCHED.uri, "channel")
    await said.open_history(source_id, first_read_seconds=0.0)
    return source_id


def make_said(
    id: str,
    text: str = "hello",
    *,
    thread: str | None = None,
    channel: Channel = CHANNEL,
    author: str = "U1",
    minutes: int = 0,
    edited_minutes: int | None = None,
) -> Message:
    return Message(
        id=id,
        thread=Thread(channel=channel, id=thread or id),
        author=Author(id=author, name=author.lower()),
        text=text,
        at=NOON + timedelta(minutes=minutes),
        edited_at=None if edited_minutes is None else NOON + timedelta(minutes=edited_minutes),
    )


async def texts(stores: Stores, source_id: int) -> dict[str, list[str]]:
    """What each document is made of, by key."""
    _, said = stores
    return {
        talk.key: [m.text for m in await said.messages_of(source_id, talk, f"uri/{talk.key}")]
        for talk in await said.talks(source_id)
    }


async def test_threads_are_documents_and_so_is_what_is_left_of_each_day(
    stores: Stores, source_id: int
) -> None:
    _, said = stores
    await said.record([make_said("1", "root"), make_said("2", "reply", thread="1", minutes=1)])
    await said.record([make_said("3", "alone", minutes=2), make_said("4", "next day", minutes=24 * 60)])
    await said.record([make_said("5", "in a place of its own", channel=PART, thread="C1THREAD")])
    assert await texts(stores, source_id) == {
        "1": ["root", "reply"],
        "2026-11-22": ["alone"],
        "2026-11-23": ["next day"],
        "C1THREAD": ["in a place of its own"],
    }
    await said.record([make_said("6", "a late reply", thread="3", minutes=3)])
    assert (await texts(stores, source_id))["3"] == ["alone", "a late reply"]


async def test_what_is_of_no_watched_channel_is_passed_over(stores: Stores, source_id: int) -> None:
    store, said = stores
    elsewhere = Channel(platform="chat", workspace="W1", id="C2")
    namesake = Channel(platform="chat", workspace="W2", id="C1")
    assert await said.record([make_said("1", channel=elsewhere), make_said("2", channel=namesake)]) == 0
    assert await said.talks(source_id) == []
    assert [channel.uri for channel in await said.watched()] == [WATCHED.uri]
    assert await store.due_sources(channels=True) == []


async def test_a_channel_in_which_something_changed_is_due(stores: Stores, source_id: int) -> None:
    store, said = stores
    assert await said.record([make_said("1")]) == 1
    assert await store.due_sources(channels=True) == [source_id]
    assert await store.due_sources() == []
    await store.begin_source(source_id)
    await store.finish_source(source_id, error=None)
    assert await said.record([make_said("1")]) == 0
    assert await store.due_sources(channels=True) == []


async def test_the_newest_version_of_a_message_stands_in_whatever_order_they_come(
    stores: Stores, source_id: int
) -> None:
    _, said = stores
    (talk,) = await talks_after(said, source_id, make_said("1", "first"))
    (edited,) = await talks_after(said, source_id, make_said("1", "second", edited_minutes=2))
    assert edited.version != talk.version
    await said.record([make_said("1", "between", edited_minutes=1), make_said("1", "first")])
    assert await said.talks(source_id) == [edited]
    assert await texts(stores, source_id) == {"2026-11-22": ["second"]}


async def talks_after(said: ChannelMessages, source_id: int, message: Message) -> list[Talk]:
    await said.record([message])
    return await said.talks(source_id)


async def put_documents(stores: Stores, source_id: int) -> None:
    """One for each talk, as a sync would."""
    store, said = stores
    for talk in await said.talks(source_id):
        uri = f"uri/{talk.key}"
        await said.messages_of(source_id, talk, uri)
        document = Document(uri=uri, title="t", text="t", content_hash=talk.version)
        await store.put_documents(source_id, [(document, [], [])], embedder="none")


async def test_what_is_removed_goes_with_its_document_and_stays_away(stores: Stores, source_id: int) -> None:
    store, said = stores
    await said.record([make_said("1", "root"), make_said("2", "reply", thread="1"), make_said("3", "alone")])
    await put_documents(stores, source_id)
    assert set(await store.documents(source_id)) == {"uri/1", "uri/2026-11-22"}
    await store.begin_source(source_id)
    await store.finish_source(source_id, error=None)
    assert await said.remove(CHANNEL, ["2"]) == 1
    assert set(await store.documents(source_id)) == {"uri/2026-11-22"}
    assert await store.due_sources(channels=True) == [source_id]
    assert await said.remove(CHANNEL, ["2"]) == 0
    assert await said.record([make_said("2", "reply", thread="1", edited_minutes=9)]) == 0
    assert await texts(stores, source_id) == {"2026-11-22": ["root", "alone"]}


async def test_what_was_deleted_before_it_arrives_never_does(stores: Stores, source_id: int) -> None:
    _, said = stores
    assert await said.remove(CHANNEL, ["1"]) == 0
    assert await said.remove(PART, ["2"]) == 0
    assert await said.record([make_said("1"), make_said("2", channel=PART, thread="C1THREAD")]) == 0
    assert await said.talks(source_id) == []


async def test_an_author_and_a_thread_are_forgotten_everywhere(stores: Stores, source_id: int) -> None:
    _, said = stores
    await said.record([make_said("1", "by one"), make_said("2", "by two", author="U2", thread="1")])
    await said.record([make_said("3", "by two again", author="U2"), make_said("4", "by one again")])
    await said.record([make_said("5", "apart", channel=PART, thread="C1THREAD")])
    assert await said.forget_author("chat", "W2", "U2") == 0
    assert await said.forget_author("chat", "W1", "U2") == 2
    assert await said.record([make_said("3", "by two again", author="U2")]) == 0
    assert sorted(t for one in (await texts(stores, source_id)).values() for t in one) == [
        "apart",
        "by one",
        "by one again",
    ]
    assert await said.forget_thread(Thread(channel=PART, id="C1THREAD")) == 1
    assert await said.forget_thread(Thread(channel=CHANNEL, id="1")) == 1
    assert await texts(stores, source_id) == {"2026-11-22": ["by one again"]}


async def test_a_history_is_read_on_where_it_stopped(stores: Stores, source_id: int) -> None:
    _, said = stores
    (history,) = await said.histories(due=True)
    assert (history.channel, history.cursor, history.is_whole) == (WATCHED, None, False)
    public = WATCHED.model_copy(update={"private": False})
    known = history.model_copy(update={"channel": public, "cursor": "page 2", "newest": "9", "name": "ops"})
    await said.note_history(known, next_read_seconds=3600.0)
    await said.open_history(source_id, first_read_seconds=0.0)
    assert await said.histories(due=True) == []
    assert await said.histories() == [known]
    assert await said.watched() == [public]
    await said.note_history(known, next_read_seconds=0.0)
    assert await said.histories(due=True) == [known]


async def test_all_of_it_goes_with_its_collection(stores: Stores, source_id: int) -> None:
    store, said = stores
    await said.record([make_said("1")])
    await store.drop_collection(WATCHED.uri)
    assert await said.watched() == []
    assert await said.histories() == []
    assert await said.remove(CHANNEL, ["2"]) == 0
