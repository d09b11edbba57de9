"""Composes an answer out of quotes: chooses the pieces, keeps what belongs together, marks each. Pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.answers import Passage
from core.knowledge.evidence import Found, Reading
from core.knowledge.sentences import LEANS_BACK, Piece, pieces_of
from core.knowledge.words import stems_of

MOST_QUOTES = 4
MOST_CHARACTERS = 900
MOST_LIST_CHARACTERS = 2200
GOOD_BESIDE_THE_BEST = 0.75
"""Further quotes must be this good, measured against the best one."""
SAME_WORDS = 0.7
LIST_BONUS = 0.25
"""What a list of steps gains when the question asks how to do something."""

HOW_TO = re.compile(
    r"^\W*(?:how\s+(?:to|(?:do|does|can|could|should|would|may|must)\s+(?:i|we|you|one|people|users?|somebody)\s)"
    r"|steps?\b|(?:can|could)\s+you\s+(?:show|explain)\b|(?:show|tell|guide)\b"
    r"|what\s+(?:are\s+the\s+steps|do\s+(?:i|we)\s+(?:need\s+to\s+)?do|is\s+the\s+(?:way|command|procedure))"
    r"|set(?:ting)?\s*up\b|install|configur|connect)",
    re.IGNORECASE,
)
LIST_MARK = re.compile(r"^\s*(?:\d{1,3}[.)]|[-*+•])\s+")
LINK = re.compile(r"!?\[([^\]]*)\]\([^)\s]*(?:\s+\"[^\"]*\")?\)")
FOOTNOTE = re.compile(r"\s?\[\d{1,3}\]")
CODE_SPAN = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)


@dataclass(frozen=True)
class Quote:
    """Pieces of one passage that are given together. `score` says how well they answer; `bonus` is for
    the right form of an answer, and counts only for who comes first."""

    passage: int
    pieces: tuple[Piece, ...]
    score: float
    bonus: float = 0.0

    @property
    def is_prose(self) -> bool:
        return all(piece.kind == "sentence" for piece in self.pieces)

    @property
    def stems(self) -> frozenset[str]:
        return frozenset().union(*(piece.stem_set for piece in self.pieces))


def compose_answer(question: str, passages: Sequence[Passage], reading: Reading) -> str:
    """Markdown with an [n] after each quote; empty when there is nothing to quote."""
    how_to = bool(HOW_TO.search(question))
    candidates = sorted(_candidates(passages, reading, how_to), key=lambda quote: -quote.score - quote.bonus)
    chosen: list[Quote] = []
    characters = 0
    for quote in candidates:
        size = sum(len(piece.text) for piece in quote.pieces)
        if chosen and (
            quote.score < chosen[0].score * GOOD_BESIDE_THE_BEST
            or characters + size > MOST_CHARACTERS
            or any(_repeats(quote, other) for other in chosen)
            or not _adds(quote, chosen, reading)
        ):
            continue
        chosen.append(quote)
        characters += size
        if len(chosen) == MOST_QUOTES or chosen[0].bonus:  # steps say it all
            break
    paragraphs: list[str] = []
    before: Quote | None = None
    for quote in _in_reading_order(chosen):
        text = _render(quote, passages[quote.passage])
        if before and before.passage == quote.passage and before.is_prose and quote.is_prose:
            paragraphs[-1] += f" {text}"
        else:
            paragraphs.append(text)
        before = quote
    return "\n\n".join(paragraphs)


def _candidates(passages: Sequence[Passage], reading: Reading, how_to: bool) -> Iterator[Quote]:
    """What could be quoted: every piece, with what it cannot stand without."""
    best_similarity = max((passage.similarity or 0.0 for passage in passages), default=0.0)
    seen: set[tuple[int, int]] = set()
    for found in reading.found:
        if found.in_context <= 0 or found.piece.kind in ("heading", "header"):
            continue
        passage = passages[found.passage]
        behind = best_similarity - (passage.similarity if passage.similarity is not None else best_similarity)
        score = found.in_context - 0.5 * behind - 0.01 * found.passage
        quote = _complete(found, passage, score, how_to, reading)
        key = (found.passage, quote.pieces[0].block)
        if quote.pieces[0].kind != "sentence" or len(quote.pieces) > 1:
            if key in seen and how_to:
                continue
            seen.add(key)
        yield quote


def _complete(found: Found, passage: Passage, score: float, how_to: bool, reading: Reading) -> Quote:
    """The quote around a piece: a list of steps whole, a list or code with its introduction, a row
    with its table's header, a sentence that leans on the one before with that one."""
    pieces = pieces_of(passage.text)
    index = pieces.index(found.piece)
    kind = found.piece.kind
    if how_to and kind in ("step", "item", "code"):
        whole = _with_neighbours(pieces, index, kind)
        stems = frozenset().union(*(piece.stem_set for piece in whole)) | _heading(passage)
        score += max(0.0, 0.5 * (reading.share(stems) - found.in_context))
        return Quote(found.passage, whole, score, 0.0 if kind == "item" else LIST_BONUS)
    if kind == "row":
        header = [piece for piece in pieces if piece.block == found.piece.block and piece.kind == "header"]
        return Quote(found.passage, (*header, found.piece), score)
    if kind == "sentence":
        return _around_sentence(found, pieces, index, score, how_to)
    introduction = _introduction(pieces, index) if kind == "code" else ()
    return Quote(found.passage, (*introduction, found.piece), score)


