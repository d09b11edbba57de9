"""U3, U4: what a search returns is what everyone who can read the reply may read, all of it and nothing else, from the
moment a grant is given or taken back; and what is hidden does not show in what is returned."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import pytest
from sqlalchemy import text

from core.answers import Passage
from core.knowledge.documents import Grant
from core.knowledge.search_policy import SearchPolicy
from core.messages import Audience
from core.storage.database import Database
from core.storage.knowledge import PostgresKnowledgeStore
from tests.contracts.shelf import Shelf

PLATFORMS = ("slack", "discord")
WORKSPACES = ("W1", "W2", "w1", "W1 ", "%")
CHANNELS = ("C1", "C2", "c1", "C1'; --", "*", "")
PLACES = [
    Audience(platform=platform, workspace=workspace, channel=channel, outsiders=outsiders)
    for platform, workspace, channel, outsiders in product(PLATFORMS, WORKSPACES, CHANNELS, (False, True))
]
WORDS = ["leave", "travel", "badge", "laptop", "visa"]
COLLECTIONS, DOCUMENTS_EACH, ROUNDS, SEARCHES = 40, 3, 4, 21
EVERYTHING = COLLECTIONS * DOCUMENTS_EACH


@dataclass
class Expected:
    """Who may read which documents, without any SQL: a plain list of grants for each collection."""

    grants: dict[str, list[Grant]] = field(default_factory=dict)
    documents: dict[str, dict[str, str]] = field(default_factory=dict)

    def readable(self, place: Audience, names: set[str] | None = None) -> set[str]:
        return {
            uri
            for name, documents in self.documents.items()
            if (names is None or name in names) and any(grant.admits(place) for grant in self.grants[name])
            for uri in documents
        }


def draw_grant(numbers: random.Random) -> Grant:
    """Sometimes wide, mostly one channel, of names that are easily taken for one another."""
    depth = numbers.choice((0, 1, 2, 2, 3, 3, 3, 3)) if numbers.random() < 0.9 else 3
    platform, workspace = numbers.choice(PLATFORMS), numbers.choice(WORKSPACES)
    return Grant(
        platform=platform if depth >= 1 else None,
        workspace=workspace if depth >= 2 else None,
        channel=numbers.choice(CHANNELS[:-1]) if depth == 3 else None,
    )


async def fill(shelf: Shelf, numbers: random.Random) -> Expected:
    expected = Expected()
    for n in range(COLLECTIONS):
        name = f"collection{n}"
        grants = [draw_grant(numbers) for _ in range(numbers.choice((1, 1, 2, 3)))]
        source_id = await shelf.open_source(name, collection=name, grants=grants)
        texts = {f"{name}/{d}": f"All about {' and '.join(WORDS)}." for d in range(DOCUMENTS_EACH)}
        await shelf.put(source_id, **texts)
        expected.grants[name], expected.documents[name] = grants, texts
    return expected


async def change_grants(shelf: Shelf, expected: Expected, numbers: random.Random) -> None:
    """Somebody leaves a channel, somebody joins one; some collections end up without any reader."""
    for name in numbers.sample(sorted(expected.grants), COLLECTIONS // 2):
        grants = expected.grants[name]
        gone = numbers.sample(grants, numbers.randint(0, len(grants)))
        left = await shelf.store.revoke_grants(name, gone)
        added = [draw_grant(numbers)] if numbers.random() < 0.5 else []
        if added:
            await shelf.store.open_collection(name, added)
        expected.grants[name] = [*left, *added]


async def search(shelf: Shelf, place: Audience, how: int, names: set[str] | None) -> list[Passage]:
    """By words and meaning, by meaning alone, or by words alone."""
    question = WORDS[how % len(WORDS)]
    vector = None if how % 3 == 2 else await shelf.embedder.embed_query(question)
    return await shelf.store.search(
        "" if how % 3 == 1 else question,
        vector,
        embedder=shelf.embedder.name,
        audience=place,
        limit=EVERYTHING,
        collections=names,
    )


async def check_places(
    shelf: Shelf, expected: Expected, places: Sequence[Audience], numbers: random.Random
) -> int:
    """How many pairs of place and document were checked, none of them wrong in either direction."""
    for how, place in enumerate(places):
        names = set(numbers.sample(sorted(expected.grants), 5)) if how % 7 == 6 else None
        found = await search(shelf, place, how, names)
        assert sorted(p.uri for p in found) == sorted(expected.readable(place, names)), (place, how)
    place = places[0]
    listed = {source.uri for source in await shelf.store.sources(readable_by=place)}
    assert {uri.split("/")[0] for uri in expected.readable(place)} == listed
    return len(places) * EVERYTHING


async def check_triples(shelf: Shelf, seed: int) -> int:
    numbers = random.Random(seed)  # noqa: S311 (reproducible, not secret)
    expected = await fill(shelf, numbers)
    checked = 0
    for _ in range(ROUNDS):
        checked += await check_places(shelf, expected, numbers.sample(PLACES, SEARCHES), numbers)
        await change_grants(shelf, expected, numbers)
    assert any(not grants for grants in expected.grants.values())
    return checked


async def test_every_place_finds_what_everyone_there_may_read_and_nothing_else(shelf: Shelf) -> None:
    """10,080 triples of question, place and document, with grants given and taken back in between."""
    assert await check_triples(shelf, seed=1) >= 10_000


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
async def test_every_place_finds_what_everyone_there_may_read_whatever_is_drawn(
    shelf: Shelf, seed: int
) -> None:
    assert await check_triples(shelf, seed) >= 10_000


async def test_the_indexes_lead_to_nothing_else_either(database: Database) -> None:
    """The same where both legs go by their index: none finds what it may not, and meaning still finds all."""
    policy = SearchPolicy(exact_rows=0, lexical_exact_rows=1, leg_size=EVERYTHING)
    shelf = Shelf(PostgresKnowledgeStore(database, policy))
    numbers = random.Random(12)  # noqa: S311 (reproducible, not secret)
    expected = await fill(shelf, numbers)
    await database.run(text("UPDATE collections SET chunks = 3"))  # as if they had been counted
    for how, place in enumerate(numbers.sample(PLACES, 30)):
        found = {passage.uri for passage in await search(shelf, place, how, None)}
        readable = expected.readable(place)
        assert found <= readable, place
        assert found == readable or how % 3 == 2, place
        assert bool(found) == bool(readable), place


async def test_what_is_hidden_changes_nothing_in_what_is_returned(shelf: Shelf) -> None:
    """Places, scores and figures are those of a store without the hidden documents, and so is finding nothing."""
    here = Audience(platform="slack", workspace="W1", channel="C1")
    source_id = await shelf.open_source("open", grants=[Grant(platform="slack", workspace="W1")])
    await shelf.put(source_id, **{f"page{n}": f"The {WORDS[n % 5]} office, floor {n}." for n in range(12)})
    await shelf.store.finish_source(source_id, error=None)
    questions = ("travel office", "merger", "leave and the merger with Initech", "floor 7")
    before = [await shelf.search(question, here, limit=20) for question in questions]
    listed = await shelf.store.sources(readable_by=here)

    hidden = await shelf.open_source(
        "hidden", collection="board", grants=[Grant(platform="slack", workspace="W1", channel="board")]
    )
    secrets = {f"secret{n}": f"The merger with Initech, the travel office, {n}." for n in range(12)}
    await shelf.put(hidden, **secrets)
    await shelf.store.finish_source(hidden, error=None)

    assert [await shelf.search(question, here, limit=20) for question in questions] == before
    assert await shelf.store.sources(readable_by=here) == listed
    board = here.model_copy(update={"channel": "board"})
    assert {p.uri for p in await shelf.search("merger with Initech", board, limit=24)} >= set(secrets)
