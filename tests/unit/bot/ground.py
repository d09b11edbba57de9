"""The whole road on doubles: a platform, stores, a model and a search in memory, and the real dispatcher."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from bot.adapter import Adapter
from bot.answering import Answering
from bot.dispatcher import Dispatcher
from bot.early_text import Patience
from bot.forgetting import Forgetting
from bot.giving_up import GivingUp
from bot.handling import Handling
from bot.metrics import Metrics
from bot.rating import Rating
from bot.refusals import Refusals
from bot.replies import Replies
from bot.testing.adapter import InMemoryAdapter
from bot.trace_upkeep import TraceUpkeep
from core.answers import Passage, Turn, turn_id_for
from core.assistant import Assistant
from core.graph.build import build_graph
from core.limits import QuestionLimits
from core.memory import ThreadMemory
from core.messages import Audience, Message, MessagePosted
from core.testing.feedback import InMemoryFeedbackStore
from core.testing.inbox import InMemoryInbox
from core.testing.making import make_channel, make_message, make_passage, make_posted, make_thread
from core.testing.models import FakeChatModel
from core.testing.outbox import InMemoryOutbox
from core.testing.tracer import RecordingTracer
from core.testing.turns import InMemoryTurnStore

ANSWER = "Badges are handed out at the front desk [1]."


def ask_message(text: str = "Where do I get a badge?", thread: str = "T1", id: str | None = None) -> Message:
    message = make_message(text, thread=make_thread(thread, channel=make_channel(platform="memory")), id=id)
    return message.model_copy(update={"at": datetime.now(UTC)})


async def find_badges(query: str, *, audience: Audience, context: str = "") -> list[Passage]:
    return [make_passage()]


AT_ONCE = Patience(status=0.0, first_text=0.0)


@dataclass
class Ground:
    """Everything of one run; change the adapter, the model or the timing before `running`. `others`:
    further adapters, by platform."""

    adapter: InMemoryAdapter = field(default_factory=lambda: InMemoryAdapter("memory"))
    model: FakeChatModel = field(default_factory=lambda: FakeChatModel(reply=lambda request: ANSWER))
    lease_seconds: float = 30.0
    turn_timeout_seconds: float = 5.0
    concurrency: int = 8
    longest_round_seconds: float = 60.0
    patience: Patience = AT_ONCE
    others: dict[str, Adapter] = field(default_factory=dict)
    limits: QuestionLimits | None = None

    def __post_init__(self) -> None:
        self.feedback, self.tracer, self.metrics = InMemoryFeedbackStore(), RecordingTracer(), Metrics()
        self.refusals = Refusals(self.metrics)
        self.use_inbox(InMemoryInbox())

    def use_inbox(self, inbox: InMemoryInbox) -> None:
        """Build the stores that hang on the inbox anew."""
        self.inbox = inbox
        self.outbox = InMemoryOutbox(inbox)
        self.turns = InMemoryTurnStore(inbox, self.outbox, self.feedback)

    @property
    def adapters(self) -> dict[str, Adapter]:
        """The platform in memory, and the `others`."""
        return {"memory": self.adapter, **self.others}

    def make_dispatcher(self) -> Dispatcher:
        assistant = Assistant(
            build_graph(),
            [self.model],
            find_badges,
            ThreadMemory(self.turns, self.model, budget_tokens=200),
            turn_timeout_seconds=self.turn_timeout_seconds,
            max_question_characters=12_000,
        )
        adapters = self.adapters
        replies = Replies(adapters, self.outbox, self.metrics, self.refusals, patience=self.patience)
        traces = TraceUpkeep(self.feedback, self.turns, self.tracer)
        handling = Handling(
            self.inbox,
            Answering(
                replies,
                assistant,
                self.turns,
                self.outbox,
                self.tracer,
                self.metrics,
                limits=self.limits,
            ),
            Rating(self.feedback, self.turns, self.outbox, self.metrics),
            Forgetting(adapters, self.turns, self.outbox),
            GivingUp(replies, self.turns),
            traces,
            self.metrics,
            lease_seconds=self.lease_seconds,
        )
        return Dispatcher(
            self.inbox,
            handling,
            traces,
            self.metrics,
            platforms=list(adapters),
            concurrency=self.concurrency,
            lease_seconds=self.lease_seconds,
            poll_seconds=0.05,
            longest_round_seconds=self.longest_round_seconds,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Dispatcher]:
        """A worker at work."""
        dispatcher = self.make_dispatcher()
        for adapter in self.adapters.values():
            await adapter.start(self.inbox.put)
        dispatcher.start()
        try:
            yield dispatcher
        finally:
            await dispatcher.stop(drain_seconds=1.0)

    async def until(self, condition: Callable[[], object], timeout_seconds: float = 8.0) -> None:
        """Wait until something holds; fails the test when it does not come to hold."""
        async with asyncio.timeout(timeout_seconds):
            while not condition():  # noqa: ASYNC110 - the doubles tell nobody when they change
                await asyncio.sleep(0.01)

    async def until_done(self, count: int = 1) -> None:
        """Wait until that many inbox items have ended."""
        await self.until(lambda: sum(item.state == "done" for item in self.inbox.items) >= count)

    def ends(self) -> list[str | None]:
        return [item.ended_as for item in self.inbox.items]

    async def ask(self, message: Message | None = None, **posted: object) -> Turn:
        """Ask and wait for the end of the turn."""
        message = message or ask_message()
        done = sum(item.state == "done" for item in self.inbox.items)
        event: MessagePosted = make_posted(message).model_copy(update=posted)
        assert await self.adapter.say(event)
        await self.until_done(done + 1)
        turn = await self.turns.get(turn_id_for(message))
        assert turn is not None
        return turn

    async def rating_of(self, turn_id: UUID) -> list[int]:
        return [f.rating for f in await self.feedback.of_turn(turn_id) if f.withdrawn_at is None]