def _around_sentence(
    found: Found, pieces: tuple[Piece, ...], index: int, score: float, how_to: bool
) -> Quote:
    piece = found.piece
    if piece.text.rstrip().endswith(":") and index + 1 < len(pieces) and pieces[index + 1].kind != "heading":
        whole = _with_neighbours(pieces, index + 1, pieces[index + 1].kind)
        bonus = LIST_BONUS if how_to and pieces[index + 1].kind in ("step", "code") else 0.0
        return Quote(found.passage, whole if piece in whole else (piece, *whole), score, bonus)
    if piece.text.rstrip().endswith("?"):
        following = pieces[index + 1 : index + 2]
        return Quote(found.passage, (piece, *(p for p in following if p.kind == "sentence")), score - 0.1)
    if len(piece.stems) < 3:
        score -= 0.15
    if LEANS_BACK.match(piece.text) and index and pieces[index - 1].block == piece.block:
        return Quote(found.passage, (pieces[index - 1], piece), score)
    return Quote(found.passage, (piece,), score)


def _with_neighbours(pieces: tuple[Piece, ...], index: int, kind: str) -> tuple[Piece, ...]:
    """The block around the piece with its introduction, as far as it fits; a list of steps goes on over
    the code blocks and sentences between its steps."""
    block = [n for n, piece in enumerate(pieces) if piece.block == pieces[index].block]
    start, end = block[0], block[-1] + 1
    if kind == "step":
        while end < len(pieces) and pieces[end].kind in ("step", "code", "item"):
            end += 1
        while start > 0 and pieces[start - 1].kind in ("step", "code"):
            start -= 1
    chosen = [*_introduction(pieces, start)]
    characters = 0
    for piece in pieces[start:end]:
        characters += len(piece.text)
        if chosen and characters > MOST_LIST_CHARACTERS:
            break
        chosen.append(piece)
    return tuple(chosen)


def _introduction(pieces: tuple[Piece, ...], index: int) -> tuple[Piece, ...]:
    """The sentence right before a list or a code block that leads up to it."""
    before = pieces[index - 1] if index else None
    if before is None or before.kind != "sentence" or pieces[index].kind == "sentence":
        return ()
    return (before,) if before.text.rstrip().endswith(":") or pieces[index].kind == "code" else ()


def _repeats(quote: Quote, other: Quote) -> bool:
    if quote.passage == other.passage and set(quote.pieces) & set(other.pieces):
        return True
    shared = len(quote.stems & other.stems)
    return shared > SAME_WORDS * min(len(quote.stems), len(other.stems))


