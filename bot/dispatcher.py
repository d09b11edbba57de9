"""The workers' loops: claim what happened, have it worked on (bot/handling.py), keep the leases.

Leases and the drain at the end are looked after here and nowhere else. Order within a thread and
concurrency across threads are the inbox's.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Collection

import structlog

from bot.handling import Handling
from bot.lease_guard import ItemLease, lease_clock
from bot.metrics import Metrics
from bot.pulse import Pulse
from bot.trace_upkeep import TraceUpkeep
from core.errors import StorageError
from core.inbox import Claim, Inbox
from core.messages import (
    Thread,
    asker_of,
)

LEASES_WITHOUT_SWEEP = 4
"""However held up we are ourselves: after so many leases those of others are looked at all the same."""
MOST_AT_ONCE = 64
LONGEST_ROUND_SECONDS = 180.0
"""A statement is tried twice, and each try ends within 70 seconds, however slow the database is."""

log = structlog.get_logger(__name__)


class Dispatcher:
    """Works on the inbox of `platforms` until stopped; `only_thread` narrows it to one thread."""

    def __init__(
        self,
        inbox: Inbox,
        handling: Handling,
        traces: TraceUpkeep,
        metrics: Metrics,
        *,
        platforms: Collection[str],
        concurrency: int,
        only_thread: Thread | None = None,
        lease_seconds: float = 30.0,
        poll_seconds: float = 2.0,
        longest_round_seconds: float = LONGEST_ROUND_SECONDS,
    ) -> None:
        self._inbox = inbox
        self._handling = handling
        self._traces = traces
        self._metrics = metrics
        self._platforms = platforms
        self._concurrency = concurrency
        self._only_thread = only_thread
        self._lease_seconds = lease_seconds
        self._poll_seconds = poll_seconds
        self._running: dict[asyncio.Task[None], Claim] = {}
        self._leases: dict[asyncio.Task[None], ItemLease] = {}
        self._loops: dict[str, asyncio.Task[None]] = {}
        self._pulse = Pulse(longest_round_seconds + lease_seconds / 3)  # some loops rest that long
        self.oldest_transaction_seconds = 0.0  # as the last sweep found it
        self._look_again = asyncio.Event()
        self._stopping = False
        self._held_up_until = 0.0

    def start(self) -> None:
        """Begin to work."""
        for platform in self._platforms:
            self._metrics.silent_endings.labels(platform)  # what stays 0 is shown as 0
        # The last one is the last to end: it keeps the leases of what still runs.
        loops = {
            "claims": self._claim_loop(),
            "sweep": self._sweep_loop(),
            "traces": self._traces.run(),
            "leases": self._lease_loop(),
        }
        for name, loop in loops.items():
            self._loops[name] = asyncio.create_task(loop)

    def stuck_loops(self) -> list[str]:
        """The loops that have ended, or whose round takes longer than the slowest database explains."""
        ended = {name for name, loop in self._loops.items() if loop.done()}
        return sorted(ended | self._pulse.stuck())

    async def stop(self, drain_seconds: float = 20.0) -> None:
        """Take nothing new, let what runs finish for that long, and give the rest back to others."""
        self._stopping = True
        for loop in list(self._loops.values())[:-1]:
            loop.cancel()
        if self._running:
            await asyncio.wait(set(self._running), timeout=drain_seconds)
        left = dict(self._running)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if left:
            await self._inbox.release(list(left.values()))
            log.info("work_released", items=len(left))
        for loop in self._loops.values():
            loop.cancel()
        await asyncio.gather(*self._loops.values(), return_exceptions=True)
        await self._handling.aclose()

    # --- the loops --------------------------------------------------------------------------------

    async def _claim_loop(self) -> None:
        while not self._stopping:
            self._pulse.beat("claims")
            self._look_again.clear()
            room = self._concurrency - len(self._running)
            if room <= 0:
                await self._wait_for_room()
                continue
            try:
                most, not_of = self._share_out(room)
                asked = lease_clock()
                claims = await self._inbox.claim(
                    platforms=self._platforms,
                    limit=most,
                    lease_seconds=self._lease_seconds,
                    thread=self._only_thread,
                    not_of=not_of,
                )
                for claim in claims:
                    lease = ItemLease(asked + self._lease_seconds)
                    task = asyncio.create_task(self._work(claim, lease))
                    self._running[task], self._leases[task] = claim, lease
                    task.add_done_callback(self._note_done)
                if not claims:
                    await self._wait_for_work()
            except StorageError as error:
                log.warning("claim_failed", error=type(error).__name__)
                await asyncio.sleep(self._poll_seconds)

    def _share_out(self, room: int) -> tuple[int, list[str]]:
        """How many to claim, and of whom none: one person fills seven eighths of a worker at most."""
        most = min(room, MOST_AT_ONCE)
        if self._only_thread is not None:
            return most, []
        share = max(1, self._concurrency - max(1, self._concurrency // 8))
        at_work = Counter(asker_of(claim.event) for claim in self._running.values())
        at_work.pop("", None)
        full = [asker for asker, items in at_work.items() if items >= share]
        busiest = max((items for items in at_work.values() if items < share), default=0)
        return min(most, share - busiest), full

    async def _wait_for_room(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._poll_seconds):
                await self._look_again.wait()

    async def _wait_for_work(self) -> None:
        """Until something was put in, a thread may go on, there is room again, or the next poll."""
        waits = {
            asyncio.ensure_future(self._inbox.wait(self._poll_seconds)),
            asyncio.ensure_future(self._look_again.wait()),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _work(self, claim: Claim, lease: ItemLease) -> None:
        if await self._handling.take(claim, lease):
            self._look_again.set()

    def _note_done(self, task: asyncio.Task[None]) -> None:
        if len(self._running) >= self._concurrency:
            self._look_again.set()
        self._running.pop(task, None)
        self._leases.pop(task, None)

    async def _lease_loop(self) -> None:
        while True:
            self._pulse.beat("leases")
            await asyncio.sleep(self._lease_seconds / 3)
            running = dict(self._running)
            if not running:
                continue
            asked = lease_clock()
            try:
                ours = await self._inbox.renew(list(running.values()), lease_seconds=self._lease_seconds)
            except StorageError as error:
                self._note_held_up()
                log.warning("lease_not_renewed", error=type(error).__name__)
                continue
            lost = list[Claim]()
            for task, claim in running.items():
                if task in self._running and claim.id in ours:
                    self._leases[task].extend(asked + self._lease_seconds)
                elif task in self._running:
                    task.cancel()
                    lost.append(claim)
            await self._handling.note_lost(lost)

    async def _sweep_loop(self) -> None:
        """A lease that ran out counts as a crash. While we were held up ourselves, by a lost database or a
        busy machine, others were too, and live: they get the time to renew theirs first."""
        swept_at = began = time.monotonic()
        while True:
            self._pulse.beat("sweep")
            late = time.monotonic() - began > 2 * self._lease_seconds / 3
            began = time.monotonic()
            if late:
                self._note_held_up()
            try:
                if began >= min(self._held_up_until, swept_at + LEASES_WITHOUT_SWEEP * self._lease_seconds):
                    self._metrics.takeovers.inc(await self._inbox.sweep())
                    swept_at = time.monotonic()
                depth = await self._inbox.depth()
                for state in ("queued", "running", "parked"):
                    self._metrics.waiting.labels(state).set(getattr(depth, state))
                self._metrics.oldest_seconds.set(depth.oldest_seconds)
                self._metrics.oldest_transaction_seconds.set(depth.oldest_transaction_seconds)
                self.oldest_transaction_seconds = depth.oldest_transaction_seconds
            except StorageError as error:
                self._note_held_up()
                log.warning("sweep_failed", error=type(error).__name__)
            await asyncio.sleep(self._lease_seconds / 3)

    def _note_held_up(self) -> None:
        """Leases are renewed every third of their length: half of it is time enough."""
        self._held_up_until = time.monotonic() + self._lease_seconds / 2
