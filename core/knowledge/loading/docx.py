"""Reads Word documents (DOCX): headings, paragraphs, lists and tables in their order."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

import docx
from docx.document import Document as WordDocument
from docx.opc.exceptions import OpcError
from docx.oxml.ns import qn
from docx.shared import RGBColor
from docx.table import Table, _Cell
from docx.text.hyperlink import Hyperlink
from docx.text.paragraph import Paragraph
from docx.text.run import Run

from core.knowledge.loading.html import render_table
from core.knowledge.loading.ooxml import open_archive
from core.knowledge.loading.text import Extract, UnreadableError

_WHITE = RGBColor(0xFF, 0xFF, 0xFF)
_HEADING = re.compile(r"heading ([1-9])$")


def extract_docx(data: bytes) -> Extract:
    """The body of the document. Raises UnreadableError for what is no DOCX, is encrypted or unpacks to an
    absurd size."""
    open_archive(data, "DOCX document").close()
    try:
        document = docx.Document(io.BytesIO(data))
        blocks = list(_blocks(document))
        title = document.core_properties.title or _title(document)
        author = document.core_properties.author
    except (
        zipfile.BadZipFile,
        OpcError,
        SyntaxError,
        KeyError,
        ValueError,
        AttributeError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        # What python-docx and lxml (a SyntaxError) let through for packages that lack a part or break its assumptions.
        raise UnreadableError("The DOCX document is broken.") from error
    return Extract("".join(blocks).strip("\n"), title, author=None if author == "python-docx" else author)


def _title(document: WordDocument) -> str | None:
    for paragraph in document.paragraphs:
        if _style(paragraph) == "title" or _HEADING.match(_style(paragraph)):
            return paragraph.text.strip() or None
    return None


def _blocks(document: WordDocument) -> list[str]:
    """Each block with the line breaks that part it from the one before."""
    blocks: list[str] = []
    in_list = False
    for block in document.iter_inner_content():
        listed = False
        if isinstance(block, Table):
            rendered = render_table(
                [[_cell(_text_of_cell(cell)) for cell in row.cells] for row in block.rows]
            )
        else:
            rendered, listed = _paragraph(block)
        if rendered:
            blocks.append(("\n" if in_list and listed else "\n\n") + rendered)
            in_list = listed
    return blocks


def _paragraph(paragraph: Paragraph) -> tuple[str, bool]:
    """The paragraph as Markdown, and whether it is an item of a list."""
    text, style = _visible_text(paragraph).strip(), _style(paragraph)
    if not text:
        return "", False
    if style == "title":
        return f"# {_one_line(text)}", False
    if heading := _HEADING.match(style):
        return f"{'#' * min(int(heading[1]), 6)} {_one_line(text)}", False
    if style.startswith("list") or _is_numbered(paragraph):
        deeper = re.search(r"(\d)$", style)
        indent = "  " * (int(deeper[1]) - 1 if deeper else 0)
        mark = "1." if "number" in style else "-"
        return f"{indent}{mark} {_one_line(text)}", True
    return text, False


def _text_of_cell(cell: _Cell) -> str:
    return "\n".join(_visible_text(paragraph, cell) for paragraph in cell.paragraphs)


def _visible_text(paragraph: Paragraph, cell: _Cell | None = None) -> str:
    """Without hidden and white text; a cell or a paragraph with a shade of its own may hold white text."""
    shaded = _is_shaded(paragraph._p.pPr) or (cell is not None and _is_shaded(cell._tc.tcPr))
    runs: list[Run] = []
    for inner in paragraph.iter_inner_content():
        runs += inner.runs if isinstance(inner, Hyperlink) else [inner]
    return "".join(run.text for run in runs if not _is_hidden(run, shaded))


def _is_hidden(run: Run, shaded: bool) -> bool:
    white = run.font.color is not None and run.font.color.rgb == _WHITE
    return bool(run.font.hidden) or (white and not shaded and not _is_shaded(run._r.rPr))


def _is_shaded(properties: Any) -> bool:
    shades = properties.findall(qn("w:shd")) if properties is not None else []
    return any(shade.get(qn("w:fill"), "auto").lower() not in ("auto", "ffffff") for shade in shades)


def _style(paragraph: Paragraph) -> str:
    style = paragraph.style
    return (style.name or "").lower() if style is not None else ""


def _is_numbered(paragraph: Paragraph) -> bool:
    properties = paragraph._p.pPr  # python-docx has no public name for list membership
    return properties is not None and properties.numPr is not None


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _one_line(text).replace("|", "\\|")
