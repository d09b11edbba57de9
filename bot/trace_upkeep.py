"""What the tracing system must learn after the turn itself: how people rated it, and that it was erased."""

from __future__ import annotations

import asyncio

import structlog

from core.errors import StorageError
from core.ports import FeedbackStore, TurnStore
from core.traces import Tracer

AT_ONCE = 100
LOOK_EVERY_SECONDS = 10.0

log = structlog.get_logger(__name__)


class TraceUpkeep:
    """Brings the tracing system in line with the stores. What does not arrive is tried again."""

    def __init__(self, feedback: FeedbackStore, turns: TurnStore, tracer: Tracer) -> None:
        self._feedback = feedback
        self._turns = turns
        self._tracer = tracer
        self._news = asyncio.Event()

    def note_news(self) -> None:
        """Something was rated or erased."""
        self._news.set()

    async def run(self) -> None:
        """Goes on until cancelled."""
        while True:
            try:
                more = await self.deliver_feedback()
                more = await self.erase_traces() or more
            except StorageError as error:
                log.warning("traces_not_brought_up_to_date", error=type(error).__name__)
                more = False
            if not more:
                self._news.clear()
                try:
                    async with asyncio.timeout(LOOK_EVERY_SECONDS):
                        await self._news.wait()
                except TimeoutError:
                    continue

    async def deliver_feedback(self) -> bool:
        """Hand over what is new. True if more may wait. Raises StorageError."""
        if not self._tracer.enabled:
            return False
        waiting = await self._feedback.untraced(AT_ONCE)
        if not waiting:
            return False
        arrived = await self._tracer.deliver_feedback(waiting)
        await self._feedback.mark_traced(arrived)
        return len(arrived) == AT_ONCE

    async def erase_traces(self) -> bool:
        """Have removed what was erased here. True if more may wait. Raises StorageError."""
        if not self._tracer.enabled:
            return False
        turn_ids = await self._turns.traces_to_forget(AT_ONCE)
        if not turn_ids or not await self._tracer.forget_turns(turn_ids):
            return False
        await self._turns.mark_traces_forgotten(turn_ids)
        return len(turn_ids) == AT_ONCE
