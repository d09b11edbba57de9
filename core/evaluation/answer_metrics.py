"""Figures about answers: knowing when to abstain, holding the expected answer, citing what was read. Pure."""

from __future__ import annotations

import re
import string
from collections.abc import Collection, Sequence

import numpy as np

from core.answers import Answer, Passage
from core.messages import Frozen

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_MARKER = re.compile(r"\[(\d{1,3})\]")


class Abstention(Frozen):
    """How well a system knows what it cannot answer. Precision, recall and F1 are of abstaining.

    `accuracy` is the share of questions where it was right to answer or right to abstain;
    `balanced_accuracy` is the mean of that share over answerable and over unanswerable questions
    (0.5 for always abstaining and for a coin). A figure whose base is empty is 0.
    """

    precision: float
    recall: float
    f1: float
    accuracy: float
    balanced_accuracy: float


def measure_abstention(abstained: Sequence[bool], answerable: Sequence[bool]) -> Abstention:
    """One entry per question in both sequences. Raises ValueError if their lengths differ."""
    pairs = list(zip(abstained, answerable, strict=True))
    right = sum(gave_up and not can for gave_up, can in pairs)
    wrong = sum(gave_up and can for gave_up, can in pairs)
    missed = sum(not gave_up and not can for gave_up, can in pairs)
    answered = sum(not gave_up and can for gave_up, can in pairs)
    recall, kept = _share(right, right + missed), _share(answered, answered + wrong)
    present = [share for share, base in ((recall, right + missed), (kept, answered + wrong)) if base]
    return Abstention(
        precision=_share(right, right + wrong),
        recall=recall,
        f1=_share(2 * right, 2 * right + wrong + missed),
        accuracy=_share(right + answered, len(pairs)),
        balanced_accuracy=sum(present) / len(present) if present else 0.0,
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def auroc(scores: Sequence[float], positive: Sequence[bool]) -> float | None:
    """How likely a positive scores above a negative; a tie counts half. None without both kinds."""
    values, labels = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    if values.shape != labels.shape:
        raise ValueError("AUROC needs one label for each score")
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if not positives or not negatives:
        return None
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    middle_ranks = np.cumsum(sizes) - (sizes - 1) / 2.0
    rank_sum = float(middle_ranks[group][labels].sum())
    return (rank_sum - positives * (positives + 1) / 2.0) / (positives * negatives)


def normalise_answer(text: str) -> str:
    """As SQuAD compares answers: lower case, without punctuation and articles, single blanks."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def contains_gold(text: str, golds: Collection[str]) -> bool:
    """Whether the text holds one of the expected answers as whole words, both normalised."""
    haystack = f" {normalise_answer(_MARKER.sub(' ', text))} "
    return any(f" {gold} " in haystack for gold in map(normalise_answer, golds) if gold)


def citation_precision(cited: Collection[str], sources: Collection[str]) -> float | None:
    """The share of the cited documents that are among the expected sources. None without citations."""
    distinct = set(cited)
    return len(distinct & set(sources)) / len(distinct) if distinct else None


def citation_validity(answer: Answer, passages: Sequence[Passage]) -> float | None:
    """The share of an answer's [n] markers and citations that hold. None if it has neither.

    A marker holds if a citation has its number; a citation holds if a marker names it and its quote
    stands, blanks aside, in the passage that it points to. A long quote ends in "…" where it was cut.
    """
    texts = {passage.chunk_id: _single_blanks(passage.text) for passage in passages}
    markers = {int(number) for number in _MARKER.findall(answer.text)}
    numbers = {citation.n for citation in answer.citations}
    checks = [marker in numbers for marker in sorted(markers)] + [
        citation.n in markers
        and _single_blanks(citation.quote).removesuffix("…") in texts.get(citation.chunk_id, "")
        for citation in answer.citations
    ]
    return sum(checks) / len(checks) if checks else None


def _single_blanks(text: str) -> str:
    return " ".join(text.split())
