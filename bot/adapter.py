"""What a platform adapter is: the one class that speaks with one platform.

AdapterError
├── RateLimitedError      try again after `retry_after_seconds`; nothing was posted
├── UnavailableError      the platform did not answer; `maybe_accepted` says whether the call may have worked
├── ForbiddenError        no permission in this place, or it is gone: trying again is useless
│   └── ThreadClosedError   only this thread or message is gone or closed; the rest of the place is not
├── UnauthorizedError     the token is not valid: stop calling
├── MessageGoneError      the message to edit or delete is not there any more
└── UndecidableError      nobody can find out whether an earlier attempt to post was accepted
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol
from uuid import UUID

from core.answers import Answer
from core.messages import Author, Channel, Event, Frozen, Message, Thread

Sink = Callable[[Event], Awaitable[bool]]
"""Where an adapter puts events: the inbox. Returns once committed; False for what is known already."""


class AdapterError(Exception):
    """A call to a platform did not work."""


class RateLimitedError(AdapterError):
    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class UnavailableError(AdapterError):
    def __init__(self, message: str, *, maybe_accepted: bool) -> None:
        super().__init__(message)
        self.maybe_accepted = maybe_accepted


class ForbiddenError(AdapterError):
    """No permission in this place, or the place is gone."""


class ThreadClosedError(ForbiddenError):
    """The thread or message is gone or closed, which says nothing about others in the same place."""


class UnauthorizedError(AdapterError):
    """The token is not valid."""


class MessageGoneError(AdapterError):
    """The message to edit or delete is not there any more."""


class UndecidableError(AdapterError):
    """Nobody can find out whether an earlier attempt to post was accepted."""


class Capabilities(Frozen):
    """What a platform can do; the core of the bot asks this, never the platform's name.

    `token_per_workspace`: a token that is refused says nothing about other workspaces.
    `knows_people`: it vouches for who wrote a message, and one author is one person.
    `channel_history`: its channels can be sources of knowledge, and read back.
    """

    streams: bool = False
    edits: bool = False
    deletes: bool = False
    thread_history: bool = False
    status: bool = False
    token_per_workspace: bool = False
    knows_people: bool = False
    channel_history: bool = False


class ReplyTarget(Frozen):
    """Where and to whom a reply goes. `reply_handle` is the adapter's own, from the event."""

    thread: Thread
    question_message_id: str
    asker: Author
    reply_handle: str | None = None
    only_author_sees: bool = False


class Rendered(Frozen):
    """One visible message, in the platform's own form; JSON, so that it can be stored and sent later."""

    body: dict[str, object]


class Delivery(Frozen):
    """One message to send: the same `effect_id` never shows twice. `part` counts from 0.

    `known_message_ids` are our posts in the thread that belong to other effects, for `find_posted`.
    """

    effect_id: UUID
    turn_id: UUID
    part: int
    target: ReplyTarget
    rendered: Rendered
    known_message_ids: frozenset[str] = frozenset()


class ChannelFacts(Frozen):
    """A channel as the platform knows it. `private`: not everybody in its workspace can read it. `address` is a
    link to a message, with {place} (its channel), {message} (its id) or {digits} (those of its id) to be put in."""

    name: str
    private: bool
    address: str


class HistoryPage(Frozen):
    """Some messages of people, read back. `newest`: of the first page of a walk, the id from which the
    next walk need not go further back. `cursor` leads to the next page; None: there is none."""

    messages: tuple[Message, ...] = ()
    newest: str | None = None
    cursor: str | None = None


class ReplyStream(Protocol):
    """The first message of a reply while it is being written."""

    async def write(self, text_so_far: str) -> None:
        """Show the text as it stands (whole, not the difference); coalesced to what the platform allows.
        A text that does not continue the one before replaces it."""
        ...

    async def close(self, rendered: Rendered) -> str:
        """Show the final message, posting it if nothing was shown yet; returns its message id."""
        ...


OnPosted = Callable[[str], Awaitable[None]]
"""Called with the message id as soon as the platform has accepted the first post of a stream."""


class Adapter(Protocol):
    """One platform. Events go in through the sink given to `start`; replies go out through the rest.

    The sending half works without `start`, in processes that only work. Every call outwards raises
    AdapterError and nothing else.
    """

    @property
    def platform(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    async def open(self) -> None:
        """Get ready to send: sessions, who we are. Raises SettingsError when the token is refused."""
        ...

    async def start(self, sink: Sink) -> None:
        """Begin to receive, and go on until `aclose`. Returns once receiving, or once it is clear that the
        platform refuses right now what the adapter will go on asking for: `is_receiving` tells."""
        ...

    def is_receiving(self) -> bool:
        """Whether events reach us right now, as far as the platform lets us know."""
        ...

    async def aclose(self) -> None: ...

    def render_answer(self, answer: Answer, turn_id: UUID) -> Sequence[Rendered]:
        """The answer as one or several messages, with citations and the means to give feedback."""
        ...

    def render_notice(self, text: str) -> Rendered:
        """A short plain message without feedback."""
        ...

    async def post(self, delivery: Delivery) -> str:
        """Post a message; returns its id. Never repeats a post that may have been accepted."""
        ...

    def open_stream(self, delivery: Delivery, on_posted: OnPosted) -> ReplyStream:
        """A stream for part 0; `delivery.rendered` is empty. Posts nothing before the first `write`."""
        ...

    async def find_posted(self, delivery: Delivery) -> str | None:
        """The id of the message if an earlier attempt to post this effect was accepted, None if not.
        Raises UndecidableError where nobody can tell."""
        ...

    async def edit(self, delivery: Delivery, message_id: str) -> None:
        """Give a posted message its final form."""
        ...

    async def delete(self, channel: Channel, message_id: str) -> None: ...

    async def show_status(self, target: ReplyTarget, text: str) -> None:
        """A life sign while we think ("" clears it)."""
        ...

    async def fetch_thread(self, message: Message, limit: int) -> list[Message]:
        """What was said in the thread before the message, oldest first, the newest `limit` of it."""
        ...

    async def describe_channel(self, channel: Channel) -> ChannelFacts:
        """What the platform says of a channel now. Raises ForbiddenError also for a place that can be no source:
        a direct message, a single thread."""
        ...

    async def read_history(self, channel: Channel, cursor: str | None, until: str | None) -> HistoryPage:
        """One page of what people said to each other in the channel and its threads, by a call or two; from
        the newest backwards, and no further than the message `until`. A cursor holds good for days, in any process."""
        ...
