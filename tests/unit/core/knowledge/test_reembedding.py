"""From one embedder to another: what serves goes on serving, whatever breaks on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core.errors import ModelPermanentError, SettingsError
from core.knowledge.ingest import Ingestor
from core.knowledge.reembedding import CHUNKS_PER_STEP, Reembedding
from core.knowledge.search import Knowledge
from core.messages import Audience
from core.ports import Embedder
from core.testing.embedder import FakeEmbedder
from core.testing.knowledge import InMemoryKnowledgeStore
from core.testing.vectors import InMemoryVectorStore

ANYONE = Audience(platform="slack", workspace="W1", channel="C1")


class FailingEmbedder(FakeEmbedder):
    """Refuses every call after the first `calls`."""

    def __init__(self, calls: int, name: str = "fake:new") -> None:
        super().__init__(32, name)
        self.calls = calls

    async def embed_documents(self, texts: Sequence[str]) -> list[Sequence[float]]:
        if self.calls == 0:
            raise ModelPermanentError("the key is refused")
        self.calls -= 1
        return await super().embed_documents(texts)


@dataclass
class Team:
    """One database; `process` is one more process that uses it."""

    folder: Path
    old: FakeEmbedder = field(default_factory=lambda: FakeEmbedder(64, "fake:old"))
    store: InMemoryKnowledgeStore = field(default_factory=InMemoryKnowledgeStore)

    def __post_init__(self) -> None:
        self.vectors = InMemoryVectorStore(self.store)

    async def process(self, wanted: Embedder, *, old_is_lost: bool = False) -> Process:
        async def open_embedder(name: str) -> Embedder:
            if old_is_lost or name != self.old.name:
                raise SettingsError("OPENAI_API_KEY", "is not set.", "Set it.")
            return self.old

        knowledge, ingestor = Knowledge(self.store, wanted), Ingestor(self.store, wanted)
        reembedding = Reembedding(
            self.vectors, wanted, open_embedder=open_embedder, search=knowledge, ingestion=ingestor
        )
        await reembedding.follow()
        return Process(self, knowledge, ingestor, reembedding)


@dataclass
class Process:
    team: Team
    knowledge: Knowledge
    ingestor: Ingestor
    reembedding: Reembedding

    async def take_in(self, *texts: str) -> None:
        for text in texts:
            (self.team.folder / f"{text.split()[0]}.md").write_text(text)
        await self.ingestor.sync([str(self.team.folder)])

    async def finds(self, query: str) -> tuple[str, int | None]:
        """The first words found, and their rank in the dense leg."""
        found = await self.knowledge.search(query, audience=ANYONE, limit=1, or_by_words=True)
        return found[0].text.split()[0], found[0].dense_rank


@pytest.fixture
async def team(tmp_path: Path) -> Team:
    team = Team(tmp_path)
    process = await team.process(team.old)
    await process.take_in("hotels are paid by card", "trains are booked by the desk", "badges cost a fee")
    return team


async def test_the_first_embedder_of_all_serves_at_once(tmp_path: Path) -> None:
    team = Team(tmp_path)
    process = await team.process(team.old)
    assert not process.reembedding.is_due()
    await process.take_in("hotels are paid")
    assert not await process.reembedding.is_needed()
    assert await process.finds("hotels") == ("hotels", 1)


async def test_the_old_one_answers_until_the_new_one_takes_over(team: Team) -> None:
    new = FakeEmbedder(32, "fake:new")
    process = await team.process(new)
    assert process.reembedding.is_due()
    assert await process.finds("trains") == ("trains", 1)
    assert new.texts == 0

    seen: list[tuple[int, int]] = []
    await process.reembedding.fill(lambda done, total: seen.append((done, total)))
    assert seen[0] == (0, 3)
    assert seen[-1] == (3, 3)
    assert process.reembedding.serving == new.name
    assert not process.reembedding.is_due()
    asked = team.old.texts
    assert await process.finds("trains") == ("trains", 1)
    assert team.old.texts == asked


async def test_what_is_taken_in_meanwhile_is_found_at_once_and_afterwards(team: Team) -> None:
    process = await team.process(FakeEmbedder(32, "fake:new"))
    await process.take_in("lunch is paid on Fridays")
    assert await process.finds("lunch on Fridays") == ("lunch", 1)
    await process.reembedding.fill()
    assert await process.finds("lunch on Fridays") == ("lunch", 1)


async def test_a_fill_that_fails_changes_nothing_and_goes_on_where_it_stopped(team: Team) -> None:
    first = await team.process(team.old)
    await first.take_in(*(f"word{n} stands alone" for n in range(CHUNKS_PER_STEP + 20)))
    failing = FailingEmbedder(calls=8)
    process = await team.process(failing)
    with pytest.raises(ModelPermanentError):
        await process.reembedding.fill()
    assert process.reembedding.is_due()
    assert (await process.finds("trains"))[1] is not None
    embedded = failing.texts

    failing.calls = -1
    await process.reembedding.fill()
    assert process.reembedding.serving == failing.name
    assert failing.texts - embedded < CHUNKS_PER_STEP
    assert (await process.finds("trains"))[1] is not None


async def test_other_processes_follow(team: Team) -> None:
    new = FakeEmbedder(32, "fake:new")
    filling, other = await team.process(new), await team.process(new)
    await filling.reembedding.fill()
    await other.reembedding.follow()
    assert other.reembedding.serving == new.name
    assert not other.reembedding.is_due()
    assert await other.finds("trains") == ("trains", 1)


async def test_a_process_with_the_settings_of_before_follows_and_does_not_switch_back(team: Team) -> None:
    outdated = await team.process(team.old)
    new = FakeEmbedder(32, "fake:new")
    process = await team.process(new)
    await process.reembedding.fill()

    await outdated.reembedding.follow()
    assert not outdated.reembedding.is_due()
    assert not await outdated.reembedding.is_needed()
    assert outdated.reembedding.serving == new.name
    assert (await outdated.reembedding.progress()).embedder == new.name  # nothing is being filled


async def test_what_a_process_that_has_not_noticed_takes_in_is_seen_to(team: Team) -> None:
    unaware = await team.process(team.old)
    process = await team.process(FakeEmbedder(32, "fake:new"))
    await process.reembedding.fill()
    assert not await process.reembedding.is_needed()
    await unaware.take_in("lunch is paid on Fridays")
    assert await process.reembedding.is_needed()
    await process.reembedding.fill()
    assert await process.finds("lunch on Fridays") == ("lunch", 1)


async def test_without_the_old_one_words_alone_are_searched_until_the_new_one_takes_over(team: Team) -> None:
    process = await team.process(FakeEmbedder(32, "fake:new"), old_is_lost=True)
    assert await process.finds("trains") == ("trains", None)
    await process.take_in("lunch is paid on Fridays")
    assert (await process.finds("lunch on Fridays"))[0] == "lunch"
    await process.reembedding.fill()
    assert await process.finds("trains") == ("trains", 1)


async def test_the_way_back_costs_only_what_is_new(team: Team) -> None:
    process = await team.process(FakeEmbedder(32, "fake:new"))
    await process.reembedding.fill()
    await process.take_in("lunch is paid on Fridays")

    back = await team.process(team.old)
    assert back.reembedding.is_due()
    asked = team.old.texts
    await back.reembedding.fill()
    assert team.old.texts == asked + 1
    assert await back.finds("lunch on Fridays") == ("lunch", 1)
