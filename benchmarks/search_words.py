"""A made-up language whose words the stemmer leaves as they are, with Zipf's law for how often each is used."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count, islice

import numpy as np
import numpy.typing as npt
from sqlalchemy import text

from core.storage.database import Database

WORDS = 100_000
_SYLLABLES = tuple(f"{a}{b}" for a in "bdfgklmnprtvz" for b in ("a", "o", "u"))
_CUMULATED = np.cumsum(1.0 / (np.arange(WORDS) + 2.7) ** 1.05)
_STEMS = text(r"""
    SELECT w.word, lexical_term(w.word) AS term FROM unnest(CAST(:words AS text[])) WITH ORDINALITY AS w (word, place)
    WHERE to_tsvector('english', w.word) = (quote_literal(w.word) || '\:1')::tsvector ORDER BY w.place
""")


@dataclass(frozen=True)
class Vocabulary:
    """The words, commonest first, and the numbers that the database gives them."""

    words: list[str]
    terms: list[int]


async def open_vocabulary(database: Database) -> Vocabulary:
    """No two of its words share a number."""
    candidates = [_spell(number) for number in islice(count(), WORDS + WORDS // 5)]
    terms: dict[int, str] = {}
    for row in await database.run(_STEMS, {"words": candidates}):
        terms.setdefault(row.term, row.word)
    chosen = list(terms.items())[:WORDS]
    assert len(chosen) == WORDS, f"only {len(chosen)} words are their own stems"
    return Vocabulary([word for _, word in chosen], [term for term, _ in chosen])


def _spell(number: int) -> str:
    """Short for what is common."""
    spelt = ""
    number += len(_SYLLABLES)
    while number:
        number, syllable = divmod(number, len(_SYLLABLES))
        spelt += _SYLLABLES[syllable]
    return f"{spelt}k"


def ids_by_frequency(random: np.random.Generator, size: int) -> npt.NDArray[np.int64]:
    """Numbers of words, each as often as Zipf's law says."""
    drawn = np.searchsorted(_CUMULATED, random.random(size) * _CUMULATED[-1])
    ids: npt.NDArray[np.int64] = np.minimum(drawn, WORDS - 1).astype(np.int64)
    return ids
