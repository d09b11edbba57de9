"""The terminal for the adapter contract: each person sits in a thread of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal
from uuid import UUID

from bot.asking import Answered
from bot.console.adapter import ConsoleAdapter
from bot.console.thread import ConsoleThread
from bot.mailbox import BODIES, AnswerBody
from core.answers import Answer, Turn, trace_id_for
from core.messages import MessagePosted
from core.ports import Effect
from core.testing.feedback import InMemoryFeedbackStore
from tests.contracts.adapter_harness import EventLog
from tests.platforms.mailbox_people import MailboxPeople
from tests.platforms.mailbox_posts import ReadableMailbox


class ConsoleHarness(MailboxPeople):
    """Implements AdapterHarness. What people cannot do in a terminal is skipped."""

    where = "in a terminal"

    def __init__(self) -> None:
        self.mailbox = ReadableMailbox()
        self.adapter = ConsoleAdapter(self.mailbox)
        self.sender = ConsoleAdapter(self.mailbox)
        self.log = EventLog()
        self._waiting: set[asyncio.Task[None]] = set()

    # --- what a thread in the terminal reads of the stores --------------------------------------------------

    async def get(self, turn_id: UUID) -> Turn | None:
        return None

    async def of_turn(self, turn_id: UUID) -> list[Effect]:
        return []

    # --- what people do ---------------------------------------------------------------------------

    async def ask(self, author: str, text: str, *, bot: bool = False) -> str:
        if bot:
            self._cannot("be bots")
        return await self._ask(self._sit_down(author), text)

    async def follow_up(self, author: str, text: str, question: str, answer: str) -> str:
        event = await self.log.next(MessagePosted, lambda e: e.message.id == question)
        return await self._ask(self._sit_down(author, event.message.thread.id), text)

    async def click(self, author: str, message_id: str, mark: Literal["up", "down"]) -> None:
        body = BODIES.validate_python(self.mailbox.screen[message_id].body)
        assert isinstance(body, AnswerBody)
        terminal = self._sit_down(author)
        terminal.last = Answered(
            turn_id=body.turn_id,
            trace_id=trace_id_for(body.turn_id),
            thread=terminal.id,
            answer=Answer(text=""),
            outcome="answered",
        )
        self._keep(asyncio.create_task(self._rate(terminal, mark)))

    async def _rate(self, terminal: ConsoleThread, mark: Literal["up", "down"]) -> None:
        await terminal.rate(1 if mark == "up" else -1)

    async def _ask(self, terminal: ConsoleThread, text: str) -> str:
        known = {e.message.id for e in self.log.events if isinstance(e, MessagePosted)}
        self._keep(asyncio.create_task(self._follow(terminal, text)))
        event = await self.log.next(MessagePosted, lambda e: e.message.id not in known)
        return event.message.id

    async def _follow(self, terminal: ConsoleThread, text: str) -> None:
        async for _ in terminal.ask(text):
            pass

    def _sit_down(self, author: str, thread: str | None = None) -> ConsoleThread:
        return ConsoleThread(
            self.adapter,
            outbox=self,
            turns=self,
            feedback=InMemoryFeedbackStore(),
            timeout_seconds=30.0,
            thread=thread,
            author=author,
        )

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._waiting.add(task)

    async def ask_directly(self, author: str, text: str) -> str:
        self._cannot("speak in two places")

    async def aclose(self) -> None:
        for task in self._waiting:
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)


@asynccontextmanager
async def open_harness() -> AsyncIterator[ConsoleHarness]:
    harness = ConsoleHarness()
    await harness.adapter.open()
    await harness.adapter.start(harness.log.take)
    await harness.sender.open()
    yield harness
    await harness.aclose()
    await harness.adapter.aclose()
    await harness.sender.aclose()
