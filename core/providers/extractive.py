"""The answerer that needs no model: it quotes the places in the passages that answer the question.

A real mode: what it says stands in the documents, word for word, and it says so when nothing does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from core.knowledge.evidence import ENOUGH_EVIDENCE, read_passages, weigh_evidence
from core.knowledge.rewriting import rewrite_question
from core.messages import Memory, TokenUse
from core.ports import NO_ANSWER, ModelDelta, ModelRequest
from core.providers.extracts import compose_answer

SUMMARY_TURNS = 12
SUMMARY_CHARACTERS = 160


class ExtractiveAnswerer:
    """Implements core.ports.ChatModel without a model: no key, no network, a few milliseconds."""

    def __init__(self, *, enough_evidence: float = ENOUGH_EVIDENCE) -> None:
        self._enough_evidence = enough_evidence

    @property
    def name(self) -> str:
        return "extractive"

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
        if weigh_evidence(request.question, request.passages, reading) < self._enough_evidence:
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
