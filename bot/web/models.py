"""What goes over HTTP, as other programs see it in the OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from core.answers import Outcome
from core.knowledge.documents import SourceState

LONGEST_TEXT = 100_000
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:@/+-]{1,200}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Question(_Model):
    """One question."""

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_TEXT)] = (
        Field(description="What you want to know, in plain words.", examples=["How do I connect Slack?"])
    )
    thread: Name | None = Field(
        default=None,
        description="The thread of an earlier answer, to go on in it; leave it out to begin one.",
    )
    author: Name | None = Field(default=None, description="Who asks, as your program knows them.")
    stream: bool = Field(
        default=False, description="Answer with server-sent events, as `Accept: text/event-stream` does."
    )
    include_passages: bool = Field(default=False, description="Also tell what was retrieved, with scores.")


class CitationOut(_Model):
    """A source that the answer uses; `n` is its marker in the text: [1], [2], ..."""

    n: int
    title: str
    uri: str
    quote: str


class PassageOut(_Model):
    """A chunk that was retrieved, best first."""

    rank: int
    score: float
    similarity: float | None = Field(description="Cosine similarity to the question, -1 to 1.")
    coverage: float | None = Field(
        description="How much of the question's words, weighed by their rarity, it holds, 0 to 1."
    )
    dense_rank: int | None = Field(description="The place by meaning; null: not found that way.")
    lexical_rank: int | None = Field(description="The place by words; null: not found that way.")
    document_id: int
    title: str
    uri: str
    author: str | None = Field(default=None, description="Whom its document names as its author.")
    heading_path: list[str]
    text: str


class AnswerOut(_Model):
    """An answer in Markdown, or an honest abstention with its reason."""

    answer: str
    citations: list[CitationOut]
    abstained: bool
    reason: str | None
    outcome: Outcome
    turn_id: UUID
    trace_id: str
    thread: str
    passages: list[PassageOut] | None = Field(
        default=None, description="Only when asked for with `include_passages`."
    )


class Rating(_Model):
    """What somebody thinks of an answer. A later rating by the same author replaces the earlier one."""

    rating: Literal[1, -1] | None = Field(description="1: helped. -1: did not. null: take the rating back.")
    comment: Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000)] | None = None
    author: Name | None = Field(default=None, description="Who rates, as your program knows them.")


class Accepted(_Model):
    """What was sent is stored and will be taken up."""

    accepted: Literal[True] = True


class PlatformStatus(_Model):
    """One platform, and what turns it on when it is off."""

    name: str
    on: bool
    remedy: str | None = None


class EmbeddingOut(_Model):
    """Whose vectors are searched, and how far those of the embedder are that is set. Once they are complete, they
    serve; until then `serving` and `wanted` differ."""

    serving: str
    wanted: str
    done: int = Field(description="Chunks that have a vector of the wanted embedder.")
    total: int


class About(_Model):
    """What this installation runs on."""

    version: str
    answerer: str = Field(description="`provider:model`, or `extractive`.")
    embedder: str
    platforms: list[PlatformStatus]
    examples: list[str] = Field(default=[], description="Questions worth asking first.")


class CheckOut(_Model):
    """One thing that must work before the server can answer."""

    name: str
    ok: bool
    detail: str = ""


class Liveness(_Model):
    """Whether the process goes on. `stuck`: the loops of the worker that do not."""

    status: Literal["ok", "stuck"]
    stuck: list[str] = []


class Readiness(_Model):
    """Whether the server can take and answer questions now."""

    ready: bool
    checks: list[CheckOut] = []


class Problem(_Model):
    code: str
    message: str


class Failure(_Model):
    """Every error has this shape."""

    error: Problem


class SourceFailure(_Model):
    """A document that could not be read; it is tried again when it changes, or at `retry_at`."""

    uri: str
    reason: str
    retry_at: datetime


class SourceOut(_Model):
    """A source. `done` of `total` documents have been looked at by the sync under way, or by the last one;
    `failed` holds the first of the `failed_documents`. Without `every_seconds` it is synced when asked for."""

    id: int
    collection: str
    uri: str
    kind: str
    state: SourceState
    documents: int
    chunks: int
    done: int
    total: int
    every_seconds: float | None
    synced_at: datetime | None
    next_sync_at: datetime | None
    error: str | None
    failed: list[SourceFailure]
    failed_documents: int
