"""One thread in the terminal: ask, follow the answer, rate it."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID, uuid4

from bot.asking import Answered, Asker, PostedEffects, Progress, RecordedTurns, make_question
from bot.console.adapter import CONSOLE_CHANNEL, ConsoleAdapter
from core.messages import Author, FeedbackGiven, Rating
from core.ports import FeedbackStore

RECORD_SECONDS = 3.0


class ConsoleThread:
    """Asks in one thread; without an id it begins a new one. `author`: whoever sits here. The adapter must have been started."""

    def __init__(
        self,
        adapter: ConsoleAdapter,
        *,
        outbox: PostedEffects,
        turns: RecordedTurns,
        feedback: FeedbackStore,
        timeout_seconds: float,
        thread: str | None = None,
        author: str | None = None,
    ) -> None:
        self._adapter = adapter
        self._feedback = feedback
        self._asker = Asker(adapter, outbox=outbox, turns=turns, timeout_seconds=timeout_seconds)
        self._author = Author(id=author or _whoever_sits_here())
        self.id = thread or uuid4().hex
        self.last: Answered | None = None

    def begin_anew(self) -> None:
        """What follows does not remember what came before."""
        self.id, self.last = uuid4().hex, None

    async def ask(self, text: str) -> AsyncIterator[Progress]:
        """Raises NotAnsweredInTimeError and StorageError."""
        question = make_question(CONSOLE_CHANNEL, self._author, text, thread=self.id)
        async for step in await self._asker.ask(question):
            if isinstance(step, Answered):
                self.last = step
            yield step

    async def rate(self, rating: Rating, comment: str | None = None) -> bool:
        """Rate the last answer; False if there is none. Returns once it is recorded, or left to the next
        worker: the program may end right after."""
        if self.last is None or self.last.outcome in ("failed", "refused"):
            return False
        await self._adapter.receive(
            FeedbackGiven(
                delivery_id=f"console/feedback/{uuid4().hex}",
                channel=CONSOLE_CHANNEL,
                author=self._author,
                rating=rating,
                via="button",
                symbol="button",
                comment=comment,
                turn_id=self.last.turn_id,
                at=datetime.now(UTC),
            )
        )
        await self._wait_until_recorded(self.last.turn_id, rating, comment)
        return True

    async def _wait_until_recorded(self, turn_id: UUID, rating: Rating, comment: str | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(RECORD_SECONDS):
                while True:
                    for known in await self._feedback.of_turn(turn_id):
                        if known.rating == rating and (comment is None or known.comment == comment):
                            return
                    await asyncio.sleep(0.05)


def _whoever_sits_here() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "operator"  # a container may run as a user without a name
