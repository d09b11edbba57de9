"""Reads tables (CSV), as exports hold them: each becomes one Markdown table."""

from __future__ import annotations

import csv
import io

from core.knowledge.loading.text import MAX_CHARACTERS, Extract, UnreadableError, decode_text

MAX_CELL_CHARACTERS = 2_000


def extract_csv(data: bytes, charset: str | None) -> Extract:
    """The first row is the head. Raises UnreadableError."""
    text = decode_text(data, charset)
    if len(text) > MAX_CHARACTERS:
        raise UnreadableError(f"The table holds more than {MAX_CHARACTERS} characters.")
    try:
        rows = [[_cell(cell) for cell in row] for row in csv.reader(io.StringIO(text, newline=""))]
    except csv.Error as error:
        raise UnreadableError("The table is broken.") from error
    rows = [row for row in rows if any(row)]
    if not rows:
        return Extract("")
    # Short rows stay short: filled up beside a long one they could take more memory than there is.
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return Extract("\n".join([lines[0], f"|{' --- |' * len(rows[0])}", *lines[1:]]))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")[:MAX_CELL_CHARACTERS]
