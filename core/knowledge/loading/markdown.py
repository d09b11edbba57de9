"""Reads Markdown: takes the front matter off, finds the title, drops comments that no reader sees."""

from __future__ import annotations

import re

from core.knowledge.blocks import BlockKind, parse_blocks
from core.knowledge.loading.text import Extract, clean_text, decode_text

_FRONT_MATTER = re.compile(
    r"\A\s*(---|\+\+\+)[ \t]*\n(.*?)^(?:\1|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE
)
_TITLE = re.compile(r"^title[ \t]*[:=][ \t]*(.+?)[ \t]*$", re.MULTILINE | re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_MARKS = re.compile(r"[*_`]{1,3}(?=\S)(.+?)(?<=\S)[*_`]{1,3}")


def extract_markdown(data: bytes, charset: str | None) -> Extract:
    """The body below the front matter; the title of the front matter or of the first heading."""
    text = clean_text(decode_text(data, charset))
    title = None
    if front_matter := _FRONT_MATTER.match(text):
        title = _front_title(front_matter[2])
        text = text[front_matter.end() :]
    text = drop_comments(text)
    if title is None:
        first = next((block for block in parse_blocks(text) if block.kind is BlockKind.HEADING), None)
        title = plain_inline(first.title) if first else None
    return Extract(text.strip("\n") or (title or ""), title, "The document has neither text nor a title.")


def drop_comments(text: str) -> str:
    """Without HTML comments; those in fenced code stay."""
    if "<!--" not in text:
        return text
    code = [(b.start, b.end) for b in parse_blocks(text) if b.kind is BlockKind.CODE]

    def replace(comment: re.Match[str]) -> str:
        return comment[0] if any(start <= comment.start() < end for start, end in code) else ""

    return _COMMENT.sub(replace, text)


def plain_inline(markdown: str) -> str:
    """A line without links, emphasis and code marks."""
    return _MARKS.sub(r"\1", _LINK.sub(r"\1", markdown)).strip()


def _front_title(front_matter: str) -> str | None:
    found = _TITLE.search(front_matter)
    if not found:
        return None
    value = found[1]
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1].replace('\\"', '"').replace("''", "'")
    return None if value in ("", "|", ">", "|-", ">-") else value
