"""What was asked while Slack could not tell us: found in the history, and put through the same gate.

A gap begins where we were heard last: when the process went down, the socket went deaf, the database was
away, or events arrive late because nobody could reach us. It ends once its channels have been read; until
then nothing is noted as heard, so that a process which dies meanwhile leaves the gap to the next one.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import structlog

from bot.adapter import AdapterError
from bot.gaps import Fate, Gap, record_gap
from bot.metrics import Metrics
from bot.slack.hearing import Hearing
from bot.slack.missed import CatchUpLimits, MissedMessages
from bot.slack.payloads import PLATFORM, BotIdentity, Payload
from core.errors import StorageError
from core.leases import Exclusive
from core.listening import ChannelPositions, RecentThreads
from core.messages import Channel

_LOCK = "slack-gap"

TakeMissed = Callable[[Payload, BotIdentity, datetime], Awaitable[Fate | Literal["in_thread"]]]
"""Parses a payload and puts it into the inbox, unless it is older than the time given. What was said in a thread
without naming us is for us only if the thread is ours."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Coordination:
    """What processes share so that nothing is missed between them."""

    positions: ChannelPositions
    threads: RecentThreads
    exclusive: Exclusive


class CatchingUp:
    """Looks after one gap at a time. `bot_in` says who we are in a workspace; `workspaces` names those that
    we may look into, or is None where those are all that were ever heard."""

    def __init__(
        self,
        history: MissedMessages,
        hearing: Hearing,
        coordination: Coordination,
        take: TakeMissed,
        bot_in: Callable[[str], Awaitable[BotIdentity]],
        workspaces: Callable[[], list[str] | None],
        limits: CatchUpLimits,
        metrics: Metrics,
    ) -> None:
        self._history = history
        self._hearing = hearing
        self._coordination = coordination
        self._take = take
        self._bot_in = bot_in
        self._workspaces = workspaces
        self._limits = limits
        self._metrics = metrics
        self._since: datetime | None = None
        self._from_store = False
        self._failed_since: datetime | None = None
        self._on_time_until: datetime | None = None
        self._looked_until: datetime | None = None
        self._is_behind = False
        self._running: asyncio.Task[None] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether no gap is left behind us."""
        return not self._is_behind and self._failed_since is None

    def begin(self, since: datetime | None) -> None:
        """Look after what happened since then; None: since anybody was last heard."""
        if since is None:
            self._from_store = True
        else:
            self._since = min(since, self._since or since)
        self._is_behind = True
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())

    def note_arrival(self, happened_at: datetime, *, is_retry: bool) -> None:
        """An event has been stored. Slack brings one again and again while it cannot reach us, and drops
        those before it: what is late shows that there is more."""
        now = datetime.now(UTC)
        if not is_retry or now - happened_at < timedelta(seconds=self._limits.late_seconds):
            self._on_time_until = now
        elif self._looked_until is None or happened_at > self._looked_until:
            self._looked_until = now
            self.begin(min(happened_at, self._on_time_until or happened_at))
        self.note_stored()

    def note_failure(self, happened_at: datetime) -> None:
        """An event could not be stored. Slack gives up on it after some minutes."""
        self._failed_since = min(happened_at, self._failed_since or happened_at)

    def note_stored(self) -> None:
        """Storing works."""
        if self._failed_since is not None:
            failed_since, self._failed_since = self._failed_since, None
            self.begin(failed_since)

    async def aclose(self) -> None:
        """Stop reading; what is left is found by the next process."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    # --- inside -------------------------------------------------------------------------------------

    async def _run(self) -> None:
        asked_at, waited = datetime.now(UTC), False
        while self._from_store or self._since is not None:
            try:
                async with self._coordination.exclusive.exclusively(_LOCK) as ours:
                    if ours:
                        await self._look_after_ours(asked_at if waited else None)
                        self._is_behind = self._from_store or self._since is not None
                        await self._hearing.note()
                        asked_at, waited = datetime.now(UTC), False
                        continue
                waited = True
            except StorageError as error:
                log.warning("slack_gap_waits", error=type(error).__name__)
            await asyncio.sleep(self._limits.lock_poll_seconds)

    async def _look_after_ours(self, waited_since: datetime | None) -> None:
        """What begins meanwhile is looked after next. Raises StorageError, and then all is to do again."""
        from_store, since = self._from_store, self._since
        self._from_store, self._since = False, None
        try:
            stored = await self._hearing.was_heard_until() if from_store else None
            recent = timedelta(seconds=2 * self._limits.note_every_seconds)
            if stored is not None and waited_since is not None and stored > waited_since - recent:
                stored = None  # whoever was before us has looked after it
            begins = [moment for moment in (stored, since) if moment is not None]
            if begins:
                await self._look_after(min(begins))
        except StorageError:
            self._from_store = self._from_store or from_store
            self._since = min((m for m in (since, self._since) if m is not None), default=None)
            raise
        except Exception:
            log.exception("slack_gap_not_read")

    async def _look_after(self, since: datetime) -> None:
        gap, limits = Gap(since), self._limits
        earliest = max(
            since - timedelta(seconds=limits.overlap_seconds),
            gap.ended_at - timedelta(seconds=limits.look_back_seconds),
        )
        channels = await self._channels()
        threads = await self._threads()
        gap.unread = len(channels)
        try:
            async with asyncio.timeout(limits.oldest_seconds):
                for channel in channels:
                    await self._read(
                        channel, threads.get((channel.workspace, channel.id), set()), earliest, gap
                    )
        except TimeoutError:
            log.warning("slack_gap_given_up", channels_left=gap.unread)
        record_gap(PLATFORM, gap, self._metrics)

    async def _channels(self) -> list[Channel]:
        """Where something may have been said, the liveliest first: where Slack says that we are, or, where we
        may not ask, every channel that we ever heard something in. Nobody says of these whether outsiders read
        them, so they count as read by some."""
        heard = await self._hearing.channels()
        ours = self._workspaces()
        workspaces = {channel.workspace for channel in heard} if ours is None else set(ours)
        found: list[Channel] = []
        for workspace in sorted(workspaces):
            try:
                found += await self._history.channels(workspace)
            except AdapterError as error:
                log.warning("slack_channels_not_listed", workspace=workspace, error=str(error))
                known = (channel for channel in heard if channel.workspace == workspace)
                found += [channel.model_copy(update={"outsiders": True}) for channel in known]
        rank = {(channel.workspace, channel.id): place for place, channel in enumerate(heard)}
        return sorted(found, key=lambda channel: rank.get((channel.workspace, channel.id), len(rank)))

    async def _threads(self) -> dict[tuple[str, str], set[str]]:
        by_channel: dict[tuple[str, str], set[str]] = defaultdict(set)
        recent = await self._coordination.threads.recent_threads(PLATFORM, limit=self._limits.recent_threads)
        for thread in recent:
            by_channel[thread.channel.workspace, thread.channel.id].add(thread.id)
        return by_channel

    async def _read(self, channel: Channel, threads: set[str], since: datetime, gap: Gap) -> None:
        try:
            bot = await self._bot_in(channel.workspace)
            missed = await self._history.of_channel(channel, threads, since)
        except AdapterError as error:
            log.warning("slack_channel_not_read", channel=channel.id, error=str(error))
            return
        gap.channels += 1
        gap.unread -= 1
        gap.cut_short += missed.cut_short
        for payload in missed.payloads:
            fate = await self._take_one(payload, bot, threads)
            gap.fates[fate] += 1
            if fate in ("found", "too_old"):
                log.info(f"slack_question_{fate}", channel=channel.id, message=payload["event"]["ts"])

    async def _take_one(self, payload: Payload, bot: BotIdentity, threads: set[str]) -> str:
        """Raises StorageError; what cannot be stored for another reason is passed over."""
        oldest = datetime.now(UTC) - timedelta(seconds=self._limits.oldest_seconds)
        try:
            fate = await self._take(payload, bot, oldest)
        except StorageError:
            raise
        except Exception:
            log.exception("slack_message_not_taken")
            return "not_taken"
        if fate != "in_thread":
            return fate
        return "found" if payload["event"].get("thread_ts") in threads else "not_for_us"
