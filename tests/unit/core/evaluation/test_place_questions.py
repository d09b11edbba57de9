"""Questions that documents pose themselves: where they come from, what answers them, and what does not count."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from core.errors import DatasetError
from core.evaluation.library import read_library
from core.evaluation.place_questions import make_questions
from core.knowledge.documents import Document

LEAVE = """# Leave

## How do I take sick leave?

Tell your manager by ten, and stay at home until you are well again. Bring a note after three days.

### Bring a note

From a doctor, please, with the dates on it and without the reasons why you were away.

## You've been away

Write down in the time sheet what you have missed, and ask your team lead to approve the hours.
"""
TRAVEL = """# Travel

Trips that end in the sick bay are explained under [sick leave](hr/leave.md#how-do-i-take-sick-leave). See below.

- Hours on the road count [as work]({% page "/hr/leave/#you-ve-been-away" %}) and are written down.
- This [link](https://example.com/hr/leave#you-ve-been-away) leads out of the documents and is no question.
- This one leads [nowhere](hr/leave.md#never-written) at all, whatever it promises to those who read it.

## Why?

Too short a question.
"""


def make_document(uri: str, text: str) -> Document:
    return Document(uri=uri, title=uri, text=text, content_hash=uri)


def test_headings_that_ask_and_sentences_that_link_are_questions() -> None:
    documents = [make_document("pages/hr/leave.md", LEAVE), make_document("pages/travel.md", TRAVEL)]

    questions = make_questions(documents)

    assert [(question.kind, question.text, question.asked_in) for question in questions] == [
        ("heading", "How do I take sick leave?", None),
        ("link", "Trips that end in the sick bay are explained under sick leave.", "pages/travel.md"),
        ("link", "Hours on the road count as work and are written down.", "pages/travel.md"),
    ]
    assert len({question.id for question in questions}) == 3
    places = [LEAVE[question.place.start : question.place.end] for question in questions]
    assert places[0].startswith("Tell your manager")
    assert places[0].endswith("why you were away.")
    assert places[1] == places[0]
    assert places[2].startswith("Write down")
    assert {question.place.uri for question in questions} == {"pages/hr/leave.md"}


def test_a_name_that_several_documents_have_leads_nowhere() -> None:
    documents = [
        make_document("a/hr/leave.md", LEAVE),
        make_document("b/hr/leave.md", LEAVE),
        make_document("c/travel.md", TRAVEL),
    ]

    assert not [question for question in make_questions(documents) if question.kind == "link"]


def test_a_library_is_a_folder_or_an_archive(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    (folder / "hr").mkdir(parents=True)
    (folder / "hr" / "leave.md").write_text(LEAVE)
    (folder / "travel.md").write_text(TRAVEL)
    (folder / "picture.png").write_bytes(b"\x89PNG")
    (folder / ".hidden.md").write_text("hidden")
    packed = tmp_path / "packed"
    packed.mkdir()
    with tarfile.open(packed / "docs.tar.gz", "w:gz") as archive:
        archive.add(folder / "hr" / "leave.md", "hr/leave.md")
        archive.add(folder / "travel.md", "travel.md")
        link = tarfile.TarInfo("outside.md")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    (packed / "ATTRIBUTION.md").write_text("Where the archive is from.")
    with zipfile.ZipFile(tmp_path / "docs.zip", "w") as archive_zip:
        archive_zip.write(folder / "travel.md", "travel.md")

    assert [document.uri for document in read_library(folder)] == ["docs/hr/leave.md", "docs/travel.md"]
    assert [document.uri for document in read_library(packed)] == ["hr/leave.md", "travel.md"]
    assert [document.title for document in read_library(tmp_path / "docs.zip")] == ["Travel"]


def test_what_is_no_library_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.tar.gz").write_bytes(io.BytesIO(b"no archive").getvalue())
    (tmp_path / "empty").mkdir()
    for name in ("missing", "broken.tar.gz", "empty"):
        with pytest.raises(DatasetError, match=name):
            read_library(tmp_path / name)
