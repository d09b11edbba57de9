"""The words of the road: who said what where, and what happened to it. What we say to it is in core.answers.

Frozen values that every room shares. Nothing here knows a platform, a database or a model.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


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
