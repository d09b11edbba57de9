"""Cuts a Markdown text into messages no longer than a platform allows. Pure.

Blocks stay whole where they fit: a paragraph, a list item, a table, a code block. A code block that has
to be cut is closed and opened again, with its language, in the next message.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<mark>`{3,}|~{3,})(?P<info>.*)$")
_LIST_ITEM = re.compile(r"^[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+\S")
_HEADING = re.compile(r"^#{1,6}[ \t]")
_LEAD_IN = re.compile(r"(?:#{1,6}[ \t].*|\*\*[^\n]*\*\*:?|(?![ \t]*(?:[-*+]|\d+[.)])[ \t])[^|\n].*:)\Z")
_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]*_]*(?=\s)|[。！？]")
_WHITESPACE = re.compile(r"\s+")
_INSEPARABLE = re.compile(r"!?\[[^\]\n]*\]\([^)\n]*\)|<https?://[^>\s]*>|`[^`\n]+`|\*\*[^*\n]+\*\*|\[\d+\]")
CAPPED = "*(The answer was longer than what fits here: this is its beginning.)*"
_JOINERS = frozenset("\u200d\ufe0e\ufe0f")


@dataclass(frozen=True)
class _Fence:
    """How a code block opens and closes; `reopening` has the language but no further words."""

    opening: str
    reopening: str
    closing: str


@dataclass(frozen=True)
class _Block:
    """What belongs together. `separator` stood before it; a code block's text is its inside."""

    separator: str
    text: str
    fence: _Fence | None = None

    @property
    def whole(self) -> str:
        if self.fence is None:
            return self.text
        return "\n".join(part for part in (self.fence.opening, self.text, self.fence.closing) if part)


def split_markdown(text: str, limit: int) -> list[str]:
    """The text as parts of at most `limit` characters, none of them empty; nothing but white space at
    the cuts is lost. A code block left open is closed. `limit` is at least 16.
    """
    if limit < 16:
        raise ValueError(f"a limit of {limit} characters leaves no room for text")
    parts: list[str] = []
    current, lead_in = "", 0
    for block in _blocks(text):
        separator = block.separator if current else ""
        whole = block.whole
        if len(current) + len(separator) + len(whole) > limit:
            is_oversize = len(whole) > limit
            if not is_oversize or limit - len(current) - len(separator) < limit // 2:
                # A heading goes along with what it leads to, if that leaves enough room.
                carried = current[lead_in:] if lead_in else ""
                needed = limit // 2 if is_oversize else len(whole)
                if len(carried) + len(block.separator) + needed > limit:
                    carried = ""
                parts.append(current[:lead_in] if carried else current)
                current, separator = carried, block.separator if carried else ""
        lead_in = _lead_in(block, current, separator, lead_in)
        if len(current) + len(separator) + len(whole) <= limit:
            current += separator + whole
        else:
            first, *others = _pieces(block, limit - len(current) - len(separator), limit)
            parts += [current + separator + first, *others]
            current = parts.pop()
    parts.append(current)
    return [part.strip("\n") for part in parts if part.strip()]


def cap_markdown(text: str, limit: int) -> str:
    """The text, if it has at most `limit` characters; otherwise its beginning, code closed, and a line that
    says that it is one. For what no reader would scroll through, and no channel should have to carry."""
    if len(text) <= limit:
        return text
    return f"{split_markdown(text[: 2 * limit], limit)[0]}\n\n{CAPPED}"


def _lead_in(block: _Block, current: str, separator: str, before: int) -> int:
    """Where in the part a heading, or a line that announces a list, begins that ends it; 0 for none."""
    if block.fence is not None or not _LEAD_IN.match(block.text):
        return 0
    return before or len(current) + len(separator)


def _blocks(text: str) -> Iterator[_Block]:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    position, blank_lines, is_first = 0, 0, True
    while position < len(lines):
        if not lines[position].strip():
            blank_lines += 1
            position += 1
            continue
        separator = "" if is_first else "\n" * (min(blank_lines, 1) + 1)
        blank_lines, is_first = 0, False
        fence = _FENCE.match(lines[position])
        # An inline span such as ```x``` is no fence: its info string would hold a backtick.
        if fence and not (fence["mark"][0] == "`" and "`" in fence["info"]):
            block, position = _code_block(lines, position, fence, separator)
        else:
            block, position = _text_block(lines, position, separator)
        yield block


