"""What a hostile document may cost: its own process, for a while; never this one, and never another document."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from core.errors import SourceError
from core.knowledge.ingest import Ingestor
from core.knowledge.loading import is_untrusted, load_document
from core.knowledge.parsing import DocumentParser, ParsingLimits
from core.knowledge.sources import Content
from core.testing.embedder import FakeEmbedder
from core.testing.knowledge import InMemoryKnowledgeStore
from tests.unit.core.knowledge.bombs import (
    make_docx,
    make_docx_bomb,
    make_entity_bomb,
    make_pdf,
    make_slow_pdf,
    make_xlsx_bomb,
    make_zip_bomb,
)

PAGE = Content(data=b"<title>Canteen</title><p>The canteen opens at noon.</p>", name="page.html")


@pytest.fixture
async def parser() -> AsyncIterator[DocumentParser]:
    parser = DocumentParser()
    yield parser
    await parser.rest()


async def reason_of(parser: DocumentParser, data: bytes, name: str) -> str:
    with pytest.raises(SourceError) as caught:
        await parser.parse(Content(data=data, name=name), f"docs/{name}")
    assert caught.value.uri == f"docs/{name}"
    return caught.value.reason


def children() -> list[psutil.Process]:
    return [p for p in psutil.Process().children() if "core.knowledge.loading.child" in p.cmdline()]


async def test_a_document_is_the_same_as_if_it_were_read_here(parser: DocumentParser) -> None:
    for name, data in (
        ("a.html", PAGE.data),
        ("a.docx", make_docx()),
        ("a.pdf", make_pdf(b"BT /F 9 Tf 10 50 Td (The canteen opens at noon.) Tj ET")),
    ):
        document = await parser.parse(Content(data=data, name=name), name)
        assert document == load_document(data, uri=name, name=name)
        assert "opens at noon" in document.text
    assert len(children()) == 1
    await parser.rest()
    assert children() == []


async def test_the_child_knows_none_of_our_settings(
    parser: DocumentParser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    await parser.parse(PAGE, "page")
    (child,) = children()
    assert set(child.environ()) <= {"PYTHONPATH", "LC_CTYPE"}


@pytest.mark.parametrize(
    ("make", "name", "limits", "words"),
    [
        (
            lambda: make_docx_bomb(2_000_000),
            "a.docx",
            ParsingLimits(memory_bytes=384 * 2**20),
            "memory|broken",
        ),
        (
            lambda: make_xlsx_bomb(2_000_000),
            "a.xlsx",
            ParsingLimits(memory_bytes=256 * 2**20, wall_seconds=110),
            "more memory",
        ),
        (lambda: make_slow_pdf(), "a.pdf", ParsingLimits(cpu_seconds=1), "seconds of computing"),
        (lambda: make_slow_pdf(), "a.pdf", ParsingLimits(wall_seconds=1.5), "takes longer than"),
        (lambda: b"<p>" + b"word " * 2000, "a.html", ParsingLimits(output_bytes=5000), "too much text"),
    ],
)
async def test_a_document_that_costs_too_much_is_refused_and_the_next_one_is_read(
    make: Callable[[], bytes], name: str, limits: ParsingLimits, words: str
) -> None:
    parser = DocumentParser(limits)
    reason = await reason_of(parser, make(), name)
    assert any(word in reason for word in words.split("|")), reason
    if limits.wall_seconds > 10:
        assert (await parser.parse(PAGE, "page")).title == "Canteen"
    await parser.rest()
    assert children() == []


async def test_a_child_that_dies_costs_one_document(parser: DocumentParser) -> None:
    await parser.parse(PAGE, "page")
    slow = asyncio.create_task(reason_of(parser, make_slow_pdf(), "slow.pdf"))
    await asyncio.sleep(0.3)
    (child,) = children()
    child.kill()
    assert "breaks the program" in await slow
    assert (await parser.parse(PAGE, "page")).title == "Canteen"


async def test_a_reader_who_leaves_takes_the_child_along(parser: DocumentParser) -> None:
    await parser.parse(PAGE, "page")
    slow = asyncio.create_task(parser.parse(Content(data=make_slow_pdf(), name="slow.pdf"), "slow"))
    await asyncio.sleep(0.3)
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    assert children() == []
    assert (await parser.parse(PAGE, "page")).title == "Canteen"


async def test_a_folder_with_bombs_is_read_but_for_the_bombs(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    bombs = {"zip.docx": make_zip_bomb(), "entities.docx": make_entity_bomb(), "broken.pdf": b"%PDF-1.4 none"}
    for name, data in bombs.items():
        (folder / name).write_bytes(data)
    (folder / "good.docx").write_bytes(make_docx())
    (folder / "page.html").write_bytes(PAGE.data)
    (folder / "page.md").write_text("The canteen closes at two.")
    store, before = InMemoryKnowledgeStore(), psutil.Process().memory_info().rss

    report = await Ingestor(store, FakeEmbedder()).sync([str(folder)])

    failed = {Path(failed.uri).name: failed.reason for failed in report.failed}
    assert set(failed) <= set(bombs)
    assert {"zip.docx", "broken.pdf"} <= set(failed)
    assert report.documents == 6 - len(failed)
    (source,) = await store.sources()
    assert set(await store.quarantined(source.id)) == {f"docs/{name}" for name in failed}
    assert psutil.Process().memory_info().rss - before < 50 * 2**20
    assert children() == []


@pytest.mark.parametrize(
    ("name", "media_type", "untrusted"),
    [
        ("a.pdf", None, True),
        ("a.md", "text/html", True),
        ("a.HTML", "text/plain", True),
        ("a.xlsx", None, True),
        ("a.pptx", None, True),
        ("a.csv", None, False),
        ("a.md", None, False),
        ("a.txt", "text/plain", False),
        ("a", None, False),
    ],
)
def test_which_formats_are_read_in_a_process_of_their_own(
    name: str, media_type: str | None, untrusted: bool
) -> None:
    assert is_untrusted(name, media_type) is untrusted
