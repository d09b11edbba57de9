"""Presentations become their visible slides, with tables and notes; hostile ones cost only themselves."""

from __future__ import annotations

import copy
import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pptx
import pytest
from pptx.oxml.ns import qn
from pptx.util import Inches

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
SLIDE = "ppt/slides/slide1.xml"
MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
TITLE_AND_TEXT, TITLE_ONLY, BLANK = 1, 5, 6


def make_pptx(fill: Callable[[Any], object]) -> bytes:
    presentation, file = pptx.Presentation(), io.BytesIO()
    fill(presentation)
    presentation.save(file)
    return file.getvalue()


def add_slide(presentation: Any, title: str, *lines: str, notes: str = "") -> Any:
    slide = presentation.slides.add_slide(presentation.slide_layouts[TITLE_AND_TEXT])
    slide.shapes.title.text = title
    slide.placeholders[1].text = "\n".join(lines)
    if notes:
        slide.notes_slide.notes_text_frame.text = notes
    return slide


def add_box(shapes: Any, text: str) -> Any:
    box = shapes.add_textbox(Inches(1), Inches(1), Inches(2), Inches(1))
    box.text_frame.text = text
    return box


def edit_slide(data: bytes, edit: Callable[[bytes], bytes]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return replace_part(data, SLIDE, edit(archive.read(SLIDE)))


def load(data: bytes, name: str = "on-call.pptx") -> Document:
    return load_document(data, uri=name, name=name)


def reason_for(data: bytes) -> str:
    with pytest.raises(SourceError) as caught:
        load(data)
    return caught.value.reason


def test_each_slide_is_a_section_with_text_lists_tables_and_notes() -> None:
    def fill(presentation: Any) -> None:
        slide = add_slide(presentation, "On\vcall", "Pager", "Laptop", notes="Ask Ada.\nThen ask Bob.")
        slide.placeholders[1].text_frame.paragraphs[1].level = 1
        (notes,) = (shape for shape in slide.notes_slide.placeholders if shape.has_text_frame and shape.text)
        header = copy.deepcopy(notes._element)
        header.nvSpPr.nvPr.find(qn("p:ph")).set("type", "hdr")
        notes._element.addnext(header)
        slide = add_slide(presentation, "Duty", "One week each.")
        table = slide.shapes.add_table(3, 2, Inches(1), Inches(1), Inches(4), Inches(2)).table
        for n, text in enumerate(("Team", "Name", "Ops", "Ada | B", "", "Eve")):
            table.cell(n // 2, n % 2).text = text
        table.cell(1, 0).merge(table.cell(2, 0))
        slide = presentation.slides.add_slide(presentation.slide_layouts[BLANK])
        add_box(slide.shapes.add_group_shape().shapes, "Pass\u200bword\nof the day")
        presentation.slides.add_slide(presentation.slide_layouts[BLANK])
        presentation.core_properties.title, presentation.core_properties.author = "Template", "Ada"

    document = load(make_pptx(fill))

    assert (document.title, document.author) == ("On call", "Ada")
    assert document.text == (
        "## On call\n\n- Pager\n  - Laptop\n\nNotes: Ask Ada.\n\nThen ask Bob.\n\n"
        "## Duty\n\nOne week each.\n\n| Team | Name |\n| --- | --- |\n| Ops | Ada \\| B |\n| Ops | Eve |\n\n"
        "## Slide 3\n\nPassword\n\nof the day"
    )


def test_a_title_comes_from_the_first_slide_the_file_or_its_name() -> None:
    def fill(presentation: Any, title: str) -> None:
        add_box(presentation.slides.add_slide(presentation.slide_layouts[BLANK]).shapes, "Text")
        add_slide(presentation, "Second")
        presentation.core_properties.title = title

    assert load(make_pptx(lambda made: fill(made, "Our duty"))).title == "Our duty"
    assert load(make_pptx(lambda made: fill(made, ""))).title == "on call"


def test_lists_are_told_from_text_by_their_bullets() -> None:
    def fill(presentation: Any) -> None:
        add_box(presentation.slides.add_slide(presentation.slide_layouts[BLANK]).shapes, "\n".join("abcdef"))

    def fill_outline(presentation: Any) -> None:
        add_slide(presentation, "Outline", *"abcdef")

    def bulleted(fill: Callable[[Any], object]) -> str:
        marks = iter(
            ("", "<a:buChar char='x'/>", "<a:buAutoNum type='arabicPeriod'/>", "", "<a:buNone/>", "")
        )
        return load(
            edit_slide(
                make_pptx(fill),
                lambda xml: re.sub(
                    rb"(<a:p>)(?=(?:(?!</a:p>).)*<a:t>.</a:t>)",
                    lambda _: b"<a:p><a:pPr>" + next(marks).encode() + b"</a:pPr>",
                    xml,
                ),
            )
        ).text

    assert bulleted(fill) == "## Slide 1\n\na\n\n- b\n1. c\n\nd\n\ne\n\nf"
    assert bulleted(fill_outline) == "## Outline\n\n- a\n- b\n1. c\n- d\n\ne\n\n- f"


def test_what_is_hidden_or_the_same_everywhere_is_left_out() -> None:
    def fill(presentation: Any) -> None:
        slide = add_slide(presentation, "On call", "Pager")
        add_box(slide.shapes, "secret")._element.nvSpPr.cNvPr.set("hidden", "1")
        add_box(slide.shapes, "7 of 9")._element.nvSpPr.nvPr.get_or_add_ph().set("type", "sldNum")
        add_box(slide.shapes, "secret").left = presentation.slide_width
        add_box(slide.shapes, "secret").top = -Inches(1)
        slide.shapes.title.top, slide.shapes.title.left = -Inches(9), 0
        slide.shapes.title.width, slide.shapes.title.height = Inches(9), Inches(1)
        add_slide(presentation, "secret", "secret", notes="secret")._element.set("show", "0")

    assert load(make_pptx(fill)).text == "## On call\n\nPager"


def test_of_several_forms_of_a_shape_one_is_read_and_diagrams_are_lists() -> None:
    def fill(presentation: Any) -> None:
        add_box(presentation.slides.add_slide(presentation.slide_layouts[BLANK]).shapes, "Text")

    forms = (
        b'<mc:AlternateContent xmlns:mc="m"><mc:Choice>\\1</mc:Choice><mc:Fallback>\\1</mc:Fallback>'
        b"</mc:AlternateContent>"
    )
    frame = (
        b'<p:graphicFrame><p:nvGraphicFramePr/><a:graphic><a:graphicData><d:relIds xmlns:d="d" r:dm="rId9"/>'
        b"</a:graphicData></a:graphic></p:graphicFrame>"
    )
    data = edit_slide(make_pptx(fill), lambda xml: re.sub(rb"(?s)(<p:sp>.*</p:sp>)", forms + frame, xml))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        relations = archive.read("ppt/slides/_rels/slide1.xml.rels")
    relation = (
        b'<Relationship Id="rId9" Type="x/diagramData" Target="../diagrams/data1.xml"/></Relationships>'
    )
    data = replace_part(
        data, "ppt/slides/_rels/slide1.xml.rels", relations.replace(b"</Relationships>", relation)
    )
    points = b"".join(
        b"<d:pt%s><d:t><a:p><a:r><a:t>%s</a:t></a:r></a:p></d:t></d:pt>" % point
        for point in ((b"", b"Plan"), (b' type="pres"', b"layout"), (b"", b"Ship"))
    )
    diagram = b'<d:dataModel xmlns:d="d" xmlns:a="a"><d:ptLst>' + points + b"</d:ptLst></d:dataModel>"
    data = replace_part(data, "ppt/diagrams/data1.xml", diagram)

    assert load(data).text == "## Slide 1\n\nText\n\n- Plan\n- Ship"


# --- hostile and broken ones ------------------------------------------------------------------------


def test_presentations_that_cannot_be_read_say_why() -> None:
    whole = make_pptx(lambda presentation: add_slide(presentation, "On call", "Pager"))

    assert "password" in reason_for(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"EncryptedPackage" * 99)
    assert "no PPTX" in reason_for(whole[:400])
    assert "broken" in reason_for(make_zip({"hello.txt": "no presentation"}))
    assert "no text" in reason_for(make_docx())
    assert "no text" in reason_for(make_pptx(lambda presentation: None))
    for body in (b"", b"no xml", b"<!DOCTYPE p [<!ENTITY a 'lol'>]><p>&a;</p>"):
        assert reason_for(replace_part(whole, SLIDE, body)) == "The PPTX presentation is broken."
    nested = b"<p:grpSp>" * 90 + b"</p:grpSp>" * 90
    deep = edit_slide(whole, lambda xml: xml.replace(b"</p:spTree>", nested + b"</p:spTree>"))
    assert "broken" in reason_for(deep)


def test_more_slides_or_text_than_a_presentation_may_have_are_refused_with_a_reason() -> None:
    whole = make_pptx(lambda presentation: add_slide(presentation, "On call", "x" * 1_000_000))
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        listed = archive.read("ppt/presentation.xml")

    def repeat(times: int) -> bytes:
        return replace_part(
            whole, "ppt/presentation.xml", re.sub(rb"(<p:sldId [^>]*/>)", rb"\1" * times, listed)
        )

    assert reason_for(repeat(5_001)) == "The presentation holds more than 5000 slides."
    assert reason_for(repeat(6)) == "The presentation holds more than 5000000 characters of text."


# --- taken in ---------------------------------------------------------------------------------------


async def test_presentations_are_taken_in_and_broken_ones_put_into_quarantine(tmp_path: Path) -> None:
    assert is_untrusted("a.PPTX", None)
    docs = tmp_path / "docs"
    docs.mkdir()
    data = make_pptx(lambda presentation: add_slide(presentation, "On call", "The pager number is 4711."))
    (docs / "duty.pptx").write_bytes(data)
    (docs / "broken.pptx").write_bytes(b"PK nonsense")
    store, parser = InMemoryKnowledgeStore(), DocumentParser()

    report = await Ingestor(store, FakeEmbedder()).sync([str(docs)])
    parsed = await parser.parse(Content(data=data, name="a", media_type=MEDIA_TYPE), "a")
    await parser.rest()

    assert parsed == load_document(data, uri="a", name="a", media_type=MEDIA_TYPE)
    assert report.documents == 1
    (source,) = await store.sources()
    assert [*await store.quarantined(source.id)] == ["docs/broken.pptx"]
    (found, *_) = await store.search("pager number", None, embedder="x", audience=ANYBODY, limit=1)
    assert (found.title, found.uri) == ("On call", "docs/duty.pptx")
    assert "The pager number is 4711." in found.text
