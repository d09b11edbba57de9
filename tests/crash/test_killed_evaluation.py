"""An evaluation that was killed leaves its collection behind; the next one clears it away, and no one else's."""

from __future__ import annotations

import asyncio
import sys

import pytest

from core.evaluation.collection import Workbench, drop_left_behind, open_collection_of
from core.knowledge.documents import Document
from core.storage.database import Database
from core.storage.exclusive import PostgresExclusive
from core.storage.knowledge import PostgresKnowledgeStore
from core.testing.embedder import FakeEmbedder

EVALUATION = """
import asyncio, sys
from core.evaluation.collection import Workbench, open_collection_of
from core.knowledge.documents import Document
from core.storage.database import Database
from core.storage.exclusive import PostgresExclusive
from core.storage.knowledge import PostgresKnowledgeStore
from core.testing.embedder import FakeEmbedder

async def evaluate():
    database = Database(sys.argv[1])
    store = PostgresKnowledgeStore(database)
    documents = [Document(uri="a", title="A", text="Some text.", content_hash="a")]
    bench = Workbench(store, FakeEmbedder(), exclusively=PostgresExclusive(database).exclusively)
    async with open_collection_of("killed", documents, bench) as run:
        print(run.name, flush=True)
        await asyncio.sleep(600)

asyncio.run(evaluate())
"""
DOCUMENTS = [Document(uri="b", title="B", text="Another text.", content_hash="b")]


async def collections(store: PostgresKnowledgeStore) -> set[str]:
    return {status.collection for status in await store.sources()}


@pytest.fixture
def store(database: Database) -> PostgresKnowledgeStore:
    return PostgresKnowledgeStore(database)


async def test_what_a_killed_run_left_is_dropped_and_a_run_under_way_is_not(
    database: Database, database_url: str, store: PostgresKnowledgeStore
) -> None:
    exclusively = PostgresExclusive(database).exclusively
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", EVALUATION, database_url, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    name = ""
    async with asyncio.timeout(60):
        while not name.startswith("evaluation/"):
            name = (await process.stdout.readline()).decode().strip()

    await drop_left_behind(store, exclusively)
    assert name in await collections(store), "its process is alive"

    process.kill()
    await process.wait()
    async with asyncio.timeout(30):
        while name in await collections(store):
            bench = Workbench(store, FakeEmbedder(), exclusively=exclusively)
            async with open_collection_of("next", DOCUMENTS, bench):
                pass
            await asyncio.sleep(0.1)
    assert not await collections(store)
