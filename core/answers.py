"""The words of an answer: what was found, what is said, and the Turn that records both.

Frozen values that every room shares. Nothing here knows a platform, a database or a model.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID, uuid5

from pydantic import Field

from core.messages import Author, Channel, Frozen, Message, Rating, Thread, Via

TURN_NAMESPACE = UUID("6f6d4a6e-53f5-4f0c-9a57-1d2f0a8c7b11")


def turn_id_for(message: Message) -> UUID:
    """The same question has the same turn id in every process and after every crash."""
    return turn_id_of(message.thread.channel, message.id)


def turn_id_of(channel: Channel, message_id: str) -> UUID:
    """The id of the turn that the message asks, or asked, or would have asked."""
    return uuid5(TURN_NAMESPACE, "\x1f".join((channel.platform, channel.workspace, channel.id, message_id)))


def trace_id_for(turn_id: UUID) -> str:
    """The trace id of a turn: 32 hexadecimal digits, as tracing systems want them."""
    return turn_id.hex


class Extent(Frozen):
    """Where a passage stands in its document: chunks `first` to `last`, characters `start` to `end`. The first
    `repeated` characters of its text are said again from further up (a table's header, a code block's fence)."""

    first: int
    last: int
    start: int
    end: int
    repeated: int = 0


class Passage(Frozen):
    """A chunk retrieved for a query, or the larger part of its document that is read in its place. `rank` starts
    at 1; `score` is higher for better; `extent` says where the text stands, None: not known.

    `dense_rank` and `lexical_rank` say where each leg of the search placed it (None: not found by it);
    `similarity` is the cosine similarity to the query, -1 to 1; `coverage`, 0 to 1, is how much of the query's
    words, weighed by their rarity, it holds. None: not known.

    `author` is whom its document names as its author, `source_id` where the document comes from; None: not known.
    """

    chunk_id: int
    document_id: int
    title: str
    uri: str
    heading_path: tuple[str, ...] = ()
    text: str
    rank: int
    score: float
    similarity: float | None = None
    coverage: float | None = None
    dense_rank: int | None = None
    lexical_rank: int | None = None
    extent: Extent | None = None
    author: str | None = None
    source_id: int | None = None


class Citation(Frozen):
    """A passage that the answer uses. `n` is the number in the text: [1], [2], ..."""

    n: int
    chunk_id: int
    document_id: int
    title: str
    uri: str
    quote: str


class TokenUse(Frozen):
    """Tokens and money of one or several model calls. `cost_usd` is None where the price is unknown."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None

    def __add__(self, other: TokenUse) -> TokenUse:
        costs = [cost for cost in (self.cost_usd, other.cost_usd) if cost is not None]
        return TokenUse(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost_usd=sum(costs) if costs else None,
        )


class Answer(Frozen):
    """What the core returns: Markdown with [n] markers and its citations, or an abstention.

    An abstention has `abstained` true, a `reason` for people who study it (no_passages,
    not_in_documents, unsupported; for a notice: timed_out, model_failed, broken, empty, too_long, budget_spent, search_impaired,
    too_many_in_a_minute, too_many_in_a_day), and a text that says so honestly. An answer that is quoted because no
    model could write has a reason too (model_failed, budget_spent).
    """

    text: str
    citations: tuple[Citation, ...] = ()
    abstained: bool = False
    reason: str | None = None


class Span(Frozen):
    """One step of a turn as it was traced. Offsets are seconds since the turn began."""

    name: str
    started_seconds: float
    ended_seconds: float
    facts: dict[str, object] = Field(default_factory=dict)


Outcome = Literal["answered", "abstained", "failed", "refused"]


class Turn(Frozen):
    """One question with its answer in a thread: the record that memory, traces and feedback share."""

    id: UUID
    trace_id: str
    thread: Thread
    question_message_id: str
    author: Author
    question: str
    query: str
    answer: Answer
    outcome: Outcome
    passages: tuple[Passage, ...] = ()
    model: str
    prompts: tuple[str, ...] = ()
    use: TokenUse = TokenUse()
    spans: tuple[Span, ...] = ()
    asked_at: datetime
    answered_at: datetime


class Feedback(Frozen):
    """One author's rating of one turn, as it stands now. `withdrawn_at` set: it no longer counts."""

    turn_id: UUID
    platform: str
    workspace: str
    author: str
    rating: Rating
    via: Via
    comment: str | None = None
    at: datetime
    withdrawn_at: datetime | None = None


class Memory(Frozen):
    """What a thread remembers: a summary of what is old, then turns word for word, oldest first.

    `earlier` holds messages of people from before we were summoned into the thread.
    """

    summary: str = ""
    turns: tuple[tuple[str, str], ...] = ()
    earlier: tuple[Message, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.summary or self.turns or self.earlier)
