"""Turns what a source holds, as bytes, into a Document with plain Markdown text. Blocking: run it in a thread.

The format is known by media type or by the ending of the name. Every failure is a SourceError.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial

from core.errors import SourceError
from core.knowledge.documents import Document
from core.knowledge.loading.text import MAX_CHARACTERS, Extract, UnreadableError, clean_text

READING_VERSION = "5"
"""Raise it when loading or chunking changes what a document becomes: the next sync then reads all anew."""

MAX_DOCUMENT_BYTES = 32 * 2**20
MAX_TITLE_CHARACTERS = 300

Extractor = Callable[[bytes, str | None], Extract]
"""Takes the bytes and a character set, if one was declared. Raises UnreadableError."""


def _extract_markdown(data: bytes, charset: str | None) -> Extract:
    from core.knowledge.loading.markdown import extract_markdown

    return extract_markdown(data, charset)


def _extract_plain(data: bytes, charset: str | None) -> Extract:
    from core.knowledge.loading.text import extract_plain

    return extract_plain(data, charset)


def _extract_html(data: bytes, charset: str | None) -> Extract:
    from core.knowledge.loading.html import extract_html

    return extract_html(data, charset)


def _extract_pdf(data: bytes, charset: str | None) -> Extract:
    from core.knowledge.loading.pdf import extract_pdf

    return extract_pdf(data)


def _extract_docx(data: bytes, charset: str | None) -> Extract:
    from core.knowledge.loading.docx import extract_docx

    return extract_docx(data)


def _extract_xlsx(data: bytes, charset: str | None) -> Extract:
    from core.knowledge.loading.xlsx import extract_xlsx

    return extract_xlsx(data)


def _extract_pptx(data: bytes, charset: str | None) -> Extract:
    from core.knowledge.loading.pptx import extract_pptx

    return extract_pptx(data)


def _extract_csv(data: bytes, charset: str | None) -> Extract:
    from core.knowledge.loading.tables import extract_csv

    return extract_csv(data, charset)


def _extract_tsv(data: bytes, charset: str | None) -> Extract:
    from core.knowledge.loading.tables import extract_tsv

    return extract_tsv(data, charset)


def _extract_code(language: str) -> Extractor:
    from core.knowledge.loading.text import extract_code

    return partial(extract_code, language)


_BY_ENDING: dict[str, Extractor] = {
    **dict.fromkeys((".md", ".markdown", ".mdx"), _extract_markdown),
    **dict.fromkeys((".txt", ".text", ".rst", ".adoc"), _extract_plain),
    **dict.fromkeys((".html", ".htm", ".xhtml"), _extract_html),
    ".pdf": _extract_pdf,
    ".docx": _extract_docx,
    ".xlsx": _extract_xlsx,
    ".pptx": _extract_pptx,
    ".csv": _extract_csv,
    ".tsv": _extract_tsv,
}
_BY_MEDIA_TYPE: dict[str, Extractor] = {
    "text/markdown": _extract_markdown,
    "text/plain": _extract_plain,
    "text/html": _extract_html,
    "text/csv": _extract_csv,
    "text/tab-separated-values": _extract_tsv,
    "application/xhtml+xml": _extract_html,
    "application/pdf": _extract_pdf,
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": _extract_docx,
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": _extract_xlsx,
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": _extract_pptx,
}
ENDINGS = frozenset(_BY_ENDING)
"""Lower-case endings of the names of documents."""
_LANGUAGES = {
    ".py": "python", ".pyi": "python", ".js": "javascript", ".mjs": "javascript", ".jsx": "jsx", ".ts": "typescript",
    ".tsx": "tsx", ".go": "go", ".rs": "rust", ".java": "java", ".kt": "kotlin", ".scala": "scala", ".swift": "swift",
    ".c": "c", ".h": "c", ".cc": "cpp", ".cpp": "cpp", ".hpp": "cpp", ".cs": "csharp", ".rb": "ruby", ".php": "php",
    ".sh": "sh", ".bash": "sh", ".sql": "sql", ".lua": "lua", ".ex": "elixir", ".exs": "elixir", ".proto": "protobuf",
    ".tf": "hcl",
}  # fmt: skip
CODE_ENDINGS = frozenset(_LANGUAGES)
"""Lower-case endings of source files; a folder's are taken in only where it is sliced as code."""
MEDIA_TYPES = frozenset(_BY_MEDIA_TYPE)


_UNTRUSTED = frozenset({_extract_html, _extract_pdf, _extract_docx, _extract_xlsx, _extract_pptx})


def split_name(name: str) -> tuple[str, str]:
    """A file name without folders, and without its ending; the ending, with its dot, in small letters. pathlib would
    leave a trace of each name in memory, of which there may be a hundred thousand."""
    last = name.rpartition("/")[2]
    stem, _, ending = last.rpartition(".")
    return (stem, f".{ending.lower()}") if stem and ending else (last, "")


def is_untrusted(name: str, media_type: str | None) -> bool:
    """Whether the format is one whose readers can be made to eat memory or time, or to crash: it is read in a
    process of its own (core.knowledge.parsing)."""
    return _extractor_for(name, media_type) in _UNTRUSTED


def _extractor_for(name: str, media_type: str | None) -> Extractor:
    """Text is assumed where neither the media type nor the ending of the name tells."""
    _, ending = split_name(name)
    if ending in _LANGUAGES:
        return _extract_code(_LANGUAGES[ending])
    if media_type in _BY_MEDIA_TYPE and not (media_type == "text/plain" and ending in ENDINGS):
        return _BY_MEDIA_TYPE[media_type]
    return _BY_ENDING.get(ending, _extract_plain)


def fingerprint(data: bytes, slicing: str = "") -> str:
    """The content hash of a document: same bytes read and sliced in the same way, same hash. `slicing` names the
    chunking policy."""
    return hashlib.sha256(f"{READING_VERSION} {slicing}".encode() + b"\x00" + data).hexdigest()


def load_document(
    data: bytes,
    *,
    uri: str,
    name: str,
    media_type: str | None = None,
    charset: str | None = None,
    slicing: str = "",
) -> Document:
    """Read a document. `name` is its file name: it tells the format where no media type does, and is the
    title of last resort (of a source file, always); `slicing` goes into the content hash. Text is assumed where neither tells. Raises SourceError."""
    if not data.strip():
        raise SourceError(uri, "The file is empty.")
    if len(data) > MAX_DOCUMENT_BYTES:
        raise SourceError(uri, f"The file is larger than {MAX_DOCUMENT_BYTES // 2**20} MB.")
    stem, ending = split_name(name)
    try:
        extract = _extractor_for(name, media_type)(data, charset)
    except UnreadableError as error:
        raise SourceError(uri, error.reason) from error
    text = clean_text(extract.text)
    if not text.strip():
        raise SourceError(uri, extract.empty_reason)
    if len(text) > MAX_CHARACTERS:
        raise SourceError(uri, f"The document holds more than {MAX_CHARACTERS} characters of text.")
    title = (
        clean_text(name.rpartition("/")[2])
        if ending in _LANGUAGES
        else " ".join(clean_text(extract.title or "").split())
    )
    title = title or " ".join(clean_text(stem).replace("_", " ").replace("-", " ").split()) or "Untitled"
    author = " ".join(clean_text(extract.author or "").split())[:MAX_TITLE_CHARACTERS] or None
    return Document(
        uri=uri,
        title=title[:MAX_TITLE_CHARACTERS],
        text=text,
        content_hash=fingerprint(data, slicing),
        author=author,
    )
