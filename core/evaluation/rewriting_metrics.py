"""How near a rewritten question comes to the one that the set brings along, and what it gives a search. Pure."""

from __future__ import annotations

from collections import Counter

from core.evaluation.answer_metrics import normalise_answer
from core.knowledge.words import stems_of
from core.messages import Frozen


class TurnFigures(Frozen):
    """One question. The reference is the standalone question of the set.

    `f1_as_it_stands`, `f1` and `f1_automatic`: token F1 of the question, of our rewrite and of another system's (None
    without one) against the reference. `reference_changes`, `changes`: whether the reference, and whether our rewrite,
    says something else than the question. `found`: the share of the content words that the reference adds to the
    question which our rewrite has, None where it adds none; `beyond`: how many it adds that the reference has not.
    `…_with_thread`: of our rewrite together with the words of the thread, which is what a search gets.
    """

    f1_as_it_stands: float
    f1: float
    f1_automatic: float | None
    reference_changes: bool
    changes: bool
    found: float | None
    found_with_thread: float | None
    beyond: int
    beyond_with_thread: int


def measure_turn(
    question: str, written: str, *, thread: str, reference: str, automatic: str | None = None
) -> TurnFigures:
    """`written` is our rewrite of the question, `thread` the words that are searched for beside it."""
    asked, expected = set(stems_of(question)), set(stems_of(reference))
    missing = expected - asked
    brought = set(stems_of(written)) - asked
    with_thread = brought | set(stems_of(thread)) - asked
    return TurnFigures(
        f1_as_it_stands=token_f1(question, reference),
        f1=token_f1(written, reference),
        f1_automatic=None if automatic is None else token_f1(automatic, reference),
        reference_changes=is_changed(question, reference),
        changes=is_changed(question, written),
        found=len(brought & missing) / len(missing) if missing else None,
        found_with_thread=len(with_thread & missing) / len(missing) if missing else None,
        beyond=len(brought - expected),
        beyond_with_thread=len(with_thread - expected),
    )


def token_f1(text: str, reference: str) -> float:
    """The harmonic mean of precision and recall of the words, each as often as it occurs; without case, punctuation
    and articles. 1 if neither has a word."""
    said, expected = normalise_answer(text).split(), normalise_answer(reference).split()
    common = (Counter(said) & Counter(expected)).total()
    words = len(said) + len(expected)
    return 2 * common / words if words else 1.0


def is_changed(question: str, rewrite: str) -> bool:
    """Whether a rewrite differs from the question in more than case, punctuation and articles."""
    return normalise_answer(question) != normalise_answer(rewrite)
