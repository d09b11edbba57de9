"""A source's way of chunking is its own: it is kept, it decides what is read, and a change slices anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from core.knowledge.chunking import ChunkingPolicy, ChunkingStrategy
from core.knowledge.ingest import Ingestor
from core.knowledge.search import Knowledge
from core.messages import Audience
from core.testing.embedder import FakeEmbedder
from core.testing.knowledge import InMemoryKnowledgeStore

ANYONE = Audience(platform="web", workspace="W1", channel="C1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    folder.joinpath("leave.md").write_text("# Leave\n\n" + "Tell your manager before you leave. " * 40)
    return folder


async def test_a_choice_is_kept_for_later_syncs_and_default_gives_it_up(folder: Path) -> None:
    store, embedder = InMemoryKnowledgeStore(), FakeEmbedder()
    ingestor = Ingestor(store, embedder)
    by_structure = (await ingestor.sync([str(folder)])).chunks

    chosen = await ingestor.sync([str(folder)], chunking=ChunkingStrategy.SMALL_TO_BIG)
    assert (chosen.updated, chosen.chunks > by_structure) == (1, True)
    assert [status.chunking for status in await store.sources()] == ["small-to-big"]

    later = await Ingestor(store, embedder).sync([str(folder)])
    assert (later.unchanged, later.chunks) == (1, chosen.chunks)

    back = await ingestor.sync([str(folder)], chunking="default")
    assert (back.updated, back.chunks) == (1, by_structure)
    assert [status.chunking for status in await store.sources()] == [None]


async def test_another_default_slices_anew_what_has_no_choice_of_its_own(folder: Path) -> None:
    store, embedder = InMemoryKnowledgeStore(), FakeEmbedder()
    await Ingestor(store, embedder).sync([str(folder)])

    policy = ChunkingPolicy(strategy=ChunkingStrategy.RECURSIVE)
    report = await Ingestor(store, embedder, chunking=policy).sync([str(folder)])

    assert (report.updated, report.unchanged) == (1, 0)


async def test_a_folders_source_files_are_read_where_it_is_sliced_as_code(folder: Path) -> None:
    folder.joinpath("leave_rules.py").write_text("def days_of_leave():\n    return 30\n")
    store, embedder = InMemoryKnowledgeStore(), FakeEmbedder()
    ingestor = Ingestor(store, embedder)
    assert (await ingestor.sync([str(folder)])).documents == 1

    report = await ingestor.sync([str(folder)], chunking=ChunkingStrategy.CODE)

    assert (report.documents, report.failed) == (2, ())
    found = await Knowledge(store, embedder).search("days of leave return", audience=ANYONE)
    passage = next(passage for passage in found if passage.uri == "docs/leave_rules.py")
    assert passage.title == "leave_rules.py"
    assert passage.text == "```python\ndef days_of_leave():\n    return 30\n```"
    assert (await ingestor.sync([str(folder)], chunking="default")).deleted == 1


async def test_a_source_file_that_is_named_itself_is_always_read(folder: Path) -> None:
    script = folder / "run.sh"
    script.write_text("echo '````'\n")

    report = await Ingestor(InMemoryKnowledgeStore(), FakeEmbedder()).sync([str(script)])

    assert (report.documents, report.chunks) == (1, 1)


async def test_a_reranker_has_the_last_word_on_the_order(folder: Path) -> None:
    for n in range(6):
        folder.joinpath(f"page{n}.md").write_text(
            f"# Page {n}\n\nAbout bread. " + "Ferries leave. " * (n == 0)
        )
    store, embedder = InMemoryKnowledgeStore(), FakeEmbedder()
    await Ingestor(store, embedder).sync([str(folder)])

    class Backwards:
        name = "backwards"
        timeout_seconds = 2.0

        async def score(self, query: str, texts: Sequence[str]) -> list[float]:
            return [float(n) for n in range(len(texts))]

    plain = await Knowledge(store, embedder).search("bread ferries", audience=ANYONE, limit=20)
    ranked = await Knowledge(store, embedder, Backwards()).search("bread ferries", audience=ANYONE, limit=3)

    assert [p.chunk_id for p in ranked] == [p.chunk_id for p in plain][::-1][:3]
    assert [p.rank for p in ranked] == [1, 2, 3]


async def test_several_small_chunks_of_one_part_are_read_as_that_part_once(folder: Path) -> None:
    store, embedder = InMemoryKnowledgeStore(), FakeEmbedder()
    folder.joinpath("travel.md").write_text("# Travel\n\nNothing about it.")
    policy = ChunkingPolicy(strategy=ChunkingStrategy.SMALL_TO_BIG, child_tokens=12)
    report = await Ingestor(store, embedder, chunking=policy).sync([str(folder)])
    assert report.chunks > 8

    passages = await Knowledge(store, embedder).read("tell your manager", audience=ANYONE, limit=12)

    assert [passage.rank for passage in passages] == list(range(1, len(passages) + 1))
    places = [(passage.document_id, passage.extent and passage.extent.start) for passage in passages]
    assert len(set(places)) == len(places)
    assert any(passage.uri == "docs/travel.md" for passage in passages)
