"""The words that a thread is about, as a search can use them beside a question. Pure.

A follow-up often leaves out what everybody in the thread knows. The few words that the latest turns share say it; they
count so little that a question which stands on its own is found as before (docs/evaluation.md).
"""

from __future__ import annotations

from core.answers import Memory
from core.knowledge.words import STOP_WORDS, stem, words_of

TURNS = 3
WORDS = 8
FADING = 0.7
"""What a word counts less with every turn that it is older."""


def words_of_thread(question: str, memory: Memory) -> str:
    """At most `WORDS` words of the latest turns that the question has not, those said most and last first."""
    turns = [*((message.text, "") for message in memory.earlier), *memory.turns]
    present = {stem(word) for word in _lower_words(question)}
    counts: dict[str, float] = {}
    forms: dict[str, str] = {}
    for age, turn in enumerate(reversed(turns[-TURNS:])):
        for text in turn:
            for term, word in {stem(word): word for word in _lower_words(text)}.items():
                if term not in present:
                    forms.setdefault(term, word)
                    counts[term] = counts.get(term, 0.0) + FADING**age
    best = sorted(counts, key=lambda term: -counts[term])[:WORDS]  # among equals the one met first
    return " ".join(forms[term] for term in best)


def _lower_words(text: str) -> list[str]:
    return [word for word in map(str.lower, words_of(text)) if word not in STOP_WORDS]
