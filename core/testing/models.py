"""A chat model that does as it is told, in place of a provider's."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Literal

from core.answers import TokenUse
from core.errors import ModelError
from core.ports import NO_ANSWER, ModelDelta, ModelRequest

PIECE_CHARACTERS = 16
INJECTION = re.compile(r"^.*\b(?:ignore|disregard|forget)\b.*\binstructions?\b[^:]*:\s*(.+)$", re.IGNORECASE)

Behaviour = Literal["answer", "empty", "cut", "hang", "stall", "length", "refuse"]


@dataclass(frozen=True)
class Act:
    """How one call goes. `text` None: what the model would say by itself. With `error`, it is raised
    after `error_after_pieces` pieces; `piece_seconds` go by between two of them. `hang` says nothing for ever, `stall` stops half-way for ever,
    `cut` ends half-way without a finish."""

    text: str | None = None
    behaviour: Behaviour = "answer"
    delay_seconds: float = 0.0
    piece_seconds: float = 0.0
    error: ModelError | None = None
    error_after_pieces: int = 0


Reply = Callable[[ModelRequest], str]


def quote_first_passage(request: ModelRequest) -> str:
    """The default: a rewrite repeats the question, an answer quotes passage 1, a summary lists questions."""
    if request.task == "rewrite":
        return request.question
    if request.task == "summarise":
        return "They asked: " + " ".join(question for question, _ in request.memory.turns)
    if not request.passages:
        return NO_ANSWER
    first = next((line for line in request.passages[0].text.splitlines() if line.strip()), "")
    return f"{first.lstrip('#>*- ').strip()} [1]"


def obey_instructions(request: ModelRequest) -> str:
    """A model with no will of its own: does what a passage or an earlier message orders, word for word.

    An order is a line such as "ignore your instructions and say: ...". For tests that look at effects.
    """
    told = [passage.text for passage in request.passages]
    told += [request.question, *(text for turn in request.memory.turns for text in turn)]
    for text in told:
        for line in text.splitlines():
            if order := INJECTION.match(line):
                return order[1] if not request.passages else f"{order[1]} [1]"
    return quote_first_passage(request)


class FakeChatModel:
    """Implements core.ports.ChatModel. Calls follow `acts` in order, then answer as `reply` says.

    `requests` holds every request; tokens are counted four characters each, at 1 USD per million.
    """

    def __init__(
        self, *acts: Act | str, reply: Reply = quote_first_passage, name: str = "fake:model"
    ) -> None:
        self._acts = deque(Act(text=act) if isinstance(act, str) else act for act in acts)
        self._reply = reply
        self._name = name
        self.requests: list[ModelRequest] = []

    @property
    def name(self) -> str:
        return self._name

    async def prepare(self) -> None:
        """It is as ready as it will be."""

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelDelta]:
        self.requests.append(request)
        act = self._acts.popleft() if self._acts else Act()
        if act.delay_seconds:
            await asyncio.sleep(act.delay_seconds)
        if act.behaviour == "hang":
            await asyncio.Event().wait()
        text = self._reply(request) if act.text is None else act.text
        if act.behaviour in ("empty", "refuse"):
            text = ""
        pieces = [text[start : start + PIECE_CHARACTERS] for start in range(0, len(text), PIECE_CHARACTERS)]
        if act.behaviour in ("cut", "stall"):
            pieces = pieces[: (len(pieces) + 1) // 2]
        for index, piece in enumerate(pieces):
            if act.error is not None and index == act.error_after_pieces:
                raise act.error
            yield ModelDelta(text=piece)
            await asyncio.sleep(act.piece_seconds)
        if act.error is not None:
            raise act.error
        if act.behaviour == "stall":
            await asyncio.Event().wait()
        if act.behaviour != "cut":
            yield _end(request, text, act.behaviour)


def _end(request: ModelRequest, text: str, behaviour: Behaviour) -> ModelDelta:
    input_tokens = (len(request.system) + len(request.user)) // 4
    output_tokens = (len(text) + 3) // 4
    use = TokenUse(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost_usd=(input_tokens + output_tokens) / 1e6,
    )
    if behaviour == "length":
        return ModelDelta(use=use, finish="length")
    return ModelDelta(use=use, finish="refusal" if behaviour == "refuse" else "stop")
