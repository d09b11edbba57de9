"""The answerer that needs no model: it quotes the places in the passages that answer the question.

A real mode: what it says stands in the documents, word for word, and it says so when nothing does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from core.answers import Memory, TokenUse
from core.knowledge.evidence import knows_similarity, read_passages, weigh_evidence
from core.knowledge.judgement import find_judgement
from core.knowledge.rewriting import rewrite_question
from core.ports import NO_ANSWER, ModelDelta, ModelRequest
from core.providers.extracts import compose_answer

SUMMARY_TURNS = 12
SUMMARY_CHARACTERS = 160


class ExtractiveAnswerer:
    """Implements core.ports.ChatModel without a model: no key, no network, a few milliseconds.

    `embedder`: the name of the one that gives the passages their similarity; None: not known, or not one whose scale
    means something, so that only the words count.
    """

    def __init__(self, embedder: str | None = None) -> None:
        self._embedder = embedder

    @property
    def name(self) -> str:
        return "extractive"

    async def prepare(self) -> None:
        """There is nothing to load."""

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelDelta]:
        if request.task == "rewrite":
            text = rewrite_question(request.question, request.memory)
        elif request.task == "summarise":
            text = summarise(request.memory)
        else:
            text = self._answer(request)
        for piece in text.splitlines(keepends=True):
            yield ModelDelta(text=piece)
        yield ModelDelta(finish="stop", use=TokenUse(cost_usd=0.0))

    def _answer(self, request: ModelRequest) -> str:
        if not request.passages:
            return NO_ANSWER
        reading = read_passages(request.question, request.passages)
        judgement = find_judgement(self._embedder if knows_similarity(request.passages) else None)
        if weigh_evidence(request.question, request.passages, reading, judgement) < judgement.threshold:
            return NO_ANSWER
        return compose_answer(request.question, request.passages, reading) or NO_ANSWER


def summarise(memory: Memory) -> str:
    """What was asked and the beginning of what was answered, the latest turns last."""
    lines = [memory.summary] if memory.summary else []
    for question, answer in memory.turns[-SUMMARY_TURNS:]:
        lines.append(f"Asked: {_shorten(question)} Answered: {_shorten(answer)}")
    return "\n".join(lines) or "Nothing was said yet."


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    if len(line) <= SUMMARY_CHARACTERS:
        return line
    return line[:SUMMARY_CHARACTERS].rsplit(" ", 1)[0] + " …"
