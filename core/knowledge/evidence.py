"""Whether passages answer a question, judged from their words and their similarity. Pure.

What counts: how near the passages are, how much of the question one place in them says and the rest does not, and
what goes against it. The weights are fitted on questions with and without an answer (core.knowledge.judgement).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from core.answers import Passage
from core.knowledge.contradictions import has_opposite, has_other_number, is_negated_elsewhere
from core.knowledge.judgement import Judgement
from core.knowledge.sentences import LEANS_BACK, Piece, pieces_of
from core.knowledge.words import STOP_WORDS, stem, stems_of, words_of

NAME_WEIGHT = 1.4
HEADING_CREDIT = 0.6
"""A word of the question counts this much for a sentence when only the headings above it have it, or the sentence
that it points back to."""

NEAR = 3
"""Two words of the question belong together if no more than this many words apart."""


@dataclass(frozen=True)
class Found:
    """A piece of passage `passage` (counted from 0). `coverage` is the share of the question's words,
    by weight, that it has; `in_context` counts in part the headings above it and the sentence that it points back to."""

    passage: int
    piece: Piece
    coverage: float
    in_context: float


@dataclass(frozen=True)
class Reading:
    """A question held against passages: its terms with their weights, and what was found where.

    `passage_stems` are the words of each passage's text, `heading_stems` of its title and headings.
    """

    weights: dict[str, float]
    names: frozenset[str]
    found: tuple[Found, ...]
    passage_stems: tuple[frozenset[str], ...]
    heading_stems: tuple[frozenset[str], ...]

    def share(self, stems: frozenset[str] | set[str]) -> float:
        """The share of the question's terms, by weight, that are among the stems."""
        total = sum(self.weights.values())
        return sum(weight for term, weight in self.weights.items() if term in stems) / total if total else 0.0


def read_passages(question: str, passages: Sequence[Passage]) -> Reading:
    """Weigh the question's words by how rare they are in the passages, and look for them."""
    names, terms = _terms(question)
    headings = [_heading_stems(passage) for passage in passages]
    located = [(n, piece) for n, passage in enumerate(passages) for piece in pieces_of(passage.text)]
    weights = {}
    for term in terms:
        frequency = sum(term in piece.stem_set for _, piece in located)
        rarity = math.log(1 + (len(located) + 1) / (frequency + 0.5))
        weights[term] = rarity * (NAME_WEIGHT if term in names else 1.0)
    total = sum(weights.values()) or 1.0
    found = []
    for (_, before), (n, piece) in zip([(0, None), *located], located, strict=False):
        own = sum(weight for term, weight in weights.items() if term in piece.stem_set)
        context = headings[n] | _leans_on(piece, before)
        above = sum(
            weight for term, weight in weights.items() if term in context and term not in piece.stem_set
        )
        found.append(Found(n, piece, own / total, (own + HEADING_CREDIT * above) / total))
    stems: list[set[str]] = [set() for _ in passages]
    for n, piece in located:
        stems[n] |= piece.stem_set
    return Reading(weights, names, tuple(found), tuple(map(frozenset, stems)), tuple(headings))


def _leans_on(piece: Piece, before: Piece | None) -> frozenset[str]:
    """The words of the sentence before, where this one points back to it."""
    leans = before is not None and before.block == piece.block and LEANS_BACK.match(piece.text)
    return before.stem_set if before is not None and leans else frozenset()


def _terms(question: str) -> tuple[frozenset[str], list[str]]:
    """The stems of the names and numbers in the question, and those of all its content words."""
    names, terms = set(), []
    words = words_of(question)
    # Written Like A Headline: then a capital says nothing.
    titled = any(word[0].isupper() and word.lower() in STOP_WORDS - {"i"} for word in words[1:])
    for position, word in enumerate(words):
        if word.lower() in STOP_WORDS:
            continue
        term = stem(word.lower())
        terms.append(term)
        if (position and word[0].isupper() and not titled) or any(map(str.isdigit, word)):
            names.add(term)
    return frozenset(names), list(dict.fromkeys(terms))


def _heading_stems(passage: Passage) -> frozenset[str]:
    return frozenset(stems_of(" ".join((passage.title, *passage.heading_path))))


def evidence(question: str, passages: Sequence[Passage], judgement: Judgement) -> float:
    """How likely it is, 0 to 1, that the passages answer the question. 0 without passages."""
    return weigh_evidence(question, passages, read_passages(question, passages), judgement)


def knows_similarity(passages: Sequence[Passage]) -> bool:
    """Whether anything was compared by meaning. The embedder may have failed, and the words alone found them."""
    return any(passage.similarity is not None for passage in passages)


def weigh_evidence(
    question: str, passages: Sequence[Passage], reading: Reading, judgement: Judgement
) -> float:
    """`evidence`, for a reading that is there already."""
    return judgement.probability(measure_signals(question, passages, reading)) if passages else 0.0


def measure_signals(question: str, passages: Sequence[Passage], reading: Reading) -> dict[str, float]:
    """What the judgement rests on, each about 0 to 1; 1 of those that are true or false. `similarity` is the best
    passage's, 0 where no passage knows its own; the words are looked for in the best piece, with what stands
    beside it (`around`), in the best passage and in all of them (`names_missing`)."""
    everywhere = frozenset().union(*reading.passage_stems, *reading.heading_stems)
    place = max(range(len(reading.found)), key=lambda n: reading.found[n].in_context, default=None)
    best = reading.found[place] if place is not None else None
    text = best.piece.text if best else ""
    return {
        "similarity": max((passage.similarity or 0.0 for passage in passages), default=0.0),
        "sentence": best.in_context if best else 0.0,
        "around": _share_around(reading, place) if place is not None else 0.0,
        "in_order": _share_in_order(reading, best) if best else 0.0,
        "passage": max(map(reading.share, reading.passage_stems), default=0.0),
        "names_missing": min(len(reading.names - everywhere), 2) / 2,
        "negated": float(is_negated_elsewhere(question, text)),
        "opposite": float(has_opposite(question, text)),
        "other_number": float(has_other_number(question, text)),
    }


def _share_around(reading: Reading, place: int) -> float:
    """The share of the question's words in a piece and the ones before and after it."""
    found = reading.found[place]
    near = [other for other in reading.found[max(0, place - 1) : place + 2] if other.passage == found.passage]
    return reading.share(frozenset().union(*(other.piece.stem_set for other in near)))


def _share_in_order(reading: Reading, found: Found) -> float:
    """The share of neighbouring words of the question that the piece has close together, in their order. A question of
    one word has no order: its share counts."""
    places: dict[str, list[int]] = {}
    for n, term in enumerate(found.piece.stems):
        places.setdefault(term, []).append(n)
    pairs = list(pairwise(reading.weights))
    if not pairs:
        return found.in_context
    close = [
        pair
        for pair in pairs
        if any(
            0 < there - here <= NEAR for here in places.get(pair[0], ()) for there in places.get(pair[1], ())
        )
    ]
    return len(close) / len(pairs)
