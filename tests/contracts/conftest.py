"""The stores of the road, once in memory and once in Postgres: both must keep the same promises."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from core.ports import KnowledgeStore
from core.storage.database import Database
from core.storage.feedback import PostgresFeedbackStore
from core.storage.inbox import PostgresInbox
from core.storage.knowledge import PostgresKnowledgeStore
from core.storage.outbox import PostgresOutbox
from core.storage.positions import PostgresChannelPositions
from core.storage.turns import PostgresTurnStore
from core.testing.feedback import InMemoryFeedbackStore
from core.testing.inbox import InMemoryInbox
from core.testing.knowledge import InMemoryKnowledgeStore
from core.testing.outbox import InMemoryOutbox
from core.testing.positions import InMemoryChannelPositions
from core.testing.turns import InMemoryTurnStore
from tests.contracts.roads import Road
from tests.contracts.shelf import Shelf

TRACES_AGAIN_SECONDS = 0.2


@pytest.fixture
def memory_road() -> Road:
    inbox, feedback, positions = InMemoryInbox(), InMemoryFeedbackStore(), InMemoryChannelPositions()
    outbox = InMemoryOutbox(inbox)
    turns = InMemoryTurnStore(inbox, outbox, feedback, positions, traces_again_seconds=TRACES_AGAIN_SECONDS)
    return Road(inbox, outbox, turns, feedback, positions)


@pytest.fixture
async def postgres_road(database: Database) -> AsyncIterator[Road]:
    inbox = PostgresInbox(database)
    yield Road(
        inbox,
        PostgresOutbox(database),
        PostgresTurnStore(database, traces_again_seconds=TRACES_AGAIN_SECONDS),
        PostgresFeedbackStore(database),
        PostgresChannelPositions(database),
    )
    await inbox.aclose()


@pytest.fixture(params=["memory", "postgres"])
def road(request: pytest.FixtureRequest) -> Road:
    """Both kinds in turn."""
    stores: Road = request.getfixturevalue(f"{request.param}_road")
    return stores


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest) -> KnowledgeStore:
    if request.param == "memory":
        return InMemoryKnowledgeStore()
    database: Database = request.getfixturevalue("database")
    return PostgresKnowledgeStore(database)


@pytest.fixture
def shelf(store: KnowledgeStore) -> Shelf:
    return Shelf(store)
