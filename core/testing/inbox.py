"""The inbox without a database: the same promises, within one process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from core.errors import LeaseLostError
from core.inbox import (
    CRASHES_BEFORE_PARKING,
    MOST_EXCUSED_ATTEMPTS,
    TRIES_TO_TELL,
    Claim,
    InboxDepth,
    InboxEnd,
    ParkedItem,
)
from core.messages import (
    Channel,
    Event,
    MessageEdited,
    MessagePosted,
    Thread,
    asker_of,
    channel_of,
    order_key_of,
)


@dataclass
class Item:
    """One thing that happened. `event` is gone once the item has ended."""

    id: int
    key: tuple[str, str, str, str]
    event: Event | None
    received_at: datetime
    state: Literal["queued", "running", "parked", "done"] = "queued"
    ended_as: InboxEnd | None = None
    reason: str = ""
    attempts: int = 0
    crashes: int = 0
    fence: int = 0
    asker: str = ""
    place: float = 0.0
    run_after: float = 0.0
    lease_until: float = 0.0

    def end(self, how: InboxEnd, reason: str) -> None:
        self.state, self.event, self.ended_as, self.reason = "done", None, how, reason


class InMemoryInbox:
    """Implements core.ports.Inbox. `items` may be looked at by tests."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._deleted: set[tuple[str, str, str, str]] = set()
        self._seen: set[tuple[str, ...]] = set()
        self._something = asyncio.Event()

    async def put(self, event: Event) -> bool:
        channel = channel_of(event)
        keys: set[tuple[str, ...]] = {("delivery", channel.platform, event.delivery_id)}
        if isinstance(event, MessagePosted):
            keys.add(("message", *event.message.thread.key[:3], event.message.id))
        if keys & self._seen:
            return False
        self._seen |= keys
        key = (channel.platform, channel.workspace, channel.id, order_key_of(event))
        asker = asker_of(event)
        item = Item(len(self.items) + 1, key, event, datetime.now(UTC), asker=asker)
        item.place = time.monotonic() + (self._seconds_further_back(item) if asker else 0.0)
        self.items.append(item)
        self._something.set()
        return True

    def _seconds_further_back(self, new: Item) -> float:
        """What somebody has waiting already counts against their next question."""
        waiting = [
            item
            for item in self.items[-100:]
            if item.key[:2] == new.key[:2] and item.state in ("queued", "running") and item.asker
        ]
        theirs = sum(item.asker == new.asker for item in waiting)
        return min(theirs, 12) * 300.0 + len(waiting)

    async def claim(
        self,
        *,
        platforms: Collection[str],
        limit: int,
        lease_seconds: float,
        thread: Thread | None = None,
        not_of: Collection[str] = (),
    ) -> list[Claim]:
        self._something.clear()
        claims: list[Claim] = []
        for item in sorted(self._claimable(), key=lambda item: (item.place, item.id)):
            if len(claims) == limit:
                break
            if (
                item.key[0] not in platforms
                or item.asker in not_of
                or (thread is not None and item.key != thread.key)
            ):
                continue
            assert item.event is not None  # noqa: S101 (narrows the type: queued items have their event)
            item.state, item.lease_until = "running", time.monotonic() + lease_seconds
            item.attempts += 1
            item.fence += 1
            claims.append(
                Claim(
                    id=item.id,
                    event=item.event,
                    attempts=item.attempts,
                    fence=item.fence,
                    received_at=item.received_at,
                    deleted=_message_of(item.event) in self._deleted,
                    crashes=item.crashes,
                )
            )
        return claims

    def _claimable(self) -> Iterator[Item]:
        """The first open item of each thread, unless somebody works on it or it is not yet due."""
        seen: set[tuple[str, str, str, str]] = set()
        for item in self.items:
            if item.state not in ("queued", "running") or item.key in seen:
                continue
            seen.add(item.key)
            if item.state == "queued" and item.run_after <= time.monotonic():
                yield item

    async def renew(self, claims: Sequence[Claim], *, lease_seconds: float) -> set[int]:
        ours = [item for claim in claims if (item := self.held(claim)) is not None]
        for item in ours:
            item.lease_until = time.monotonic() + lease_seconds
        return {item.id for item in ours}

    async def finish(self, claim: Claim, end: InboxEnd, reason: str = "") -> bool:
        done = self.require_held(claim)
        done.end(end, reason)
        more = any(item.key == done.key and item.state == "queued" for item in self.items)
        if more:
            self._something.set()
        return more

    async def retry(self, claim: Claim, *, after_seconds: float, reason: str) -> None:
        item = self.require_held(claim)
        item.state, item.reason, item.run_after = "queued", reason, time.monotonic() + after_seconds
        asyncio.get_running_loop().call_later(after_seconds, self._something.set)

    async def release(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            if (item := self.held(claim)) is not None:
                item.state = "queued"
        self._something.set()

    async def excuse(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            item = self.items[claim.id - 1]
            if item.crashes and item.fence >= claim.fence and item.attempts <= MOST_EXCUSED_ATTEMPTS:
                item.crashes -= 1

    async def park(self, claim: Claim, reason: str) -> None:
        item = self.require_held(claim)
        item.state, item.reason = "parked", reason
        self._something.set()

    async def parked(self) -> list[ParkedItem]:
        return [_parked_item(item) for item in self.items if item.state == "parked"]

    async def requeue(self, ids: Sequence[int]) -> set[int]:
        found = [item for item in self.items if item.state == "parked" and item.id in ids]
        for item in found:
            item.state, item.crashes, item.run_after = "queued", 0, 0.0
            item.place = time.monotonic()
        self._something.set()
        return {item.id for item in found}

    async def drop(self, ids: Sequence[int]) -> set[int]:
        found = [item for item in self.items if item.state == "parked" and item.id in ids]
        for item in found:
            item.end("failed", "dropped")
        return {item.id for item in found}

    async def sweep(self, *, crashes_before_parking: int = CRASHES_BEFORE_PARKING + TRIES_TO_TELL) -> int:
        now = time.monotonic()
        expired = [item for item in self.items if item.state == "running" and item.lease_until < now]
        for item in expired:
            item.crashes += 1
            if item.crashes > crashes_before_parking:
                item.state, item.reason = "parked", "crashed too often"
            else:
                item.state = "queued"
        if expired:
            self._something.set()
        return len(expired)

    async def depth(self) -> InboxDepth:
        def count(state: str) -> int:
            return sum(item.state == state for item in self.items)

        oldest = next(self._claimable(), None)
        age = (datetime.now(UTC) - oldest.received_at).total_seconds() if oldest else 0.0
        return InboxDepth(
            queued=count("queued"), running=count("running"), parked=count("parked"), oldest_seconds=age
        )

    async def wait(self, timeout_seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._something.wait()

    # --- for the other doubles ------------------------------------------------------------------

    def held(self, claim: Claim) -> Item | None:
        """The item, if the claim still owns it."""
        item = self.items[claim.id - 1]
        return item if item.state == "running" and item.fence == claim.fence else None

    def require_held(self, claim: Claim) -> Item:
        """The item. Raises LeaseLostError unless the claim still owns it."""
        item = self.held(claim)
        if item is None:
            raise LeaseLostError(f"inbox item {claim.id} is no longer ours (fence {claim.fence})")
        return item

    def open_events(self, platform: str, workspace: str, matches: Callable[[Event], bool]) -> list[Item]:
        """What waits or runs in a workspace, as far as it matches."""
        return [
            item
            for item in self.items
            if item.key[:2] == (platform, workspace) and item.event is not None and matches(item.event)
        ]

    def cancel(self, channel: Channel, message_id: str) -> None:
        """End what waits or runs because of a message that was deleted."""
        self._deleted.add((channel.platform, channel.workspace, channel.id, message_id))
        for item in self.items:
            event = item.event
            if (
                isinstance(event, MessagePosted | MessageEdited)
                and event.message.id == message_id
                and item.key[:3] == (channel.platform, channel.workspace, channel.id)
            ):
                item.end("cancelled", "message deleted")
                item.fence += 1


def _parked_item(item: Item) -> ParkedItem:
    event = item.event
    message = event.message if isinstance(event, MessagePosted | MessageEdited) else None
    platform, workspace, channel, thread = item.key
    return ParkedItem(
        id=item.id,
        platform=platform,
        workspace=workspace,
        channel=channel,
        thread=thread,
        kind=event.kind if event is not None else "",
        author=message.author.id if message is not None else "",
        text=message.text if message is not None else "",
        reason=item.reason,
        attempts=item.attempts,
        crashes=item.crashes,
        received_at=item.received_at,
    )


def _message_of(event: Event) -> tuple[str, str, str, str] | None:
    if isinstance(event, MessagePosted | MessageEdited):
        return (*event.message.thread.key[:3], event.message.id)
    return None
