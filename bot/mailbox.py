"""The platform that lives in this process: adapters whose messages are read by whoever asked.

For the web and the console the outbox row is the message: its id is the effect's id, so that posting
twice changes nothing. What is posted here reaches a waiting asker at once; an asker in another process
finds the same in the stores (bot/asking.py). Nothing here is durable.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Annotated, Literal
from uuid import UUID
from weakref import WeakValueDictionary

from pydantic import Field, TypeAdapter

from bot.adapter import (
    Capabilities,
    ChannelFacts,
    Delivery,
    ForbiddenError,
    HistoryPage,
    MessageGoneError,
    OnPosted,
    Rendered,
    ReplyTarget,
    Sink,
    UnavailableError,
)
from bot.outgoing import allowed_links, strip_hidden
from core.answers import Answer
from core.messages import Channel, Event, Frozen, Message

WRITE_PAUSE_SECONDS = 0.03
"""Text that grows is shown about thirty times a second: a screen shows no more."""
REMEMBERED_POSTS = 2000
"""Of how many posts a mailbox knows that they are there; the outbox is the record."""


class AnswerBody(Frozen):
    """The rendered form of an answer: the answer itself, for the reader to lay out."""

    kind: Literal["answer"] = "answer"
    turn_id: UUID
    answer: Answer


class NoticeBody(Frozen):
    """The rendered form of a notice."""

    kind: Literal["notice"] = "notice"
    text: str


Body = Annotated[AnswerBody | NoticeBody, Field(discriminator="kind")]
BODIES: TypeAdapter[Body] = TypeAdapter(Body)
"""Reads what `render_answer` and `render_notice` wrote."""


class StatusShown(Frozen):
    """A life sign; "" clears it."""

    kind: Literal["status"] = "status"
    text: str


class TextWritten(Frozen):
    """The answer as it stands, whole."""

    kind: Literal["text"] = "text"
    text_so_far: str


class Posted(Frozen):
    """The final message."""

    kind: Literal["posted"] = "posted"
    body: Body


MailboxEvent = StatusShown | TextWritten | Posted


class Letterbox:
    """What one asker has not read yet: the newest of each kind, so that a slow reader costs nothing."""

    def __init__(self) -> None:
        self._unread: dict[str, MailboxEvent] = {}
        self._arrived = asyncio.Event()

    def put(self, event: MailboxEvent) -> None:
        self._unread.pop(event.kind, None)
        self._unread[event.kind] = event
        self._arrived.set()

    async def take(self, timeout_seconds: float) -> list[MailboxEvent]:
        """What has come since the last call, oldest first; empty when nothing comes in time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._arrived.wait()
        except TimeoutError:
            return []
        self._arrived.clear()
        unread, self._unread = list(self._unread.values()), {}
        return unread


class Mailbox:
    """Carries what an adapter posts to whoever waits for it, by the id of the question's message."""

    def __init__(self) -> None:
        self._waiting: WeakValueDictionary[str, Letterbox] = WeakValueDictionary()
        self._posts: OrderedDict[str, bool] = OrderedDict()

    def subscribe(self, question_message_id: str) -> Letterbox:
        """Receive what is said about a question, for as long as the letterbox is held; subscribe before
        the question is put. A question has one asker."""
        box = Letterbox()
        self._waiting[question_message_id] = box
        return box

    def publish(self, question_message_id: str, event: MailboxEvent) -> None:
        box = self._waiting.get(question_message_id)
        if box is not None:
            box.put(event)

    def note_post(self, message_id: str, rendered: Rendered) -> None:
        """A message is visible, in this form. Only that it is there is remembered, never what it says."""
        self._note(message_id, visible=True)

    def note_removal(self, message_id: str) -> None:
        self._note(message_id, visible=False)

    def is_visible(self, message_id: str) -> bool | None:
        """None: nothing is known of it, or no longer."""
        return self._posts.get(message_id)

    def _note(self, message_id: str, *, visible: bool) -> None:
        self._posts[message_id] = visible
        while len(self._posts) > REMEMBERED_POSTS:
            self._posts.popitem(last=False)


