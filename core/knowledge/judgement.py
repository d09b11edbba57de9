"""How the signs of an answer are weighed: weights and thresholds that `threadlore eval calibrate` has fitted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from pydantic import Field, TypeAdapter

from core.messages import Frozen

WEIGHTS_FILE = "evidence_weights.json"
BY_WORDS = "words"
"""The judgement that reads no similarity: for embedders on whose scale nothing was fitted."""


class Judgement(Frozen):
    """A logistic regression. `weights` by signal; a signal that it has no weight for does not count.
    `threshold`: from this probability on, answering is more often right than keeping quiet, where both kinds of question
    are equally frequent. `fitted_on` says how it was made."""

    constant: float
    weights: dict[str, float]
    threshold: float = Field(ge=0, le=1)
    fitted_on: str = ""

    @property
    def reads_similarity(self) -> bool:
        return "similarity" in self.weights

    def probability(self, signals: Mapping[str, float]) -> float:
        """How likely it is, 0 to 1, that what shows these signals answers the question."""
        exponent = self.constant + sum(weight * signals[name] for name, weight in self.weights.items())
        return 1 / (1 + math.exp(-min(max(exponent, -500.0), 500.0)))


def find_judgement(embedder: str | None) -> Judgement:
    """The one fitted with this embedder (its name as in core.ports.Embedder), else the one by words alone."""
    known = _read_judgements()
    return known.get(embedder or BY_WORDS, known[BY_WORDS])


@cache
def _read_judgements() -> dict[str, Judgement]:
    content = files("core.knowledge").joinpath(WEIGHTS_FILE).read_bytes()
    return TypeAdapter(dict[str, Judgement]).validate_json(content)
