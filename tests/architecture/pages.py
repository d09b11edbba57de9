"""The project's pages and what the checks read out of them: links, anchors, code, tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"!?\[[^\]]*\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


def all_pages() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def links_of(page: Path) -> list[str]:
    """Link targets outside code."""
    return LINK.findall(CODE_SPAN.sub("", FENCE.sub("", page.read_text())))


def anchors_of(page: Path) -> set[str]:
    """The anchors that headings get: lower case, spaces as hyphens, punctuation dropped."""
    headings = HEADING.findall(FENCE.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def code_of(page: Path) -> Iterator[str]:
    """Everything in code spans, and every line of fenced code, continued lines joined."""
    text = page.read_text()
    for fence in FENCE.findall(text):
        yield from fence.replace("\\\n", " ").splitlines()[1:-1]
    yield from CODE_SPAN.findall(FENCE.sub("", text))


def tables_of(page: Path) -> Iterator[list[list[str]]]:
    """The rows of each table, heading row first, as lists of cells."""
    rows: list[list[str]] = []
    for line in [*page.read_text().splitlines(), ""]:
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if set("".join(cells)) - set("-: "):
                rows.append(cells)
        elif rows:
            yield rows
            rows = []


def column(page: Path, heading: str) -> list[str]:
    """The cells below a heading, from every table of the page that has it."""
    return [
        row[table[0].index(heading)] for table in tables_of(page) if heading in table[0] for row in table[1:]
    ]
