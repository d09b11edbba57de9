"""The words of the road: who said what where, what happened to it, and what we answered.

Frozen values that every room shares. Nothing here knows a platform, a database or a model.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

TURN_NAMESPACE = UUID("6f6d4a6e-53f5-4f0c-9a57-1d2f0a8c7b11")


class Frozen(BaseModel):
    """A value: compared by content, never changed, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Author(Frozen):
    """Who wrote a message. `id` is the platform's own, unique within a workspace."""

    id: str
    name: str = ""
    is_bot: bool = False
    is_self: bool = False


class Channel(Frozen):
    """A place where people talk. `private` means that not everyone in the workspace can read it.

    `parent` is the channel that this one is a part of, if any: whoever reads here can read there. `outsiders`:
    people who do not belong to the workspace read it too, as in a channel that companies share.
    """

    platform: str
    workspace: str
    id: str
    private: bool = False
    parent: str | None = None
    outsiders: bool = False


class Audience(Frozen):
    """Who can read the reply; every search is limited to what all of them may read.

    A search sees the collections granted to everyone, to this platform, to this workspace, or to
    this very channel. With `outsiders` among them it sees only what is granted to the channel itself:
    a workspace is what its own people may read, and "everyone" are those of Threadlore's owner.
    """

    platform: str
    workspace: str
    channel: str
    outsiders: bool = False


class Thread(Frozen):
    """The unit of memory, of order and of reply. `id` is unique within its channel."""

    channel: Channel
    id: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """(platform, workspace, channel, thread): canonical, never joined into one string."""
        return (self.channel.platform, self.channel.workspace, self.channel.id, self.id)

    @property
    def audience(self) -> Audience:
        """Everyone who can read a reply posted in this thread."""
        channel = self.channel
        return Audience(
            platform=channel.platform,
            workspace=channel.workspace,
            channel=channel.parent or channel.id,
            outsiders=channel.outsiders,
        )


class Message(Frozen):
    """One post, as plain Markdown text: mentions of the bot removed, platform markup translated.

    `edited_at`: when its text was changed last. `confined`: not everyone who reads the channel can read it.
    """

    id: str
    thread: Thread
    author: Author
    text: str
    at: datetime
    edited_at: datetime | None = None
    confined: bool = False


class Payer(Frozen):
    """On whose behalf a model is called: the budgets that pay for it. `person` is empty where nobody asked,
    as for the summary of a thread."""

    platform: str
    workspace: str
    channel: str
    person: str = ""


Addressing = Literal["mention", "direct", "command", "thread"]
"""How a message reached us: named us, sent to us alone, as a command, or said in a thread that we
may already take part in (the dispatcher looks that up)."""


class MessagePosted(Frozen):
    """Somebody said something that may be for us.

    `summoned_midway`: the message stands in a thread that had begun before it, so that the adapter
    can fetch what was said earlier. `reply_handle` is opaque to the core: what the adapter needs to
    answer this very message (an interaction token, say). `only_author_sees`: the asker wants the
    answer for their eyes only.
    """

    kind: Literal["message_posted"] = "message_posted"
    delivery_id: str
    message: Message
    addressing: Addressing
    summoned_midway: bool = False
    only_author_sees: bool = False
    reply_handle: str | None = None


class MessageHeard(Frozen):
    """Somebody said something that is not for us. Where the channel is a source, it is knowledge."""

    kind: Literal["message_heard"] = "message_heard"
    delivery_id: str
    message: Message


class MessageEdited(Frozen):
    """A message has a new text. `addressing` is judged on the new text; None: not for us.
    `reply_handle`: as in MessagePosted."""

    kind: Literal["message_edited"] = "message_edited"
    delivery_id: str
    message: Message
    addressing: Addressing | None = None
    reply_handle: str | None = None


class MessageDeleted(Frozen):
    """A message is gone from the platform, and with it everything derived from it must go."""

    kind: Literal["message_deleted"] = "message_deleted"
    delivery_id: str
    channel: Channel
    message_id: str
    at: datetime


Rating = Literal[1, -1]
Via = Literal["reaction", "button"]


class FeedbackGiven(Frozen):
    """An author rated an answer. The answer is named by `turn_id` (buttons) or `message_id` (reactions).

    `symbol` tells one mark of an author from another: the emoji's name without skin tone, or
    "button". A comment alone (`rating` unchanged) is a new FeedbackGiven with the same symbol.
    """

    kind: Literal["feedback_given"] = "feedback_given"
    delivery_id: str
    channel: Channel
    author: Author
    rating: Rating
    via: Via
    symbol: str
    comment: str | None = None
    message_id: str | None = None
    turn_id: UUID | None = None
    at: datetime


class FeedbackWithdrawn(Frozen):
    """An author took one mark back (removed an emoji)."""

    kind: Literal["feedback_withdrawn"] = "feedback_withdrawn"
    delivery_id: str
    channel: Channel
    author: Author
    via: Via
    symbol: str
    message_id: str | None = None
    turn_id: UUID | None = None
    at: datetime


Event = Annotated[
    MessagePosted | MessageHeard | MessageEdited | MessageDeleted | FeedbackGiven | FeedbackWithdrawn,
    Field(discriminator="kind"),
]
EVENTS: TypeAdapter[Event] = TypeAdapter(Event)
"""Reads and writes any Event as JSON, for the inbox."""


def channel_of(event: Event) -> Channel:
    """Where the event happened."""
    if isinstance(event, MessagePosted | MessageHeard | MessageEdited):
        return event.message.thread.channel
    return event.channel


def order_key_of(event: Event) -> str:
    """What the inbox keeps in order: the thread of a message, the rated or deleted message otherwise.

    Unique within (platform, workspace, channel) and never used to find data, only to queue.
    """
    if isinstance(event, MessagePosted | MessageEdited):
        return event.message.thread.id
    if isinstance(event, MessageHeard):
        return f"heard/{event.message.id}"
    if isinstance(event, MessageDeleted):
        return f"message/{event.message_id}"
    return f"feedback/{event.turn_id or event.message_id}"


def asker_of(event: Event) -> str:
    """Whose turn the event is, for fairness: the author of a question, or "" for what takes no time."""
    return event.message.author.id if isinstance(event, MessagePosted | MessageEdited) else ""


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
