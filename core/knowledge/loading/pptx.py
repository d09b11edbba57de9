"""Reads presentations (PPTX): each visible slide is a section with its title, its text, its tables and the
speaker's notes, in the order in which screen readers say them.

The XML is read directly (docs/adr/0018): python-pptx brings an image library and a writer of workbooks along.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from core.knowledge.loading.ooxml import Package, find_relation_id, is_true, open_package
from core.knowledge.loading.tables import make_row, render_rows
from core.knowledge.loading.text import MAX_CHARACTERS, Extract, UnreadableError

MAX_SLIDES = 5_000
_TITLES = {"title", "ctrTitle"}
_FRAME = {"dt", "ftr", "hdr", "sldNum", "sldImg"}
"""Placeholders that say the same on every slide: date, footer, header, number, the slide's picture."""
_SHAPES = {"sp", "grpSp", "graphicFrame", "cxnSp"}
_MAX_DEPTH = 30


def extract_pptx(data: bytes) -> Extract:
    """Slides in their order. Raises UnreadableError for what is no PPTX, is encrypted, or holds too much."""
    with open_package(data, "PPTX presentation") as package:
        presentation, parts = package.parse(package.main), package.relations(package.main)
        listed = presentation.findall("{*}sldIdLst/{*}sldId")
        if len(listed) > MAX_SLIDES:
            raise UnreadableError(f"The presentation holds more than {MAX_SLIDES} slides.")
        size = _pair(presentation.find("{*}sldSz"), "cx", "cy")
        sections: list[str] = []
        title, length = None, 0
        for number, slide in enumerate(listed, start=1):
            reader = _SlideReader(package, parts[find_relation_id(slide)].part, size)
            if not (blocks := reader.blocks()):
                continue
            title = title or (reader.title if not sections else None)
            sections.append("\n\n".join((f"## {reader.title or f'Slide {number}'}", *blocks)).rstrip())
            length += len(sections[-1])
            if length > MAX_CHARACTERS:
                raise UnreadableError(
                    f"The presentation holds more than {MAX_CHARACTERS} characters of text."
                )
        # What the first slide says is seen; the file's own title is often that of its template.
        return Extract(
            "\n\n".join(sections), title or package.title, "The presentation holds no text.", package.author
        )


class _SlideReader:
    """`size` is the width and the height of every slide."""

    def __init__(self, package: Package, part: str, size: tuple[int, int] | None) -> None:
        self._package = package
        self._size = size
        self._root = package.parse(part)
        self._relations = package.relations(part)
        self.title = ""

    def blocks(self) -> list[str]:
        """The blocks below the title, at least one unless nothing of the slide is visible. Sets `title`."""
        if str(self._root.get("show", "1")).lower() in ("0", "false", "off"):
            return []
        tree = self._root.find("{*}cSld/{*}spTree")
        blocks = [block for block in self._shapes(tree, 0) if block] if tree is not None else []
        notes = [note for note in self._notes() if note]
        if notes:
            blocks += [f"Notes: {notes[0]}", *notes[1:]]
        return blocks or ([""] if self.title else [])

    def _shapes(self, tree: Any, depth: int) -> Iterator[str]:
        if depth > _MAX_DEPTH:
            raise ValueError
        for shape in _children(tree):
            kind = _name(shape)
            if kind not in _SHAPES or _is_hidden(shape) or (depth == 0 and self._is_beside(shape)):
                continue
            if kind == "grpSp":
                yield from self._shapes(shape, depth + 1)
            elif kind == "graphicFrame":
                yield from self._frame(shape)
            else:
                yield self._text_shape(shape)

    def _is_beside(self, shape: Any) -> bool:
        """Whether it lies wholly outside of the slide. A title may: it then serves for finding the slide."""
        frame = shape.find("{*}xfrm") if _name(shape) == "graphicFrame" else shape.find("*/{*}xfrm")
        if frame is None or self._size is None or _placeholder(shape) in _TITLES:
            return False
        place, size = _pair(frame.find("{*}off"), "x", "y"), _pair(frame.find("{*}ext"), "cx", "cy")
        if place is None or size is None:
            return False
        return any(
            start >= whole or start + length <= 0
            for start, length, whole in zip(place, size, self._size, strict=True)
        )

    def _text_shape(self, shape: Any) -> str:
        place = _placeholder(shape)
        body = shape.find("{*}txBody")
        if body is None or place in _FRAME:
            return ""
        if place in _TITLES and not self.title:
            self.title = " ".join(" ".join(_text(paragraph) for paragraph in _paragraphs(body)).split())
            return ""
        return _render_paragraphs(body, is_outline=place in ("body", "obj"))

    def _frame(self, frame: Any) -> Iterator[str]:
        """A table, or a diagram, whose words stand in a part of their own."""
        for table in frame.iterfind("{*}graphic/{*}graphicData/{*}tbl"):
            yield _render_table(table)
        for diagram in frame.iterfind("{*}graphic/{*}graphicData/{*}relIds"):
            found = next((str(v) for name, v in diagram.attrib.items() if name.endswith("}dm")), "")
            if (relation := self._relations.get(found)) and relation.part in self._package:
                points = self._package.parse(relation.part).iterfind("{*}ptLst/{*}pt")
                texts = [
                    " ".join(" ".join(_text(p) for p in _paragraphs(body)).split())
                    for point in points
                    if point.get("type", "node") == "node" and (body := point.find("{*}t")) is not None
                ]
                yield "\n".join(f"- {text}" for text in texts if text)

    def _notes(self) -> Iterator[str]:
        part = next((r.part for r in self._relations.values() if r.kind == "notesSlide"), "")
        if part not in self._package:
            return
        for shape in self._package.parse(part).iterfind("{*}cSld/{*}spTree/{*}sp"):
            body = shape.find("{*}txBody")
            if _placeholder(shape) == "body" and body is not None and not _is_hidden(shape):
                yield _render_paragraphs(body, is_outline=False)


