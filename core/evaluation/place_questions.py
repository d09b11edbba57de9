"""Questions whose answers are places in documents, taken from the documents themselves: nobody who slices them
wrote them. Pure.

Two kinds. A heading that is a question is answered by its section. A sentence that links to a section of another
document is answered there; the document that the sentence stands in does not count as an answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import unquote

from core.knowledge.blocks import BlockKind, parse_blocks
from core.knowledge.chunking import estimate_tokens
from core.knowledge.documents import Document
from core.knowledge.sentences import split_sentences
from core.messages import Frozen

LEAST_WORDS = 4
MOST_WORDS = 40
LEAST_PLACE_TOKENS = 12
MOST_PLACE_TOKENS = 1000
"""A place that is much longer than what an answer is written from is no answer to point at."""

_LINK = re.compile(r"!?\[([^\]\n]*)\]\(([^)\n]*)\)")
_QUOTED = re.compile(r"\"([^\"]+)\"")
_MARKUP = re.compile(r"\{[%{][^\n]*?[%}]\}|[*_`>#|]+|^\s*(?:[-*+]|\d+[.)])\s+", re.MULTILINE)
_NO_SLUG = re.compile(r"[\W_]+")


class Place(Frozen):
    """document.text[start:end] of the document with this uri."""

    uri: str
    start: int
    end: int


class PlaceQuestion(Frozen):
    """A question and the place that answers it. What stands in the document `asked_in` is no answer."""

    id: str
    kind: Literal["heading", "link"]
    text: str
    place: Place
    asked_in: str | None = None


def make_questions(documents: Sequence[Document]) -> list[PlaceQuestion]:
    """In the order of the documents; each text once."""
    sections = {document.uri: list(_sections(document)) for document in documents}
    names = _names(documents)
    questions: dict[str, PlaceQuestion] = {}
    for document in documents:
        found = [*_of_headings(sections[document.uri]), *_of_links(document, sections, names)]
        for question in found:
            numbered = question.model_copy(update={"id": f"{question.kind}-{len(questions) + 1}"})
            questions.setdefault(question.text.lower(), numbered)
    return list(questions.values())


class _Section(Frozen):
    title: str
    slug: str
    place: Place
    tokens: int


def _sections(document: Document) -> Iterator[_Section]:
    """Each heading with what stands below it, up to the next one that is not deeper."""
    headings = [block for block in parse_blocks(document.text) if block.kind is BlockKind.HEADING]
    for n, heading in enumerate(headings):
        end = next((h.start for h in headings[n + 1 :] if h.level <= heading.level), len(document.text))
        body = document.text[heading.end : end]
        start = heading.end + len(body) - len(body.lstrip())
        yield _Section(
            title=_plain(heading.title),
            slug=_slug(_plain(heading.title)),
            place=Place(uri=document.uri, start=start, end=start + len(body.strip())),
            tokens=estimate_tokens(body),
        )


def _of_headings(sections: Sequence[_Section]) -> Iterator[PlaceQuestion]:
    for section in sections:
        if section.title.endswith("?") and _fits(section.title, section):
            yield PlaceQuestion(id="", kind="heading", text=section.title, place=section.place)


def _of_links(
    document: Document, sections: Mapping[str, Sequence[_Section]], names: Mapping[str, str | None]
) -> Iterator[PlaceQuestion]:
    for block in parse_blocks(document.text):
        if block.kind not in (BlockKind.PARAGRAPH, BlockKind.LIST):
            continue
        for sentence in _sentences(document.text[block.start : block.end]):
            for link in _LINK.finditer(sentence):
                section = _target(document.uri, link[2], sections, names)
                text = _plain(sentence)
                if section and section.place.uri != document.uri and _fits(text, section):
                    yield PlaceQuestion(
                        id="", kind="link", text=text, place=section.place, asked_in=document.uri
                    )
                    break


def _sentences(text: str) -> Iterator[str]:
    for line in re.split(r"\n(?=\s*(?:[-*+]|\d+[.)])\s)|\n\s*\n", text):
        yield from split_sentences(" ".join(line.split()))


def _target(
    uri: str, link: str, sections: Mapping[str, Sequence[_Section]], names: Mapping[str, str | None]
) -> _Section | None:
    """The section that a link leads to: a path with a fragment, relative or from the root, also where a template
    writes it in quotes."""
    quoted = _QUOTED.search(link) if "{" in link else None
    path, _, fragment = (quoted[1] if quoted else link.split(" ")[0]).partition("#")
    if not fragment or "://" in path:
        return None
    path = _name(unquote(path))
    base = [] if quoted or path.startswith("/") else list(PurePosixPath(uri).parent.parts)
    for part in PurePosixPath(path.strip("/")).parts:
        base = base[:-1] if part == ".." else [*base, part]
    known = names.get("/".join(base)) or names.get(path.strip("/"))
    return next((s for s in sections.get(known or "", ()) if s.slug == _slug(unquote(fragment))), None)


def _names(documents: Sequence[Document]) -> dict[str, str | None]:
    """The uri of each document by every ending of its path; None where several documents have it."""
    names: dict[str, str | None] = {}
    for document in documents:
        parts = PurePosixPath(_name(document.uri)).parts
        for n in range(len(parts)):
            name = "/".join(parts[n:])
            names[name] = None if name in names else document.uri
    return names


def _name(path: str) -> str:
    """A path without the ending, and without the name of a folder's own page."""
    return re.sub(
        r"(?:/?(?:index|README))?(?:\.(?:md|markdown|mdx|html?))?/?$", "", path, flags=re.IGNORECASE
    )


def _fits(text: str, section: _Section) -> bool:
    words = len(text.split())
    return LEAST_WORDS <= words <= MOST_WORDS and LEAST_PLACE_TOKENS <= section.tokens <= MOST_PLACE_TOKENS


def _plain(markdown: str) -> str:
    return " ".join(_MARKUP.sub("", _LINK.sub(r"\1", markdown)).split())


def _slug(title: str) -> str:
    """A heading as links name it, without the marks that every site sets in its own way."""
    return _NO_SLUG.sub("", title.lower())
