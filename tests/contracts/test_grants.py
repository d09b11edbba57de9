"""Who may read what: collections, the grants that open them, and what is listed."""

from __future__ import annotations

import pytest

from core.knowledge.documents import Grant
from core.messages import Audience
from tests.contracts.shelf import ANYONE, LEAVE, Shelf


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


async def test_sources_are_listed_for_those_who_may_read_them(shelf: Shelf) -> None:
    private = Grant(platform="slack", workspace="W1", channel="C1")
    await shelf.open_source("open")
    await shelf.open_source("closed", collection="private", grants=[private])
    other = Audience(platform="slack", workspace="W1", channel="C2")

    assert [s.uri for s in await shelf.store.sources()] == ["open", "closed"]
    assert [s.uri for s in await shelf.store.sources(readable_by=ANYONE)] == ["open", "closed"]
    assert [s.uri for s in await shelf.store.sources(readable_by=other)] == ["open"]
