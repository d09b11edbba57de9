"""The port of the queue: what happened, claimed by one worker at a time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Literal, Protocol

from core.messages import Event, Frozen, Thread


class Claim(Frozen):
    """An inbox item that this worker owns until its lease ends.

    `fence` grows with every claim of the item: each write that follows from it names it, and is
    refused (LeaseLostError) once another worker has taken over. `attempts` counts this one too; `crashes`
    are the earlier ones that no worker ended in order.
    `deleted`: the message behind the event has been deleted, also when the deletion came first.
    """

    id: int
    event: Event
    attempts: int
    fence: int
    received_at: datetime
    deleted: bool = False
    crashes: int = 0


class ParkedItem(Frozen):
    """An item that nobody works on any more, for operators to look at. `text` is what was said, if anything."""

    id: int
    platform: str
    workspace: str
    channel: str
    thread: str
    kind: str
    author: str
    text: str
    reason: str
    attempts: int
    crashes: int
    received_at: datetime


class InboxDepth(Frozen):
    """How much waits. `oldest_seconds` is the age of the oldest among the next items that could be claimed;
    `oldest_transaction_seconds` that of the oldest transaction that keeps the database from clearing away
    what is done with, which makes every look at the queue slower."""

    queued: int
    running: int
    parked: int
    oldest_seconds: float
    oldest_transaction_seconds: float = 0.0


InboxEnd = Literal[
    "answered", "abstained", "failed", "refused", "ignored", "recorded", "cancelled", "expired"
]
"""How an item ended; the first four are visible to the asker. `expired`: too old to be answered."""


CRASHES_BEFORE_PARKING = 3
MOST_EXCUSED_ATTEMPTS = 8
"""Only so often may an item be tried for a lost lease to be excused: one that stops its workers for long, and lets
them live, comes to its end too."""
TRIES_TO_TELL = 5
"""How many workers more may try to tell the asker of a question that crashed so often. On a starved machine leases
run out under workers that live, and nobody is to be left in silence for that."""


class Inbox(Protocol):
    """Everything that happened, in order within a thread, each handled at least once."""

    async def put(self, event: Event) -> bool:
        """Store the event, committed on return. False: this delivery or this message is known already."""
        ...

    async def claim(
        self,
        *,
        platforms: Collection[str],
        limit: int,
        lease_seconds: float,
        thread: Thread | None = None,
        not_of: Collection[str] = (),
    ) -> list[Claim]:
        """The first items of threads that nobody works on, at most `limit`; only `thread`'s if given, and
        none whose asker (core.messages.asker_of) is in `not_of`.

        First come, first served, except that every question that somebody has waiting already puts their
        next one further back, and every one of a workspace that workspace's, a little.
        """
        ...

    async def renew(self, claims: Sequence[Claim], *, lease_seconds: float) -> set[int]:
        """Prolong the leases; returns the ids of the items that are still ours."""
        ...

    async def finish(self, claim: Claim, end: InboxEnd, reason: str = "") -> bool:
        """The item is done with. True: more waits in its thread. Raises LeaseLostError."""
        ...

    async def retry(self, claim: Claim, *, after_seconds: float, reason: str) -> None:
        """Put the item back, not to be claimed before `after_seconds`. Raises LeaseLostError."""
        ...

    async def release(self, claims: Sequence[Claim]) -> None:
        """Put items back at once: this worker is leaving. No crash is counted; lost leases are passed over."""
        ...

    async def excuse(self, claims: Sequence[Claim]) -> None:
        """This worker lost these leases and lives: the crash that was counted for each is taken back, unless the
        item was tried more than MOST_EXCUSED_ATTEMPTS times."""
        ...

    async def park(self, claim: Claim, reason: str) -> None:
        """Set the item aside for operators; its thread goes on. Raises LeaseLostError."""
        ...

    async def sweep(self, *, crashes_before_parking: int = CRASHES_BEFORE_PARKING + TRIES_TO_TELL) -> int:
        """Take back expired leases, and return how many. The items are queued again; whoever claims one
        that has crashed CRASHES_BEFORE_PARKING times tells the asker and parks it. One that has crashed more
        often than `crashes_before_parking` is parked here, and nobody is told."""
        ...

    async def parked(self) -> list[ParkedItem]:
        """What has been set aside, oldest first."""
        ...

    async def requeue(self, ids: Sequence[int]) -> set[int]:
        """Queue parked items again, as if they had never crashed; returns the ids of those that were parked."""
        ...

    async def drop(self, ids: Sequence[int]) -> set[int]:
        """End parked items as failed; returns the ids of those that were parked."""
        ...

    async def depth(self) -> InboxDepth: ...

    async def wait(self, timeout_seconds: float) -> None:
        """Return when there may be something to claim, or after the timeout. Only a hint."""
        ...