class MailboxStream:
    """The text of an answer while it is being written, for a waiting asker."""

    def __init__(self, mailbox: Mailbox, delivery: Delivery, on_posted: OnPosted) -> None:
        self._mailbox = mailbox
        self._delivery = delivery
        self._on_posted = on_posted
        self._began = False

    async def write(self, text_so_far: str) -> None:
        # No source is known yet, so no link is allowed yet.
        text = allowed_links(text_so_far, Answer(text=text_so_far))
        self._mailbox.publish(self._delivery.target.question_message_id, TextWritten(text_so_far=text))
        await self._begin(Rendered(body=NoticeBody(text=text).model_dump(mode="json")))
        await asyncio.sleep(WRITE_PAUSE_SECONDS)

    async def close(self, rendered: Rendered) -> str:
        message_id = str(self._delivery.effect_id)
        await self._begin(rendered)
        body = BODIES.validate_python(rendered.body)
        self._mailbox.publish(self._delivery.target.question_message_id, Posted(body=body))
        return message_id

    async def _begin(self, rendered: Rendered) -> None:
        message_id = str(self._delivery.effect_id)
        self._mailbox.note_post(message_id, rendered)
        if not self._began:
            self._began = True
            await self._on_posted(message_id)


class MailboxAdapter:
    """An Adapter whose messages are read in this process, or from the outbox."""

    platform: str = "mailbox"
    capabilities = Capabilities(streams=True, edits=True, deletes=True, status=True)

    def __init__(self, mailbox: Mailbox | None = None) -> None:
        self.mailbox = mailbox or Mailbox()
        self._sink: Sink | None = None

    async def open(self) -> None:
        """There is nobody to log in to."""

    async def start(self, sink: Sink) -> None:
        self._sink = sink

    def is_receiving(self) -> bool:
        return self._sink is not None

    async def aclose(self) -> None:
        self._sink = None

    async def receive(self, event: Event) -> bool:
        """Hand in what somebody asked or rated; True once it is stored, False if it was known."""
        if self._sink is None:
            raise UnavailableError(f"{self.platform} is not receiving", maybe_accepted=False)
        return await self._sink(event)

    def render_answer(self, answer: Answer, turn_id: UUID) -> Sequence[Rendered]:
        safe = answer.model_copy(update={"text": allowed_links(answer.text, answer)})
        return [Rendered(body=AnswerBody(turn_id=turn_id, answer=safe).model_dump(mode="json"))]

    def render_notice(self, text: str) -> Rendered:
        return Rendered(body=NoticeBody(text=strip_hidden(text)).model_dump(mode="json"))

    async def post(self, delivery: Delivery) -> str:
        message_id = str(delivery.effect_id)
        self._show(delivery, message_id)
        return message_id

    def open_stream(self, delivery: Delivery, on_posted: OnPosted) -> MailboxStream:
        return MailboxStream(self.mailbox, delivery, on_posted)

    async def find_posted(self, delivery: Delivery) -> str | None:
        message_id = str(delivery.effect_id)
        return message_id if self.mailbox.is_visible(message_id) else None

    async def edit(self, delivery: Delivery, message_id: str) -> None:
        if self.mailbox.is_visible(message_id) is False:
            raise MessageGoneError(message_id)
        self._show(delivery, message_id)

    async def delete(self, channel: Channel, message_id: str) -> None:
        if not self.mailbox.is_visible(message_id):
            raise MessageGoneError(message_id)
        self.mailbox.note_removal(message_id)

    async def show_status(self, target: ReplyTarget, text: str) -> None:
        # Chat platforms put the name before a status of their own accord.
        shown = f"Threadlore {text}" if text else ""
        self.mailbox.publish(target.question_message_id, StatusShown(text=shown))

    async def fetch_thread(self, message: Message, limit: int) -> list[Message]:
        return []

    async def describe_channel(self, channel: Channel) -> ChannelFacts:
        raise ForbiddenError("what is said here is for one person")

    async def read_history(self, channel: Channel, cursor: str | None, until: str | None) -> HistoryPage:
        raise ForbiddenError("what is said here is for one person")

    def _show(self, delivery: Delivery, message_id: str) -> None:
        self.mailbox.note_post(message_id, delivery.rendered)
        body = BODIES.validate_python(delivery.rendered.body)
        self.mailbox.publish(delivery.target.question_message_id, Posted(body=body))
