"""What the core needs from the outside, as Protocols; the queue's is core.inbox. Every port has a real implementation
(in core/storage or core/providers) and a double (in core/testing); both pass the same contract tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Literal, Protocol
from uuid import UUID

from core.answers import Feedback, Memory, Passage, TokenUse, Turn
from core.inbox import Claim
from core.knowledge.documents import ChunkDraft, Document, Grant, StoredDocument
from core.knowledge.source_store import SourceStore
from core.messages import Audience, Channel, FeedbackGiven, FeedbackWithdrawn, Frozen, Payer, Thread

# --- the answers on their way out ----------------------------------------------------------------

Purpose = Literal["answer", "notice"]
EffectState = Literal["planned", "sending", "sent", "ambiguous", "removed"]


class Effect(Frozen):
    """One visible message that we post: part `part` (from 0) of the reply to a turn. `id` is the same in
    every process and after every crash (uuid5 of turn, purpose and part). `body` is what the adapter
    rendered, opaque here. `message_id` is the platform's, once known."""

    id: UUID
    turn_id: UUID
    channel: Channel
    thread_id: str
    purpose: Purpose
    part: int
    state: EffectState = "planned"
    body: dict[str, object] | None = None
    message_id: str | None = None


class Outbox(Protocol):
    """Every visible effect, by stable id: planned, sending, sent. Each write is fenced by the claim."""

    async def plan(self, claim: Claim, effects: Sequence[Effect]) -> list[Effect]:
        """Store what is new, with the state given; returns the rows as stored, in the order given.

        A row that exists keeps its state and message id, and takes the new body while it is not sent.
        """
        ...

    async def set_state(
        self,
        claim: Claim,
        effect_id: UUID,
        state: EffectState,
        message_id: str | None = None,
        *,
        body: dict[str, object] | None = None,
    ) -> None:
        """Move one effect on; a message id once stored stays, a body replaces. Raises LeaseLostError."""
        ...

    async def of_turn(self, turn_id: UUID) -> list[Effect]:
        """All effects of a turn, answer before notice, by part."""
        ...

    async def message_ids(self, thread: Thread) -> set[str]:
        """The platform's ids of everything that we are known to have posted in the thread."""
        ...

    async def turn_of_message(self, channel: Channel, message_id: str) -> UUID | None:
        """The turn that the message with this id is part of the answer to."""
        ...


# --- turns, memory, feedback ---------------------------------------------------------------------


class Recollection(Frozen):
    """What is stored of a thread. `turns`: (turn id, question, answer), oldest first, at most the
    number asked for, none that the summary covers; `summary_turns` says how many it covers."""

    summary: str = ""
    summary_turns: int = 0
    turns: tuple[tuple[UUID, str, str], ...] = ()


class Forgotten(Frozen):
    """What was erased, in rows; `effects` are the replies of ours that were visible, for their removal."""

    turns: int = 0
    feedback: int = 0
    events: int = 0
    effects: tuple[Effect, ...] = ()


class TurnStore(Protocol):
    """The record of every turn: memory, trace and export read from it."""

    async def record(self, claim: Claim, turn: Turn) -> None:
        """Store or replace the turn. Raises LeaseLostError, also when its question was deleted meanwhile."""
        ...

    async def get(self, turn_id: UUID) -> Turn | None: ...

    async def takes_part(self, thread: Thread) -> bool:
        """Whether we have answered in this thread before."""
        ...

    async def recall(self, thread: Thread, *, limit: int) -> Recollection: ...

    async def remember_summary(
        self, thread: Thread, summary: str, through: UUID, *, base: Recollection | None = None
    ) -> bool:
        """Replace the summary of the thread; it covers all turns up to and including `through`.

        `base` is what the summary was made of: if any of it has been erased or replaced since, nothing
        is stored, so that no deleted text comes back in a summary. False: not stored.
        """
        ...

    async def forget_message(self, channel: Channel, message_id: str) -> list[Effect]:
        """Erase the turn that the message asked, and what derives from it: inbox event, answer,
        citations, feedback, the thread's summary if it covers the turn, and the words in which later
        questions of the thread were searched for. Remembers the deletion, so
        that a message which arrives after its deletion is not answered. Returns the effects that
        are or may be visible, as they were, for their removal."""
        ...

    async def forget_author(self, platform: str, workspace: str, author: str) -> Forgotten:
        """Erase every turn that the author asked, as `forget_message` does, and every rating they gave;
        events of theirs that wait are not handled any more."""
        ...

    async def forget_thread(self, thread: Thread) -> Forgotten:
        """Erase every turn of the thread with its summary and what waits in it."""
        ...

    async def forget_workspace(self, platform: str, workspace: str) -> Forgotten:
        """Erase every turn, rating, summary and event of the workspace, and what is granted to it alone:
        a collection that nobody else may read goes with its documents."""
        ...

    async def is_deleted(self, channel: Channel, message_id: str) -> bool:
        """Whether the message was deleted, also when the deletion came first."""
        ...

    async def traces_to_forget(self, limit: int) -> list[UUID]:
        """Erased turns whose traces are now to be removed from the tracing system, longest due first."""
        ...

    async def mark_traces_forgotten(self, turn_ids: Collection[UUID]) -> None:
        """Their traces have been removed. Each comes up a second time after a while, for what another
        process had still to send, and then no more."""
        ...

    def export(self) -> AsyncIterator[Turn]:
        """Every turn, oldest first, without holding all in memory."""
        ...