# --- shapes -----------------------------------------------------------------------------------------


def _children(tree: Any) -> Iterator[Any]:
    """Where a shape is there in several forms for several programs, the first one that is known here."""
    for child in tree.iterchildren("*"):
        if _name(child) != "AlternateContent":
            yield child
            continue
        forms = (
            [c for c in form.iterchildren("*") if _name(c) in _SHAPES] for form in child.iterchildren("*")
        )
        yield from next((shapes for shapes in forms if shapes), [])


def _name(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def _properties(shape: Any) -> Any:
    """What every shape has first: its name, whether it is hidden, whether it fills a place of the layout."""
    return next((child for child in shape.iterchildren("*") if _name(child).startswith("nv")), None)


def _pair(element: Any, first: str, second: str) -> tuple[int, int] | None:
    return None if element is None else (int(element.get(first)), int(element.get(second)))


def _is_hidden(shape: Any) -> bool:
    properties = _properties(shape)
    own = properties.find("{*}cNvPr") if properties is not None else None
    return own is not None and is_true(own, "hidden")


def _placeholder(shape: Any) -> str:
    """The kind of the place that the shape fills; "" if it fills none."""
    properties = _properties(shape)
    place = properties.find("{*}nvPr/{*}ph") if properties is not None else None
    return str(place.get("type", "obj")) if place is not None else ""


# --- text -------------------------------------------------------------------------------------------


def _paragraphs(body: Any) -> list[Any]:
    return list(body.iterfind("{*}p"))


def _text(paragraph: Any) -> str:
    """The words of its runs and fields, with its line breaks."""
    parts = []
    for run in paragraph.iterchildren("*"):
        name = _name(run)
        if name == "br":
            parts.append("\n")
        elif name in ("r", "fld"):
            parts.append(run.findtext("{*}t") or "")
    return "".join(parts).replace("\v", "\n").strip()


def _render_paragraphs(body: Any, *, is_outline: bool) -> str:
    """An outline is a list, unless it is one paragraph; other text is one where its paragraphs have bullets."""
    lines = [
        (text, paragraph.find("{*}pPr")) for paragraph in _paragraphs(body) if (text := _text(paragraph))
    ]
    rendered, before = "", ""
    for text, properties in lines:
        level = min(int(properties.get("lvl", 0)), 8) if properties is not None else 0
        mark = _mark(properties, default="-" if is_outline and (len(lines) > 1 or level) else "")
        line = f"{'  ' * level}{mark} {' '.join(text.split())}" if mark else text
        rendered += (("\n" if mark and before else "\n\n") if rendered else "") + line
        before = mark
    return rendered


def _mark(properties: Any, default: str) -> str:
    """What stands before the paragraph as an item of a list; "" if it is none."""
    for child in properties.iterchildren("*") if properties is not None else ():
        match _name(child):
            case "buNone":
                return ""
            case "buAutoNum":
                return "1."
            case "buChar" | "buBlip":
                return "-"
    return default


def _render_table(table: Any) -> str:
    """What is written once beside several rows is said in each of them; what spans columns, once."""
    rows: list[dict[int, str]] = []
    above: dict[int, str] = {}
    for row in table.iterfind("{*}tr"):
        cells: dict[int, str] = {}
        for column, cell in enumerate(row.iterfind("{*}tc")):
            body = cell.find("{*}txBody")
            if is_true(cell, "vMerge"):
                cells[column] = above.get(column, "")
            elif body is not None and not is_true(cell, "hMerge"):
                cells[column] = " ".join(_text(paragraph) for paragraph in _paragraphs(body))
        above = cells
        rows.append(dict(make_row(cells.items())))
    return render_rows(rows)