def _code_block(lines: list[str], start: int, match: re.Match[str], separator: str) -> tuple[_Block, int]:
    indent, mark, info = match["indent"], match["mark"], match["info"].strip()
    closing = re.compile(rf"^[ \t]*{re.escape(mark[0])}{{{len(mark)},}}[ \t]*$")
    end = next((n for n in range(start + 1, len(lines)) if closing.match(lines[n])), len(lines))
    language = info.split()[0] if info else ""
    fence = _Fence(match[0].rstrip(), f"{indent}{mark}{language}", f"{indent}{mark}")
    return _Block(separator, "\n".join(lines[start + 1 : end]).rstrip(), fence), end + 1


def _text_block(lines: list[str], start: int, separator: str) -> tuple[_Block, int]:
    """A heading, a table, a list item with its further lines, or a paragraph."""
    end = start + 1
    if not _HEADING.match(lines[start]):
        in_table = lines[start].lstrip().startswith("|")
        while end < len(lines) and _continues(lines[end], in_table):
            end += 1
    return _Block(separator, "\n".join(lines[start:end]).rstrip()), end


def _continues(line: str, in_table: bool) -> bool:
    if not line.strip() or _FENCE.match(line) or _HEADING.match(line) or _LIST_ITEM.match(line):
        return False
    return line.lstrip().startswith("|") == in_table


def _pieces(block: _Block, first_room: int, limit: int) -> list[str]:
    """A block that is too long, cut: the first piece fits `first_room`, the others `limit`."""
    fence = block.fence
    if fence is None:
        return _cut_text(block.text, first_room, limit)
    around = len(fence.opening) + len(fence.closing) + 2
    if around >= limit // 2:
        return _cut_text(block.whole, first_room, limit)
    bodies = _cut_code(block.text, first_room - around, limit - around)
    openings = [fence.opening] + [fence.reopening] * (len(bodies) - 1)
    return [f"{opening}\n{body}\n{fence.closing}" for opening, body in zip(openings, bodies, strict=True)]


def _cut_code(text: str, first_room: int, room: int) -> list[str]:
    """Code at line ends; a line that is too long anywhere."""
    bodies: list[str] = []
    current: list[str] = []
    length, space = -1, first_room
    for line in text.split("\n"):
        if length + 1 + len(line) > space and current:
            bodies.append("\n".join(current))
            current, length, space = [], -1, room
        while len(line) > space:
            bodies.append(line[:space])
            line, space = line[space:], room
        current.append(line)
        length += 1 + len(line)
    bodies.append("\n".join(current))
    return [body for body in bodies if body.strip()]


def _cut_text(text: str, first_room: int, limit: int) -> list[str]:
    pieces: list[str] = []
    room = first_room
    while len(text) > room:
        cut = _best_cut(text, room)
        pieces.append(text[:cut].rstrip())
        rest = text[cut:]
        # The indentation after a line end carries meaning (a nested list), a space between words does not.
        text = rest.lstrip("\n") if rest.startswith("\n") else rest.lstrip()
        room = limit
    if text.strip():
        pieces.append(text)
    return pieces


def _best_cut(text: str, room: int) -> int:
    """Where to cut within `room` characters: after a line, else a sentence, else a word, else anywhere.

    A boundary in the first quarter is passed over for a finer one, so that no message is a mere scrap.
    """
    window = text[: room + 1]
    whole_spans = [m.span() for m in _INSEPARABLE.finditer(text, 0, room * 2)]
    boundaries = (
        (m.start() for m in re.finditer(r"\n", window)),
        (m.end() for m in _SENTENCE_END.finditer(window)),
        (m.start() for m in _WHITESPACE.finditer(window)),
    )
    for candidates in boundaries:
        usable = [
            cut
            for cut in candidates
            if room // 4 < cut <= room and not any(start < cut < end for start, end in whole_spans)
        ]
        if usable:
            return usable[-1]
    around = next((start for start, end in whole_spans if start < room < end), room)
    return around if around > room // 4 else _between_characters(text, room)


def _between_characters(text: str, room: int) -> int:
    """The last place up to `room` that does not part a letter from its accent or an emoji from its joiner."""
    cut = room
    while cut > 1 and (
        unicodedata.combining(text[cut]) or text[cut] in _JOINERS or text[cut - 1] == "\u200d"
    ):
        cut -= 1
    return cut if cut > 1 else room
