"""Reads Markdown: takes the front matter off, finds the title, drops comments that no reader sees."""

from __future__ import annotations

import re
from collections.abc import Iterator

from core.knowledge.blocks import BlockKind, parse_blocks
from core.knowledge.loading.text import Extract, clean_text, decode_text

_FRONT_MATTER = re.compile(
    r"\A\s*(---|\+\+\+)[ \t]*\n(.*?)^(?:\1|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE
)
_TITLE = re.compile(r"^title[ \t]*[:=][ \t]*(.+?)[ \t]*$", re.MULTILINE | re.IGNORECASE)
_AUTHOR = re.compile(r"^author[ \t]*[:=][ \t]*(.+?)[ \t]*$", re.MULTILINE | re.IGNORECASE)
_NOWHERE = re.compile(r"^ {0,3}\[[^\]\n]{0,200}\]:[ \t]*(?:#|<>)[ \t]*(?:[\"'(].*)?$", re.MULTILINE)
"""A reference definition that leads nowhere: the usual way to write a comment in Markdown."""
_ELEMENT = re.compile(
    r"<(div|span|p|section|details|font|small|big|b|i|em|strong|a|u|s|sub|sup|ul|ol|li|table|td|pre|code|h[1-6])\b"
    r"([^<>]{0,1000})>",
    re.IGNORECASE,
)
_NOT_SHOWN = re.compile(
    r"(?:^|\s)hidden(?:\s|=|$)|display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0", re.IGNORECASE
)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_MARKS = re.compile(r"[*_`]{1,3}(?=\S)(.+?)(?<=\S)[*_`]{1,3}")


def extract_markdown(data: bytes, charset: str | None) -> Extract:
    """The body below the front matter; the title of the front matter or of the first heading."""
    text = clean_text(decode_text(data, charset))
    title = author = None
    if front_matter := _FRONT_MATTER.match(text):
        title = _front_value(_TITLE, front_matter[2])
        author = _front_value(_AUTHOR, front_matter[2])
        text = text[front_matter.end() :]
    text = drop_comments(text)
    if title is None:
        first = next((block for block in parse_blocks(text) if block.kind is BlockKind.HEADING), None)
        title = plain_inline(first.title) if first else None
    empty_reason = "The document has neither text nor a title."
    return Extract(text.strip("\n") or (title or ""), title, empty_reason, author)


def drop_comments(text: str) -> str:
    """Without what no reader sees: comments of HTML and of Markdown, elements that say of themselves that they
    are not shown. In fenced code they stay. Takes time in proportion to the text, whatever it holds."""
    if "<" not in text and "]:" not in text:
        return text
    code = [(block.start, block.end) for block in parse_blocks(text) if block.kind is BlockKind.CODE]
    kept, at = [], 0
    for start, end in sorted((*_comments(text), *_unseen_elements(text), *_definitions(text))):
        while code and code[0][1] <= start:
            code.pop(0)
        if text[start - 1 : start] == "`":
            continue  # code in a line, which readers do see
        if start >= at and not (code and code[0][0] <= start):
            kept.append(text[at:start])
            at = end
        elif end > at and start < at:
            at = end  # begins in what is dropped already, and reaches further
    return "".join((*kept, text[at:]))


def _comments(text: str) -> Iterator[tuple[int, int]]:
    start = text.find("<!--")
    while start >= 0:
        end = text.find("-->", start + 2)
        if end < 0:
            # One that begins a line and is never closed hides the rest.
            if not text[text.rfind("\n", 0, start) + 1 : start].strip():
                yield start, len(text)
            return
        yield start, end + 3
        start = text.find("<!--", end + 3)


def _definitions(text: str) -> Iterator[tuple[int, int]]:
    return (found.span() for found in _NOWHERE.finditer(text))


def _unseen_elements(text: str) -> Iterator[tuple[int, int]]:
    at = 0
    unclosed: set[str] = set()
    while element := _ELEMENT.search(text, at):
        at, name = element.end(), element[1].lower()
        if name in unclosed or not _NOT_SHOWN.search(element[2]) or element[2].endswith("/"):
            continue
        end = _end_of_element(text, name, at)
        if end is None:
            unclosed.add(name)
        else:
            yield element.start(), end
            at = end


def _end_of_element(text: str, name: str, at: int) -> int | None:
    depth = 1
    for tag in re.compile(rf"<(/?){name}\b[^<>]{{0,1000}}>", re.IGNORECASE).finditer(text, at):
        depth += -1 if tag[1] else 1
        if depth == 0:
            return tag.end()
    return None


def plain_inline(markdown: str) -> str:
    """A line without links, emphasis and code marks."""
    return _MARKS.sub(r"\1", _LINK.sub(r"\1", markdown)).strip()


def _front_value(name: re.Pattern[str], front_matter: str) -> str | None:
    found = name.search(front_matter)
    if not found:
        return None
    value = found[1]
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1].replace('\\"', '"').replace("''", "'")
    return None if value in ("", "|", ">", "|-", ">-") else value
