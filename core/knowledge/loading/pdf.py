"""Reads PDF: the text of each page under a heading with its number."""

from __future__ import annotations

import io
import logging
import re

import pypdf
from pypdf.errors import PyPdfError

from core.knowledge.loading.text import MAX_CHARACTERS, Extract, UnreadableError

MAX_PAGES = 5_000
_HYPHENATED = re.compile(r"(?<=[a-z])-\n(?=[a-z])")


def extract_pdf(data: bytes) -> Extract:
    """The text layer, page by page. Raises UnreadableError for encrypted, broken and endless files."""
    logging.getLogger("pypdf").setLevel(logging.ERROR)  # it warns about every small flaw of every file
    try:
        return _extract(data)
    except UnreadableError:
        raise
    except RecursionError as error:
        raise UnreadableError("The PDF is nested too deeply to be read.") from error
    except (
        PyPdfError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        ArithmeticError,
    ) as error:
        # pypdf lets these through for files that break its assumptions.
        raise UnreadableError("The PDF is broken.") from error
    except (NotImplementedError, ImportError, OSError, AssertionError) as error:
        raise UnreadableError("The PDF uses a feature that cannot be read.") from error


def _extract(data: bytes) -> Extract:
    reader = pypdf.PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not _opens_without_password(reader):
        raise UnreadableError("The PDF is encrypted; save a copy without a password.")
    if len(reader.pages) > MAX_PAGES:
        raise UnreadableError(f"The PDF has more than {MAX_PAGES} pages.")
    parts: list[str] = []
    size = 0
    for number, page in enumerate(reader.pages, start=1):
        text = _HYPHENATED.sub("", page.extract_text() or "").strip()
        # A heading mark at the start of a line would be taken for structure.
        text = re.sub(r"(?m)^(#{1,6} )", r"\\\1", text)
        size += len(text)
        if size > MAX_CHARACTERS:
            break  # too much for a document anyway
        if text:
            parts.append(f"## Page {number}\n\n{text}")
    named = reader.metadata
    return Extract(
        "\n\n".join(parts),
        named.title if named else None,
        "The PDF holds no text; scanned pages need text recognition first.",
        named.author if named else None,
    )


def _opens_without_password(reader: pypdf.PdfReader) -> bool:
    try:
        return bool(reader.decrypt(""))
    except (PyPdfError, ImportError, NotImplementedError):
        return False
