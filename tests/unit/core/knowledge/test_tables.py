"""Tables in files: whatever parts their cells, they become Markdown that stays useful when it is cut into chunks."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from core.errors import SourceError
from core.knowledge.chunking import chunk_text
from core.knowledge.ingest import Ingestor
from core.knowledge.loading import load_document
from core.messages import Audience
from core.testing.embedder import FakeEmbedder
from core.testing.knowledge import InMemoryKnowledgeStore

ROOMS = [["Room", "Seats", "Floor"], ["Loire", "12", "1.5"], ["Seine | left", "8", ""]]
AS_MARKDOWN = "| Room | Seats | Floor |\n| --- | --- | --- |\n| Loire | 12 | 1.5 |\n| Seine \\| left | 8 |"
ANYBODY = Audience(platform="web", workspace="w", channel="c")


def write(rows: list[list[str]], delimiter: str = ",", encoding: str = "utf-8") -> bytes:
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter).writerows(rows)
    return file.getvalue().encode(encoding)


def text_of(data: bytes, name: str = "rooms.csv", media_type: str | None = None) -> str:
    return load_document(data, uri=name, name=name, media_type=media_type).text


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_table_is_read_whatever_parts_its_cells(delimiter: str, encoding: str) -> None:
    document = load_document(write(ROOMS, delimiter, encoding), uri="a", name="meeting_rooms.CSV")

    assert (document.title, document.text) == ("meeting rooms", AS_MARKDOWN)


def test_tabs_part_the_cells_of_a_tsv_and_of_its_media_type() -> None:
    prose = write([["Name", "Notes, in short"], ["Ada", "on call, reachable"]], "\t")
    expected = "| Name | Notes, in short |\n| --- | --- |\n| Ada | on call, reachable |"

    assert text_of(prose, "a.tsv") == expected
    assert text_of(prose, "a", "text/tab-separated-values") == expected
    assert text_of(write(ROOMS), "rooms", "text/csv") == AS_MARKDOWN


def test_decimal_commas_and_excels_own_first_line() -> None:
    prices = "| Item | Price |\n| --- | --- |\n| Tea | 1,5 |\n| Rice, white | 2,5 |"

    assert text_of(b"Item;Price\nTea;1,5\nRice, white;2,5\n") == prices
    assert text_of(b"sep=;\r\nItem;Price\r\nTea;1,5\r\nRice, white;2,5\r\n") == prices
    assert text_of(b"Note\nLoire; Seine\n") == "| Note |\n| --- |\n| Loire; Seine |"


def test_empty_rows_and_columns_are_dropped_and_titles_stand_above() -> None:
    rows = [
        ["Rooms of 2026", "", "", ""],
        ["", "as of March", "", ""],
        ["", "", "", ""],
        ["Room", "", "Seats", ""],
        ["", " ", "", ""],
        ["Loire", "", "12\nor so", " "],
    ]

    assert text_of(write(rows)) == (
        "Rooms of 2026\n\nas of March\n\n| Room | Seats |\n| --- | --- |\n| Loire | 12 or so |"
    )


def test_what_nobody_sees_is_stripped_and_nothing_but_marks_is_no_text() -> None:
    assert text_of("Pass\u200bword,\u202eUse\nx,y".encode()).startswith("| Password | Use |")
    for data in (b",,,\n,,\n", b"a\x00b,c\n" * 9, b"x" * 140_000 + b",b\n"):
        with pytest.raises(SourceError) as caught:
            text_of(data)
        assert caught.value.reason.endswith(".")


def test_every_chunk_of_a_long_table_says_its_columns() -> None:
    rows = [["Name", "Pager"], *([f"Person {n}", f"0{n:04}"] for n in range(3000))]

    chunks = chunk_text(text_of(write(rows)), title="Pagers")

    assert all(chunk.text.startswith("| Name | Pager |\n| --- | --- |\n") for chunk in chunks)
    assert sum(chunk.text.count("| Person ") for chunk in chunks) == 3000


@pytest.mark.parametrize("width", [9, 13, 40])
def test_every_chunk_of_a_wide_table_says_its_columns(width: int) -> None:
    columns = [f"Rather long property number {n}" for n in range(width)]
    rows = [columns, *([f"value {n}.{m}" if m % 2 else "" for m in range(width)] for n in range(50))]

    text = text_of(write(rows))
    said = {
        line.strip("- ") for chunk in chunk_text(text, title="Machines") for line in chunk.text.split("\n")
    }

    first = "- Rather long property number 1: value 7.1\n  Rather long property number 3: value 7.3"
    assert first in text
    assert "number 2:" not in text
    assert said >= {f"{columns[m]}: value {n}.{m}" for n in range(50) for m in range(1, width, 2)}


def test_a_row_of_very_many_cells_beside_many_short_ones_costs_little() -> None:
    rows = [["a"], [*("b" for _ in range(16_000))], *(["c"] for _ in range(20_000))]

    assert len(text_of(write(rows))) < 1_000_000


async def test_tables_in_a_folder_are_taken_in_and_found(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "rooms.csv").write_bytes(write(ROOMS, ";"))
    (docs / "people.TSV").write_bytes(write([["Name", "Pager"], ["Ada", "4711"]], "\t"))
    (docs / "empty.csv").touch()
    (docs / "broken.csv").write_bytes(bytes(range(256)) * 40)
    store = InMemoryKnowledgeStore()

    report = await Ingestor(store, FakeEmbedder()).sync([str(docs)])

    assert report.documents == 2
    assert [(failed.uri, failed.reason) for failed in report.failed] == [
        ("docs/broken.csv", "The file is not text, or is in an encoding that is not known.")
    ]
    (found, *_) = await store.search("Ada pager", None, embedder="x", audience=ANYBODY, limit=1)
    assert (found.title, found.text) == ("people", "| Name | Pager |\n| --- | --- |\n| Ada | 4711 |")
