"""Decodes text, strips what people cannot see, and reads plain text files."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass


class UnreadableError(Exception):
    """The bytes are not what their format promises. `reason` is one plain sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


MAX_CHARACTERS = 5_000_000
"""More text than this in one document is refused: it is held in memory with all its vectors."""


@dataclass(frozen=True, slots=True)
class Extract:
    """What a format gave: Markdown text, a title and an author if it names them, and what to say if the text is
    empty."""

    text: str
    title: str | None = None
    empty_reason: str = "The document holds no text."
    author: str | None = None


# Controls other than tab and newline, soft hyphen, zero-width characters, bidirectional marks and isolates,
# fillers, variation selectors, the tag block, non-characters and lone surrogates: none has a glyph of its own.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_LINE_BREAKS = re.compile("\r\n|\r|\x0b|\x0c|\x85|\u2028|\u2029")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def clean_text(text: str) -> str:
    """The text with line breaks as newlines and without hidden code points."""
    return _HIDDEN.sub("", _LINE_BREAKS.sub("\n", text))


def decode_text(data: bytes, charset: str | None = None) -> str:
    """Decode by byte order mark, declared character set, UTF-8, Windows-1252. Raises UnreadableError when
    the bytes are no text."""
    marked = [encoding for bom, encoding in _BOMS if data.startswith(bom)][:1]
    for encoding in marked or (charset, "utf-8"):
        try:
            text = data.decode(encoding) if encoding else None
        except (UnicodeDecodeError, LookupError):
            continue
        if text is not None and _looks_like_text(text):
            return text
    text = data.decode("cp1252", errors="replace")
    if not _looks_like_text(text) or text.count("\ufffd") > len(text) // 100:
        raise UnreadableError("The file is not text, or is in an encoding that is not known.")
    return text


def _looks_like_text(text: str) -> bool:
    """Whether control characters, which binary data is full of, are rare."""
    sample = text[:65_536]
    controls = sum(1 for character in sample if character < " " and character not in "\t\n\r\f\v\x1b")
    return "\x00" not in sample and controls <= max(len(sample) // 50, 8)


def extract_plain(data: bytes, charset: str | None) -> Extract:
    """A text file as it is; it has no title of its own."""
    return Extract(decode_text(data, charset))


def extract_code(language: str, data: bytes, charset: str | None) -> Extract:
    """A source file as one fenced block of code."""
    code = decode_text(data, charset).strip("\r\n")
    longest = max((len(run) for run in re.findall(r"`{3,}", code)), default=2)
    fence = "`" * (longest + 1)
    return Extract(f"{fence}{language}\n{code}\n{fence}")