class FeedbackStore(Protocol):
    """One rating per author and turn, as a fold over the marks they set and removed."""

    async def apply(self, turn_id: UUID, event: FeedbackGiven | FeedbackWithdrawn) -> Feedback | None:
        """Fold the event in (core.feedback); returns what stands now, None if there never was any."""
        ...

    async def of_turn(self, turn_id: UUID) -> list[Feedback]: ...

    async def untraced(self, limit: int) -> list[Feedback]:
        """What has changed since it was last handed to the tracer, oldest first."""
        ...

    async def mark_traced(self, feedback: Sequence[Feedback]) -> None:
        """These, as they stood when read, have reached the tracer."""
        ...

    def export(self) -> AsyncIterator[Feedback]:
        """All feedback, oldest first, without holding all in memory."""
        ...


# --- knowledge -----------------------------------------------------------------------------------


class KnowledgeStore(SourceStore, Protocol):
    """Collections, their sources, documents, chunks and vectors. Search is limited by Audience."""

    async def open_collection(self, name: str, grants: Sequence[Grant] = ()) -> int:
        """The id of the collection, made if new. Grants are added; a new one without any is granted
        to everyone."""
        ...

    async def revoke_grants(self, name: str, grants: Sequence[Grant]) -> list[Grant]:
        """Take grants back, for every search from now on; what is left. Without any, nobody reads it."""
        ...

    async def drop_collection(self, name: str) -> None: ...

    async def documents(self, source_id: int, uris: Sequence[str] | None = None) -> dict[str, StoredDocument]:
        """What is stored of a source, or of these documents of it, by uri."""
        ...

    async def document_ids(self, source_id: int, *, after: str = "", limit: int) -> dict[str, int]:
        """The ids of what is stored of a source, by uri, page by page: the first `limit` in the store's order of
        uris, or those that come after one."""
        ...

    async def put_documents(
        self,
        source_id: int,
        documents: Sequence[tuple[Document, Sequence[ChunkDraft], Sequence[Sequence[float]]]],
        *,
        embedder: str,
    ) -> None:
        """Replace each document with its chunks and one vector per chunk, all in one transaction.
        Raises EmbeddingMismatchError."""
        ...

    async def delete_documents(self, document_ids: Sequence[int]) -> None: ...

    async def search(
        self,
        text: str,
        vector: Sequence[float] | None,
        *,
        embedder: str,
        audience: Audience,
        limit: int,
        collections: Collection[str] | None = None,
        context: str = "",
    ) -> list[Passage]:
        """The best passages of both legs, fused, that everyone in the audience may read; best first. A chunk
        with a parent gives the whole parent, as often as chunks of it were found. Without a `vector` the
        lexical leg searches alone, and no `similarity` is known.
        `collections` narrows further, by name. `context`: words said before, which count a little (the policy's
        `context_weight`) in the lexical leg. Raises EmbeddingMismatchError."""
        ...


class Embedder(Protocol):
    """Turns text into vectors of unit length."""

    @property
    def name(self) -> str:
        """Identifies the model: vectors of different names are never mixed."""
        ...

    @property
    def dimensions(self) -> int: ...

    @property
    def max_tokens(self) -> int:
        """Longer text is cut before it is embedded."""
        ...

    async def embed_documents(self, texts: Sequence[str]) -> list[Sequence[float]]: ...

    async def embed_query(self, text: str) -> Sequence[float]: ...


# --- models --------------------------------------------------------------------------------------

Task = Literal["rewrite", "answer", "summarise"]
NO_ANSWER = "NO_ANSWER"
"""What a model says, as its whole text, when the passages do not answer the question."""


class ModelRequest(Frozen):
    """One call. A language model reads `system` and `user`, rendered from a versioned prompt; the
    extractive answerer reads the parts. Passages are numbered from 1 in the order given. `payer` is on
    whose behalf the call is made; None for what the operator started."""

    task: Task
    system: str
    user: str
    question: str
    passages: tuple[Passage, ...] = ()
    memory: Memory = Memory()
    payer: Payer | None = None


class ModelDelta(Frozen):
    """A piece of text as it comes, or the end: the last delta has `finish`, and `use` if known."""

    text: str = ""
    use: TokenUse | None = None
    finish: Literal["stop", "length", "refusal"] | None = None


class ChatModel(Protocol):
    """A model that answers. One call is one request: retries and deadlines are the graph's."""

    @property
    def name(self) -> str:
        """`provider:model` as in the settings, or `extractive`."""
        ...

    async def prepare(self) -> None:
        """Load what the first call would otherwise load, so that nobody waits for it. Raises ModelPermanentError."""
        ...

    def stream(self, request: ModelRequest) -> AsyncIterator[ModelDelta]:
        """Raises ModelTransientError or ModelPermanentError; a stream without `finish` was cut."""
        ...
