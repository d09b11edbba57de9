"""What travels through the graph, and what stands beside it.

`TurnState` is the data of one run; every node returns the part that it changes. `TurnContext` holds
what a run uses and never changes: models, search, the trace, the deadline.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypedDict

from core.answers import Answer, Memory, Passage, Span, TokenUse
from core.errors import ModelError, ModelPermanentError
from core.messages import Audience, Payer
from core.ports import ChatModel

QuoteReason = Literal["model_failed", "budget_spent"]
"""Why an answer is quoted and not written."""

MOST_CALLS_PER_TURN = 8
MOST_TOKENS_PER_TURN = 60_000

OnText = Callable[[str], None]
"""Told the answer's text as it stands so far (whole); must return at once."""


STEPS_LIMIT = 25
"""More supersteps than the longest road with every fallback takes; beyond it something loops."""


class Search(Protocol):
    """The best passages for a query that everyone in the audience may read; `context`: words said before."""

    def __call__(self, query: str, *, audience: Audience, context: str = "") -> Awaitable[list[Passage]]: ...


class TurnState(TypedDict, total=False):
    """`model_index`: which of the models is on duty. `draft`: what it wrote, before the check.
    `by_words_alone`: nothing was searched by meaning, because the embedder fails.
    `quoted_because`: no model could write, so that the stand-in quotes; why."""

    question: str
    memory: Memory
    audience: Audience
    query: str
    passages: tuple[Passage, ...]
    model_index: int
    draft: str
    quoted_because: QuoteReason | None
    by_words_alone: bool
    abstain_because: str | None
    answer: Answer


class NothingToQuoteError(ModelError):
    """No model could write, and the passages hold no sentence that answers the question by itself.
    `because` says why none could."""

    def __init__(self, because: QuoteReason) -> None:
        super().__init__("nothing in the passages answers by itself")
        self.because = because


class TurnLimitError(ModelPermanentError):
    """The turn has made as many calls, or used as many tokens, as one turn may."""


@dataclass
class TurnTrace:
    """The spans of one run, its token use and the prompts it used. Times are seconds since it began.

    `use` is what providers reported; `tokens` also holds an estimate of the calls that broke off."""

    began: float = field(default_factory=time.perf_counter)
    spans: list[Span] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    use: TokenUse = field(default_factory=TokenUse)
    calls: int = 0
    tokens: int = 0

    def require_room(self) -> None:
        """Raises TurnLimitError when no further call to a model may be made for this turn."""
        if self.calls >= MOST_CALLS_PER_TURN:
            raise TurnLimitError(f"{self.calls} calls were made for one turn")
        if self.tokens >= MOST_TOKENS_PER_TURN:
            raise TurnLimitError(f"{self.tokens} tokens were used for one turn")

    @contextmanager
    def span(self, name: str, **facts: object) -> Iterator[dict[str, object]]:
        """Record one step, also when it fails; the step may add facts to the dict it is given."""
        started = time.perf_counter()
        known: dict[str, object] = dict(facts)
        try:
            yield known
        except BaseException as error:
            known["error"] = type(error).__name__
            raise
        finally:
            self.spans.append(
                Span(
                    name=name,
                    started_seconds=round(started - self.began, 6),
                    ended_seconds=round(time.perf_counter() - self.began, 6),
                    facts=known,
                )
            )

    def note_prompt(self, prompt_id: str) -> None:
        if prompt_id not in self.prompts:
            self.prompts.append(prompt_id)


@dataclass(frozen=True)
class TurnContext:
    """`models` in order of preference; `stand_in` quotes the documents when none of them can write.
    `payer` is who the calls are made for; `deadline` is a time of the running loop's clock, in seconds."""

    models: Sequence[ChatModel]
    stand_in: ChatModel | None
    payer: Payer
    search: Search
    on_text: OnText
    trace: TurnTrace
    deadline: float
