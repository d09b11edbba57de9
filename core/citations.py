"""Holding an answer's citations against the passages they point to. Pure.

A marker must name a passage that was given, and the sentence before it must find support there; a
marker that does not is removed. What stays is numbered anew in the order of appearance.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from core.answers import Citation, Passage
from core.messages import Frozen

MARKER = re.compile(r"[ \t]*(?:\[|【)(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)(?:†[^\]】]*)?(?:\]|】)(?!\()")
CODE = re.compile(r"(```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]+`)", re.DOTALL)
SENTENCE_END = re.compile(r"(?<=[.!?…。])[\s*_\"”)]+|\n+")
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")

LEAST_SUPPORT = 0.3
"""Share of a statement's content words that its passage must contain."""
QUOTE_CHARACTERS = 300


class Checked(Frozen):
    """The text with valid markers only, its citations, and how many markers were removed."""

    text: str
    citations: tuple[Citation, ...]
    dropped: int


def check_citations(text: str, passages: Sequence[Passage]) -> Checked:
    """Check every marker outside code; `passages` are numbered from 1 in the order given."""
    numbering: dict[int, int] = {}
    quotes: dict[int, str] = {}
    dropped = 0
    pieces = CODE.split(text)
    said = ""
    for index, piece in enumerate(pieces):
        if index % 2:
            said += piece
            continue
        done, position = "", 0
        for match in MARKER.finditer(piece):
            said += piece[position : match.start()]
            done += piece[position : match.start()]
            position = match.end()
            claim = claim_at(said, piece[position:])
            valid: list[int] = []
            for number in (int(part) for part in re.split(r"\s*[,;]\s*", match[1])):
                if 1 <= number <= len(passages) and is_supported(claim, passages[number - 1]):
                    valid.append(numbering.setdefault(number, len(numbering) + 1))
                    quotes.setdefault(number, best_quote(claim, passages[number - 1].text))
                else:
                    dropped += 1
            marks = "".join(f" [{n}]" for n in dict.fromkeys(valid))
            done += marks if done and not done.endswith("\n") else marks.lstrip()
        said += piece[position:]
        pieces[index] = done + piece[position:]
    citations = tuple(
        Citation(
            n=n,
            chunk_id=passages[number - 1].chunk_id,
            document_id=passages[number - 1].document_id,
            title=passages[number - 1].title,
            uri=passages[number - 1].uri,
            quote=quotes[number],
        )
        for number, n in numbering.items()
    )
    return Checked(text="".join(pieces).strip(), citations=citations, dropped=dropped)


def claim_at(before: str, after: str) -> str:
    """What a marker refers to: the statement before it, or, where that says nothing yet, the one around it."""
    claim = last_statement(before)
    if sum(len(word) > 3 for word in WORD.findall(claim)) >= 2 or claim.endswith("`"):
        return claim
    return f"{claim} {MARKER.sub('', SENTENCE_END.split(after.lstrip(), maxsplit=1)[0])}".strip()


def last_statement(text: str) -> str:
    """The last sentence of a text, or the code block that it ends with."""
    text = text.rstrip()
    if text.endswith(("```", "~~~", "`")):
        return text[-600:]
    parts = [part for part in SENTENCE_END.split(text) if part and WORD.search(part)]
    return parts[-1] if parts else ""


def is_supported(claim: str, passage: Passage) -> bool:
    """Whether the passage carries the claim: enough of its words, and every longer number.

    Where claim and passage share no small words at all they are in different languages, and only
    the numbers can be compared.
    """
    source = " ".join((passage.title, *passage.heading_path, passage.text)).casefold()
    if any(len(number) > 1 and number not in source for number in NUMBER.findall(claim)):
        return False
    words = [word.casefold() for word in WORD.findall(claim)]
    content = {stem(word) for word in words if len(word) > 3}
    if not content:
        return True
    source_words = set(WORD.findall(source))
    small = {word for word in words if len(word) <= 3 and not word.isdigit()}
    if small and not small & source_words:
        return True
    stems = {stem(word) for word in source_words}
    return len(content & stems) / len(content) >= LEAST_SUPPORT


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """A word cut to what its forms share; crude, and the same on both sides."""
    for ending in ("ations", "ation", "ings", "ing", "ies", "ers", "ed", "es", "er", "s", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def best_quote(claim: str, text: str) -> str:
    """The sentence of the passage that shares most words with the claim, at most 300 characters."""
    wanted = {stem(word.casefold()) for word in WORD.findall(claim) if len(word) > 3}
    sentences = [part.strip() for part in SENTENCE_END.split(text) if part and WORD.search(part)]
    if not sentences:
        return text[:QUOTE_CHARACTERS].strip()

    def shared(sentence: str) -> tuple[int, int]:
        found = {stem(word.casefold()) for word in WORD.findall(sentence)} & wanted
        return (len(found), -len(sentence))

    quote = max(sentences, key=shared)
    return quote if len(quote) <= QUOTE_CHARACTERS else quote[: QUOTE_CHARACTERS - 1].rstrip() + "…"
