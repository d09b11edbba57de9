"""Workbooks become what people see in them: visible sheets as tables, values with their meaning; hostile ones cost
only themselves."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from pathlib import Path

import openpyxl
import pytest
from openpyxl.styles import Font, PatternFill
from openpyxl.worksheet.table import Table

from core.errors import SourceError
from core.knowledge.documents import Document
from core.knowledge.ingest import Ingestor
from core.knowledge.loading import is_untrusted, load_document
from core.knowledge.parsing import DocumentParser
from core.knowledge.sources import Content
from core.messages import Audience
from core.testing.embedder import FakeEmbedder
from core.testing.knowledge import InMemoryKnowledgeStore
from tests.unit.core.knowledge.bombs import make_docx, replace_part
from tests.unit.core.knowledge.test_exports import make_zip

ANYBODY = Audience(platform="web", workspace="w", channel="c")
SHEET = "xl/worksheets/sheet1.xml"
HEAD = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def make_xlsx(fill: Callable[[openpyxl.Workbook], object]) -> bytes:
    book, file = openpyxl.Workbook(), io.BytesIO()
    fill(book)
    book.save(file)
    return file.getvalue()


def make_sheet(*rows: list[object], title: str = "Rooms") -> bytes:
    def fill(book: openpyxl.Workbook) -> None:
        book.active.title = title
        for row in rows:
            book.active.append(row)

    return make_xlsx(fill)


def make_shared(strings: bytes, cells: bytes) -> bytes:
    """A workbook whose strings stand in a part of their own, as Excel writes them."""
    relations = (
        b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        b'<Relationship Type="x/worksheet" Target="/%s" Id="rId1"/>'
        b'<Relationship Type="x/styles" Target="styles.xml" Id="rId3"/>'
        b'<Relationship Type="x/sharedStrings" Target="sharedStrings.xml" Id="rId2"/></Relationships>'
    ) % SHEET.encode()
    data = replace_part(make_sheet(["x"]), "xl/_rels/workbook.xml.rels", relations)
    data = replace_part(
        data, "xl/sharedStrings.xml", HEAD.replace(b"worksheet", b"sst") + strings + b"</sst>"
    )
    return replace_part(data, SHEET, HEAD + b"<sheetData><row>" + cells + b"</row></sheetData></worksheet>")


def load(data: bytes, name: str = "rooms.xlsx") -> Document:
    return load_document(data, uri=name, name=name)


def rows_of(data: bytes) -> list[list[str]]:
    """The cells of the one table that there is."""
    lines = [line for line in load(data).text.split("\n") if line.startswith("|") and "---" not in line]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def reason_for(data: bytes) -> str:
    with pytest.raises(SourceError) as caught:
        load(data)
    return caught.value.reason


def test_each_visible_sheet_is_a_section_with_its_rows_as_a_table() -> None:
    def fill(book: openpyxl.Workbook) -> None:
        book.active.title = "Rooms"
        for row in (
            ["Meeting rooms"],
            [],
            ["Room", None, "Seats"],
            ["Loire | left", None, 12],
            ["Seine\nok"],
        ):
            book.active.append(row)
        book.create_sheet("Empty")
        for state in ("hidden", "veryHidden"):
            sheet = book.create_sheet(state)
            sheet.append(["secret"])
            sheet.sheet_state = state
        book.create_sheet("Who").append(["Ada", True, "_x0041_", "Pass\u200bword"])
        book.properties.title, book.properties.creator = "Our rooms", "Ada"

    document = load(make_xlsx(fill))

    assert (document.title, document.author) == ("Our rooms", "Ada")
    assert document.text == (
        "## Rooms\n\nMeeting rooms\n\n| Room | Seats |\n| --- | --- |\n| Loire \\| left | 12 |\n| Seine ok |\n\n"
        "## Who\n\n| Ada | TRUE | A | Password |\n| --- | --- | --- | --- |"
    )
    assert load(make_sheet(["a", "b"]), "meeting_rooms.xlsx").title == "meeting rooms"
    assert load(make_sheet(["a", "b"])).author is None


@pytest.mark.parametrize(
    ("value", "code", "shown"),
    [
        (date(2026, 3, 1), "dd.mm.yyyy", "2026-03-01"),
        (datetime(2026, 3, 1, 14, 30), "m/d/yy h:mm", "2026-03-01 14:30"),
        (datetime(2026, 3, 1), "yyyy-mm-dd h:mm:ss", "2026-03-01"),
        (date(1900, 2, 1), "d mmm yyyy", "1900-02-01"),
        (date(2026, 3, 1), "[$-407]mmmm yyyy", "2026-03-01"),
        (time(9, 5), "h:mm AM/PM", "09:05"),
        (time(9, 5, 7), "hh:mm:ss", "09:05:07"),
        (timedelta(hours=26, minutes=30), "[h]:mm", "26:30"),
        (0.155, "0.0%", "15.5%"),
        (1234.5, '#,##0.00\\ "€"', "1234.5 €"),
        (-3, "[$$-409]#,##0", "-$3"),
        (12, '0" kg"', "12 kg"),
        (3, '0" up";0" down"', "3 up"),
        (1234, "00000", "01234"),
        (5551234, "000-0000", "5551234"),
        (0.1 + 0.2, "General", "0.3"),
        (3.0, '[Red]General" days"', "3 days"),
        (1e20, "General", "1e+20"),
        (-1, "yyyy-mm-dd", "-1"),
        ("#N/A", "General", "#N/A"),
        (7, ";;;", ""),
        ("secret", ";;;", ""),
    ],
)
def test_values_are_shown_with_their_meaning(value: object, code: str, shown: str) -> None:
    def fill(book: openpyxl.Workbook) -> None:
        book.active.append(["Name", "Value"])
        book.active.append(["it", value])
        book.active["B2"].number_format = code

    assert rows_of(make_xlsx(fill))[1] == (["it", shown] if shown else ["it"])


def test_dates_count_from_1904_where_the_workbook_says_so() -> None:
    def fill(book: openpyxl.Workbook) -> None:
        book.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
        book.active.append(["Day", date(2026, 3, 1)])

    assert rows_of(make_xlsx(fill)) == [["Day", "2026-03-01"]]


def test_formulas_are_read_as_the_value_that_was_last_seen() -> None:
    cells = b'<c r="A1"><f>1+1</f><v>2</v></c><c r="B1" t="str"><f>A1&amp;"x"</f><v>two</v></c><c r="C1"><f>9</f></c>'
    data = replace_part(
        make_sheet(["x"]), SHEET, HEAD + b"<sheetData><row>" + cells + b"</row></sheetData></worksheet>"
    )

    assert rows_of(data) == [["2", "two"]]


def test_strings_that_cells_share_are_read_without_marks_and_readings() -> None:
    strings = (
        b"<si><t>Name</t></si><si><r><t>Loire </t></r><r><rPr/><t>left</t></r></si>"
        b"<si><t>Seine_x000D_&amp; more</t><rPh><t>reading</t></rPh></si>"
    )
    cells = b"".join(b'<c t="s"><v>%d</v></c>' % n for n in (0, 2, 1))

    assert rows_of(make_shared(strings, cells)) == [["Name", "Seine & more", "Loire left"]]


def test_what_is_hidden_is_left_out() -> None:
    def fill(book: openpyxl.Workbook) -> None:
        sheet = book.active
        for row in (
            ["Name", "secret", "Pager"],
            ["Ada", "secret", "1"],
            ["secret", "", "2"],
            ["Bob", "", "secret"],
        ):
            sheet.append(row)
        sheet.column_dimensions["B"].hidden = True
        sheet.row_dimensions[3].hidden = True
        sheet["C4"].font = Font(color="FFFFFFFF")
        sheet["A1"].font = Font(color="FFFFFFFF")
        sheet["A1"].fill = PatternFill("solid", fgColor="FF000080")

    assert rows_of(make_xlsx(fill)) == [["Name", "Pager"], ["Ada", "1"], ["Bob"]]


@pytest.mark.parametrize("form", ["shared", "inline"])
def test_white_words_in_a_cell_are_left_out_unless_its_ground_has_a_colour(form: str) -> None:
    runs = b'<r><t>Name</t></r><r><rPr><color rgb="FFFFFFFF"/></rPr><t> secret</t></r>'
    cells = (
        b'<c t="s"%s><v>0</v></c>' if form == "shared" else b'<c t="inlineStr"%s><is>' + runs + b"</is></c>"
    )
    data = make_shared(b"<si>" + runs + b"</si>", cells % b"" + cells % b' s="1"')
    fill = b'<fill/><fill><patternFill patternType="solid"><fgColor rgb="FF000080"/></patternFill></fill>'
    styles = b'<styleSheet><fills>%s</fills><cellXfs><xf/><xf fillId="1"/></cellXfs></styleSheet>' % fill

    assert rows_of(replace_part(data, "xl/styles.xml", styles)) == [["Name", "Name secret"]]


def test_white_text_stays_where_a_table_may_paint_the_ground() -> None:
    def fill(book: openpyxl.Workbook) -> None:
        book.active.append(["Name", "Pager"])
        book.active.append(["Ada", "1"])
        book.active["A1"].font = Font(color="FFFFFFFF")
        book.active.add_table(Table(displayName="People", ref="A1:B2"))

    assert rows_of(make_xlsx(fill)) == [["Name", "Pager"], ["Ada", "1"]]


def test_merged_cells_are_said_in_each_of_their_rows_and_hide_what_they_cover() -> None:
    def fill(book: openpyxl.Workbook) -> None:
        for row in (
            ["People on call", None],
            ["Team", "Name"],
            ["Ops", "Ada"],
            [None, "Bob"],
            ["Web", "Eve"],
        ):
            book.active.append(row)
        book.active.merge_cells("A3:A4")
        book.active.merge_cells("A1:B1")

    data = make_xlsx(fill)

    assert load(data).text.startswith("## Sheet\n\nPeople on call\n\n| Team | Name |")
    assert rows_of(data) == [["Team", "Name"], ["Ops", "Ada"], ["Ops", "Bob"], ["Web", "Eve"]]
    cells = b'<sheetData><row><c r="A1"><v>1</v></c><c r="B1"><v>666</v></c><c r="C1"><v>2</v></c></row></sheetData>'
    covered = HEAD + cells + b'<mergeCells><mergeCell ref="A1:B1"/></mergeCells></worksheet>'
    assert rows_of(replace_part(data, SHEET, covered)) == [["1", "2"]]


# --- hostile and broken ones ------------------------------------------------------------------------


def test_a_sheet_costs_what_it_holds_and_not_what_it_claims() -> None:
    claims = (
        b'<dimension ref="A1:XFD1048576"/><cols><col min="1" max="999999999" hidden="0"/></cols><sheetData>'
    )
    cells = b'<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>'
    merged = b'</sheetData><mergeCells><mergeCell ref="A1:XFD1048576"/></mergeCells></worksheet>'

    assert rows_of(replace_part(make_sheet(["x"]), SHEET, HEAD + claims + cells + merged)) == [["1"]]
    diagonal = [
        f'<row r="{n}"><c r="A{n}"><v>{n}</v></c><c r="ABC{n}"><v>1</v></c></row>' for n in range(1, 999)
    ]
    body = HEAD + b"<sheetData>" + "".join(diagonal).encode() + b"</sheetData></worksheet>"
    assert len(load(replace_part(make_sheet(["x"]), SHEET, body)).text) < 50_000


def test_more_cells_or_text_than_a_document_may_have_are_refused_with_a_reason() -> None:
    rows = b"".join(b'<row r="%d"><c><v>1</v></c></row>' % n for n in range(1, 1001))
    merged = b'<mergeCell ref="A1:A1000"/>' * 501  # each says its value again in each of its rows
    body = HEAD + b"<sheetData>" + rows + b"</sheetData><mergeCells>" + merged + b"</mergeCells></worksheet>"
    cells = replace_part(make_sheet(["x"]), SHEET, body)
    assert reason_for(cells) == "The workbook holds more than 500000 filled cells."
    cell = b'<c t="s"><v>0</v></c>'
    body = make_shared(b"<si><t>" + b"x" * 32_000 + b"</t></si>", cell * 200)
    assert reason_for(body) == "The workbook holds more than 5000000 characters of text."


ENTITIES = b'<!DOCTYPE worksheet [<!ENTITY a "lol"><!ENTITY f SYSTEM "file:///etc/passwd">%s]>' % b"".join(
    b'<!ENTITY %c "%s">' % (n, b"&%c;" % (n - 1) * 10) for n in b"bcdefg"
)


@pytest.mark.parametrize("entity", [b"a", b"f", b"g"])
@pytest.mark.parametrize("part", [SHEET, "xl/sharedStrings.xml", "xl/workbook.xml"])
def test_entities_are_refused(entity: bytes, part: str) -> None:
    cell = b'<row><c t="inlineStr"><is><t>&%s;</t></is></c></row>' % entity
    body = ENTITIES + HEAD + b"<si><t>&%s;</t></si><sheetData>" % entity + cell + b"</sheetData></worksheet>"
    whole = make_shared(b"<si><t>x</t></si>", b'<c t="s"><v>0</v></c>')

    assert rows_of(whole) == [["x"]]
    assert reason_for(replace_part(whole, part, body)) == "The XLSX workbook is broken."


def test_workbooks_that_cannot_be_read_say_why() -> None:
    whole = make_sheet(["Room", "Seats"])

    assert "password" in reason_for(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"EncryptedPackage" * 99)
    assert "no XLSX" in reason_for(b"PK nonsense")
    assert "no XLSX" in reason_for(whole[:400])
    assert "broken" in reason_for(make_zip({"hello.txt": "no workbook"}))
    assert "no visible values" in reason_for(make_docx())
    assert "no visible values" in reason_for(make_sheet())
    for body in (
        b"",
        b"no xml",
        HEAD + b"<sheetData><row><c r='A1' t='s'><v>99</v></c></row></sheetData></worksheet>",
    ):
        assert "broken" in reason_for(replace_part(whole, SHEET, body))
    bomb = bytearray(whole)
    at = bomb.rindex(b"PK\x01\x02")  # in the archive's list: the size that its last part unpacks to
    bomb[at + 24 : at + 28] = (257 * 2**20).to_bytes(4, "little")
    assert "256 MB" in reason_for(bytes(bomb))


# --- taken in ---------------------------------------------------------------------------------------


async def test_a_workbook_is_read_in_a_process_of_its_own() -> None:
    assert is_untrusted("a.XLSX", None)
    assert is_untrusted("a", MEDIA_TYPE)
    data, parser = make_sheet(["Room", "Seats"], ["Loire", 12]), DocumentParser()

    document = await parser.parse(Content(data=data, name="a", media_type=MEDIA_TYPE), "a")
    await parser.rest()

    assert document == load_document(data, uri="a", name="a", media_type=MEDIA_TYPE)
    assert "| Loire | 12 |" in document.text


@pytest.mark.parametrize("form", ["folder", "archive"])
async def test_workbooks_are_taken_in_and_broken_ones_put_into_quarantine(tmp_path: Path, form: str) -> None:
    files: dict[str, str | bytes] = {
        "pagers.xlsx": make_sheet(["Name", "Pager"], *([f"Person {n}", n] for n in range(500))),
        "broken.xlsx": b"PK nonsense",
        "empty.xlsx": b"",
    }
    path = tmp_path / ("docs" if form == "folder" else "docs.zip")
    if form == "folder":
        path.mkdir()
        for name, data in files.items():
            (path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    else:
        path.write_bytes(make_zip(files))
    store = InMemoryKnowledgeStore()

    report = await Ingestor(store, FakeEmbedder()).sync([str(path)])

    assert report.documents == 1
    reasons = {Path(failed.uri).name: failed.reason for failed in report.failed}
    assert reasons == {
        "broken.xlsx": "The file is no XLSX workbook, is broken, or is encrypted.",
        "empty.xlsx": "The file is empty.",
    }
    (source,) = await store.sources()
    assert set(await store.quarantined(source.id)) == {f"{path.name}/broken.xlsx", f"{path.name}/empty.xlsx"}
    (found, *_) = await store.search("Person 321 pager", None, embedder="x", audience=ANYBODY, limit=1)
    assert "| Name | Pager |\n| --- | --- |\n" in found.text
    assert "| Person 321 | 321 |" in found.text
