"""While documents are read for the first time, whoever asks learns that something may be missing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from core.answers import Passage
from core.assistant import Assistant, Question
from core.errors import StorageUnavailableError
from core.graph.build import build_graph
from core.knowledge.documents import Grant, SourceStatus
from core.knowledge.first_reading import SECONDS_BETWEEN_LOOKS, FirstReading, ReadSoFar
from core.memory import ThreadMemory
from core.messages import Audience, Author, Channel, Thread
from core.providers.extractive import ExtractiveAnswerer
from core.testing.feedback import InMemoryFeedbackStore
from core.testing.inbox import InMemoryInbox
from core.testing.knowledge import InMemoryKnowledgeStore
from core.testing.outbox import InMemoryOutbox
from core.testing.turns import InMemoryTurnStore

READERS = Audience(platform="memory", workspace="W", channel="C")
REMARK = "*I am still reading the documents (6 of 39 so far), so something may be missing here. Ask me again in a while.*"


class Ground:
    """A store, its sources, and a clock that only moves when told to."""

    def __init__(self) -> None:
        self.store = InMemoryKnowledgeStore()
        self.now = 1000.0
        self.reading = FirstReading(self.store, clock=lambda: self.now)

    async def open_source(
        self, uri: str = "handbook", kind: str = "folder", *, every_seconds: float | None = 600.0
    ) -> int:
        collection = await self.store.open_collection("default")
        return await self.store.open_source(
            collection, uri, kind, kept_by="settings", every_seconds=every_seconds
        )


@pytest.fixture
def ground() -> Ground:
    return Ground()


async def test_it_tells_how_far_the_first_reading_is_until_it_is_over(ground: Ground) -> None:
    assert await ground.reading.so_far(READERS) is None  # nothing to read
    ground.now += SECONDS_BETWEEN_LOOKS
    source = await ground.open_source()
    assert await ground.reading.so_far(READERS) == ReadSoFar(done=0, total=0)
    await ground.store.begin_source(source)
    await ground.store.note_progress(source, 6, 39)
    assert await ground.reading.so_far(READERS) == ReadSoFar(done=6, total=39)
    await ground.store.finish_source(source, error=None)
    assert await ground.reading.so_far(READERS) is None
    await ground.store.begin_source(source)  # later ones only bring what is new
    ground.now += SECONDS_BETWEEN_LOOKS
    assert await ground.reading.so_far(READERS) is None


async def test_only_what_the_audience_may_read_counts(ground: Ground) -> None:
    await ground.store.open_collection("default")
    secret = await ground.store.open_collection(
        "secret", [Grant(platform="slack", workspace="T1", channel="C9")]
    )
    await ground.store.open_source(secret, "plans", "folder", kept_by="settings", every_seconds=600.0)
    assert await ground.reading.so_far(READERS) is None
    insiders = Audience(platform="slack", workspace="T1", channel="C9")
    assert await ground.reading.so_far(insiders) == ReadSoFar(done=0, total=0)


async def test_what_is_never_read_as_a_whole_or_not_by_itself_is_not_waited_for(ground: Ground) -> None:
    await ground.open_source("slack://T1/C1", "channel")
    await ground.open_source("by hand", every_seconds=None)
    assert await ground.reading.so_far(READERS) is None


class Unreachable(InMemoryKnowledgeStore):
    """A database that is away."""

    async def sources(self, *, readable_by: Audience | None = None) -> list[SourceStatus]:
        raise StorageUnavailableError("away")


async def test_a_database_that_is_away_breaks_no_answer() -> None:
    assert await FirstReading(Unreachable()).so_far(READERS) is None


class Silent(InMemoryKnowledgeStore):
    """A database that never answers."""

    async def sources(self, *, readable_by: Audience | None = None) -> list[SourceStatus]:
        await asyncio.Event().wait()
        return []


async def test_a_database_that_is_silent_holds_no_answer_back() -> None:
    async with asyncio.timeout(30.0):
        assert await FirstReading(Silent(), patience_seconds=0.01).so_far(READERS) is None


@pytest.mark.parametrize("found", [True, False], ids=["answered", "abstained"])
async def test_answers_and_abstentions_say_so_in_their_last_line(ground: Ground, found: bool) -> None:
    source = await ground.open_source()
    await ground.store.begin_source(source)
    await ground.store.note_progress(source, 6, 39)
    passage = Passage(
        rank=1, score=0.9, similarity=0.9, chunk_id=1, document_id=1, title="Leave", uri="leave.md", heading_path=(),
        text="Parental leave lasts 26 weeks, and every parent can take it.", source_id=source,
    )  # fmt: skip

    async def search(query: str, *, audience: Audience, context: str = "") -> list[Passage]:
        return [passage] if found else []

    inbox, model = InMemoryInbox(), ExtractiveAnswerer()
    turns = InMemoryTurnStore(inbox, InMemoryOutbox(inbox), InMemoryFeedbackStore())
    assistant = Assistant(
        build_graph(),
        [model],
        search,
        ThreadMemory(turns, model, budget_tokens=2000),
        turn_timeout_seconds=20.0,
        max_question_characters=12_000,
        first_reading=ground.reading,
    )
    thread = Thread(channel=Channel(platform="memory", workspace="W", id="C"), id="M1")
    question = Question(
        turn_id=uuid4(), message_id="M1", thread=thread, author=Author(id="U1"),
        text="How many weeks does parental leave last?", asked_at=datetime.now(UTC),
    )  # fmt: skip
    turn = await assistant.answer(question)
    assert turn.answer.abstained is not found
    assert turn.answer.text.endswith(f"\n\n{REMARK}")
    await ground.store.finish_source(source, error=None)
    turn = await assistant.answer(question)
    assert REMARK not in turn.answer.text