def _adds(quote: Quote, chosen: Sequence[Quote], reading: Reading) -> bool:
    """Whether the quote has a word of the question that is still missing, or is as good as the best."""
    said = frozenset().union(*(other.stems for other in chosen))
    asked = reading.weights.keys()
    return bool((quote.stems & asked) - said) or quote.score >= 0.9 * chosen[0].score


def _in_reading_order(chosen: Sequence[Quote]) -> list[Quote]:
    """The best first; quotes of the same passage follow it in the order of the text."""
    order = list(dict.fromkeys(quote.passage for quote in chosen))
    return sorted(chosen, key=lambda quote: (order.index(quote.passage), quote.pieces[0].block))


def _render(quote: Quote, passage: Passage) -> str:
    """The pieces as Markdown, with the marker after the last text that is not code."""
    mark = f" [{quote.passage + 1}]"
    kinds = {piece.kind for piece in quote.pieces}
    if kinds == {"code"}:
        heading = passage.heading_path[-1] if passage.heading_path else passage.title
        return f"{_clean(heading)}:{mark}\n\n{quote.pieces[0].text}"
    if "row" in kinds:
        return _render_rows(quote, mark)
    if len(quote.pieces) == 1:
        first, newline, rest = LIST_MARK.sub("", quote.pieces[0].text).partition("\n")
        return _mark(_clean(first + newline + textwrap.dedent(rest)), mark)
    lines: list[str] = []
    marked = False
    for before, piece in zip((None, *quote.pieces), quote.pieces, strict=False):
        text = piece.text if piece.kind == "code" else _clean(piece.text)
        introduces = before is None and text.endswith(":")
        last_text = not any(later.kind != "code" for later in quote.pieces[quote.pieces.index(piece) + 1 :])
        if not marked and (introduces or last_text) and piece.kind != "code":
            text = _mark(text, mark)
            marked = True
        if before is None:
            lines.append(text)
        elif before.block == piece.block and piece.kind == "sentence":
            lines[-1] += f" {text}"
        else:
            separator = "" if before.block == piece.block else "\n"
            lines.append(separator + text)
    return "\n".join(lines)


def _mark(text: str, mark: str) -> str:
    """Put the marker after the text, before a code block that ends it."""
    head, fence, code = text.partition("\n")
    if text.rstrip().endswith(("```", "~~~")):
        return f"{head}{mark}{fence}{code}"
    return f"{text.rstrip()}{mark}"


def _render_rows(quote: Quote, mark: str) -> str:
    """Table rows as 'column: cell' pairs, which every platform can show, below what introduces them."""
    header = next((_cells(piece.text) for piece in quote.pieces if piece.kind == "header"), [])
    rows = [_render_row(header, _cells(piece.text)) for piece in quote.pieces if piece.kind == "row"]
    introduction = " ".join(_clean(p.text) for p in quote.pieces if p.kind not in ("row", "header"))
    if not introduction and len(rows) == 1:
        return rows[0] + mark
    return "\n".join([f"{introduction}{mark}".lstrip(), "", *(f"- {row}" for row in rows)])


def _render_row(header: Sequence[str], row: Sequence[str]) -> str:
    if len(header) != len(row):
        return "; ".join(filter(None, row))
    return "; ".join(
        f"{name}: {cell}" if name else cell for name, cell in zip(header, row, strict=True) if cell
    )


def _cells(row: str) -> list[str]:
    return [_clean(cell.strip()) for cell in row.strip().strip("|").split("|")]


def _clean(text: str) -> str:
    """Links become their text and footnote numbers go, so that only our markers are markers."""
    parts = CODE_SPAN.split(text)
    for index in range(0, len(parts), 2):
        parts[index] = FOOTNOTE.sub("", LINK.sub(r"\1", parts[index]))
    return "".join(parts).strip()


def _heading(passage: Passage) -> frozenset[str]:
    return frozenset(stems_of(" ".join((passage.title, *passage.heading_path))))
