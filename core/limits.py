"""What may be used: money for model calls, and how many questions one person may ask.

The stores behind it are ports: the real ones are in core/storage, their doubles in core/testing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from core import notices
from core.messages import Frozen, Message, Payer


class Caps(Frozen):
    """US dollars that model calls of one UTC day may cost; None: no such limit."""

    workspace_usd: float | None = None
    channel_usd: float | None = None
    person_usd: float | None = None

    @property
    def any(self) -> bool:
        return any(cap is not None for _, cap in self)


class Budget(Protocol):
    """Money for model calls, shared by all processes. What is set aside and what is spent together never
    exceed a cap, however many ask at once."""

    @property
    def reserved_seconds(self) -> float:
        """How long money stays set aside for a call that nobody settles."""
        ...

    async def reserve(self, payer: Payer, usd: float) -> UUID:
        """Set aside what a call may cost at most. Raises BudgetSpentError."""
        ...

    async def settle(self, reservation: UUID, usd: float) -> None:
        """The call has cost this much; the rest is free again. A second time changes nothing."""
        ...


class QuestionCount(Frozen):
    """How many questions a person has asked in the last one's minute and on this UTC day, the last one included.
    0 in a minute that is not counted any more."""

    in_minute: int
    in_day: int


class QuestionCounter(Protocol):
    """Counts questions by person, for all processes together."""

    async def count(
        self, platform: str, workspace: str, person: str, *, asked_at: datetime, per_minute: int | None
    ) -> QuestionCount:
        """Count one more, in the minute in which it was asked: what waited for us was not asked in haste. One
        of an earlier minute than the last counts for the day alone; what exceeds `per_minute` does not."""
        ...


class Refusal(Frozen):
    """The question is not answered. `tell`: this is the one of its minute that the asker is told about."""

    limit: Literal["minute", "day"]
    notice: str
    tell: bool

    @property
    def reason(self) -> str:
        return f"too_many_in_a_{self.limit}"


class QuestionLimits:
    """Counts a person's questions and refuses those beyond the limits; None: no such limit."""

    def __init__(self, counter: QuestionCounter, *, per_minute: int | None, per_day: int | None) -> None:
        self._counter = counter
        self._per_minute = per_minute
        self._per_day = per_day

    async def admit(self, message: Message) -> Refusal | None:
        """Count the question. A Refusal says that it is one too many."""
        if self._per_minute is None and self._per_day is None:
            return None
        channel = message.thread.channel
        count = await self._counter.count(
            channel.platform,
            channel.workspace,
            message.author.id,
            asked_at=message.at,
            per_minute=self._per_minute,
        )
        return judge(count, per_minute=self._per_minute, per_day=self._per_day)


def judge(count: QuestionCount, *, per_minute: int | None, per_day: int | None) -> Refusal | None:
    """One notice a minute: for the first question beyond the limit, which says what becomes of the others."""
    if per_day is not None and count.in_day > per_day:
        tell = count.in_minute == 1 or count.in_day == per_day + 1
        return Refusal(limit="day", notice=notices.too_many_today(per_day), tell=tell)
    if per_minute is not None and count.in_minute > per_minute:
        tell = count.in_minute == per_minute + 1
        return Refusal(limit="minute", notice=notices.too_many_in_a_minute(per_minute), tell=tell)
    return None
