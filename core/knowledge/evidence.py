"""Whether passages answer a question, judged from their words and their similarity. Pure.

Two judgements multiply: are the passages about what was asked, and does one place in them say it. The
weights come from logistic regression on public question sets with and without an answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from core.knowledge.sentences import Piece, pieces_of
from core.knowledge.words import STOP_WORDS, stem, stems_of, words_of
from core.messages import Passage

ENOUGH_EVIDENCE = 0.2
"""Below this it is more honest to say that the documents do not tell."""

NAME_WEIGHT = 1.4
HEADING_CREDIT = 0.6
"""A word of the question counts this much for a sentence when only the headings above it have it."""

NEGATIONS = frozenset(["not", "no", "never", "cannot", "without", "nobody", "none", "neither", "nor"])

ON_TOPIC = {"constant": -9.3, "similarity": 22.8, "sentence": 7.0, "names_missing": -1.3}
SAID = {
    "constant": -1.4,
    "sentence": 2.3,
    "pair": 1.15,
    "passage": -3.1,  # much in the passage and little in one sentence: it speaks of something near
    "missing": -1.1,
    "similarity": 3.4,
    "negation": -0.5,
}

UNKNOWN_NAME = 0.4
"""Left of the evidence when the question names something that the passages never mention."""
FULL_TRUST_SHARE = 0.45
LEAST_TRUST = 0.2
"""Similarity alone convinces little: with fewer of the question's words in one place, less is believed."""


@dataclass(frozen=True)
class Found:
    """A piece of passage `passage` (counted from 0). `coverage` is the share of the question's words,
    by weight, that it has; `in_context` counts the headings above it in part."""

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
    for n, piece in located:
        own = sum(weight for term, weight in weights.items() if term in piece.stem_set)
        above = sum(
            weight for term, weight in weights.items() if term in headings[n] and term not in piece.stem_set
        )
        found.append(Found(n, piece, own / total, (own + HEADING_CREDIT * above) / total))
    stems: list[set[str]] = [set() for _ in passages]
    for n, piece in located:
        stems[n] |= piece.stem_set
    return Reading(weights, names, tuple(found), tuple(map(frozenset, stems)), tuple(headings))


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


def evidence(question: str, passages: Sequence[Passage]) -> float:
    """How likely it is, 0 to 1, that the passages answer the question. 0 without passages."""
    return weigh_evidence(question, passages, read_passages(question, passages))


def weigh_evidence(question: str, passages: Sequence[Passage], reading: Reading) -> float:
    """`evidence`, for a reading that is there already."""
    if not passages:
        return 0.0
    signals = measure_signals(question, passages, reading)
    doubt = UNKNOWN_NAME if signals["names_missing"] else 1.0
    doubt *= min(1.0, max(LEAST_TRUST, signals["sentence"] / FULL_TRUST_SHARE)) if reading.weights else 1.0
    return doubt * _logistic(ON_TOPIC, signals) * _logistic(SAID, signals)


def measure_signals(question: str, passages: Sequence[Passage], reading: Reading) -> dict[str, float]:
    """What the judgement rests on, each about 0 to 1.

    `similarity` is the best passage's; where no passage knows its own, the words stand in for it.
    """
    shares = [reading.share(stems) for stems in reading.passage_stems]
    best = max(reading.found, key=lambda found: found.in_context, default=None)
    missing = [
        w
        for term, w in reading.weights.items()
        if term not in reading.passage_stems[shares.index(max(shares))]
    ]
    average = sum(reading.weights.values()) / max(1, len(reading.weights)) or 1.0
    everywhere = frozenset().union(*reading.passage_stems, *reading.heading_stems)
    known = [passage.similarity for passage in passages if passage.similarity is not None]
    return {
        "sentence": best.in_context if best else 0.0,
        "pair": _best_pair(reading),
        "passage": max(shares),
        "anywhere": reading.share(everywhere),
        "missing": min(max(missing, default=0.0) / average, 3.0) / 3,
        "names_missing": min(len(reading.names - everywhere), 2) / 2,
        "similarity": max(known) if known else 0.15 + 0.5 * max(shares),
        "negation": float(best is not None and _negates(question) != _negates(best.piece.text)),
    }


def _best_pair(reading: Reading) -> float:
    """The best share of two pieces that follow each other."""
    best = 0.0
    for one, two in zip(reading.found, reading.found[1:], strict=False):
        if one.passage == two.passage and one.coverage + two.coverage > best:
            best = max(best, reading.share(one.piece.stem_set | two.piece.stem_set))
    return max([best, *(found.coverage for found in reading.found)])


def _negates(text: str) -> bool:
    return any(word in NEGATIONS or word.endswith(("n't", "n’t")) for word in text.lower().split())


def _logistic(weights: dict[str, float], signals: dict[str, float]) -> float:
    return 1 / (1 + math.exp(-weights["constant"] - sum(weights.get(k, 0.0) * v for k, v in signals.items())))
