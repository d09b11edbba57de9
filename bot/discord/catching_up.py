"""What was said while nobody listened: read back from the channels, and taken in through the same gate.

A session that is resumed has no gap. A new one (another process, a restart, a session that Discord gave up)
says in its first frames which message is the newest in each channel; where that is beyond the position of the
channel, the messages between are fetched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from bot.adapter import AdapterError, ForbiddenError, UnauthorizedError
from bot.discord.ban_guard import BanGuard
from bot.discord.commands import EPOCH_MILLISECONDS
from bot.discord.hearing import HeardChannel, Hearing
from bot.discord.receiving import EventReceiver
from bot.discord.rest import ChannelCalls
from bot.gaps import Gap
from core.messages import Channel

PAGE = 100
THREADS = frozenset({10, 11, 12})
HOLD_MESSAGES = frozenset({0, 2, 5, 13}) | THREADS

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class CatchUpLimits:
    """How much is read back. Older questions than `oldest_seconds` are counted and not answered; a channel is
    given up after `attempts` failed calls, and read for at most `pages` pages of 100."""

    oldest_seconds: float = 3600.0
    pages: int = 10
    attempts: int = 3
    retry_seconds: float = 2.0
    at_once: int = 4
    direct_channels: int = 500


class CatchingUp:
    """Looks after the gaps of one shard. `on_gap` is told of each once it is over."""

    def __init__(
        self,
        hearing: Hearing,
        receiver: EventReceiver,
        calls: ChannelCalls,
        limits: CatchUpLimits,
        ban_guard: BanGuard,
        on_gap: Callable[[Gap], None],
        *,
        with_direct_channels: bool,
    ) -> None:
        self._hearing = hearing
        self._receiver = receiver
        self._calls = calls
        self._limits = limits
        self._ban_guard = ban_guard
        self._on_gap = on_gap
        self._with_direct_channels = with_direct_channels
        self._slots = asyncio.Semaphore(limits.at_once)
        self._gap = Gap(None)
        self._is_listening = False
        self._fetching: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._ending: asyncio.Task[None] | None = None

    # --- frames -----------------------------------------------------------------------------------

    def take_place(self, name: str, payload: dict[str, Any]) -> None:
        """READY, and the servers, channels and threads that follow; in the order in which they came."""
        if name == "READY":
            self._leave_all_but({str(guild["id"]) for guild in payload["guilds"]})
            self._begin_session()
        elif name == "GUILD_CREATE":
            channels = [*payload.get("channels", ()), *payload.get("threads", ())]
            self._ban_guard.enter(str(channel["id"]) for channel in channels)
            for channel in channels:
                self._compare(str(payload["id"]), channel)
        elif name == "GUILD_DELETE" and not payload.get("unavailable"):
            self._leave(str(payload["id"]))
        elif name in ("CHANNEL_CREATE", "THREAD_CREATE") and payload.get("guild_id"):
            self._note_new(str(payload["guild_id"]), payload, is_new=name == "CHANNEL_CREATE")

    def note_ready(self) -> None:
        """The servers are known. Once what was missed is stored, nothing is behind this session."""
        if self._ending is not None:
            self._ending.cancel()
        self._ending = asyncio.create_task(self._end_gap())

    async def aclose(self) -> None:
        """Stop reading back; what is left is missed once more, and found by the next session."""
        tasks = {*self._fetching.values(), *([self._ending] if self._ending else ())}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin_session(self) -> None:
        self._is_listening = False
        self._gap = Gap(self._hearing.heard_until)
        for known in self._hearing.channels():
            if known.held is not None:
                self._fetch(known)  # begun by an earlier session, and cut short
        if not self._with_direct_channels:
            return
        direct = [known for known in self._hearing.channels() if known.channel.workspace.startswith("dm:")]
        direct.sort(key=lambda known: known.position, reverse=True)
        for known in direct[: self._limits.direct_channels]:
            # Discord does not say what is new there.
            self._fetch(known)
        self._gap.unread += len(direct[self._limits.direct_channels :])

    def _leave_all_but(self, guild_ids: set[str]) -> None:
        """Servers that the bot was removed from while nobody listened."""
        known = {heard.channel.workspace for heard in self._hearing.channels()}
        for workspace in known - guild_ids:
            if not workspace.startswith("dm:"):
                self._leave(workspace)

    def _leave(self, guild_id: str) -> None:
        """The bot was removed from the server: nothing is sent there any more."""
        channels = [known.channel for known in self._hearing.channels()]
        self._ban_guard.leave(channel.id for channel in channels if channel.workspace == guild_id)
        self._hearing.forget_workspace(guild_id)
        log.warning(
            "discord_server_left",
            workspace=guild_id,
            remedy=f"To erase what is kept of it: threadlore forget workspace discord:{guild_id}",
        )

    def _compare(self, guild_id: str, payload: dict[str, Any]) -> None:
        if payload.get("type") not in HOLD_MESSAGES:
            return
        channel_id, newest = str(payload["id"]), int(payload.get("last_message_id") or 0)
        if self._hearing.position_of(channel_id) is None:
            self._hearing.begin_at(self._channel(guild_id, payload), self._beginning_of(payload))
        is_behind = newest and not self._hearing.has(channel_id, newest)
        if is_behind and self._receiver.may_read(guild_id, channel_id):
            self._fetch(self._hearing.known(channel_id))

    def _beginning_of(self, payload: dict[str, Any]) -> int:
        """Where a channel that we know nothing of begins for us: at its newest message, unless it, or its
        talk, began after we last listened."""
        made, newest = int(payload["id"]), int(payload.get("last_message_id") or 0)
        if self._gap.began_at is None or self._is_listening:
            return max(made, newest)
        border = snowflake_of(self._gap.began_at)
        if made >= border:
            return made - 1  # the first message of a forum's post has the id of the post
        return min(border, newest) if payload["type"] in THREADS and newest else max(made, newest)

    def _note_new(self, guild_id: str, payload: dict[str, Any], *, is_new: bool) -> None:
        channel_id = str(payload["id"])
        if payload.get("type") not in HOLD_MESSAGES or self._hearing.position_of(channel_id) is not None:
            return
        made, newest = int(channel_id), int(payload.get("last_message_id") or 0)
        is_new = is_new or bool(payload.get("newly_created"))
        self._hearing.begin_at(self._channel(guild_id, payload), made - 1 if is_new else max(made, newest))

    def _channel(self, guild_id: str, payload: dict[str, Any]) -> Channel:
        return self._receiver.channel_of({"guild_id": guild_id, "channel_id": str(payload["id"])})

    # --- reading back -----------------------------------------------------------------------------

    def _fetch(self, known: HeardChannel) -> None:
        channel_id = known.channel.id
        if channel_id in self._fetching:
            self._again.add(channel_id)
            return
        self._hearing.hold(channel_id)
        self._gap.channels += 1
        task = asyncio.create_task(self._read_back(known.channel, known.position, self._gap))
        self._fetching[channel_id] = task
        task.add_done_callback(lambda _: self._fetching.pop(channel_id, None))

    async def _read_back(self, channel: Channel, position: int, gap: Gap) -> None:
        try:
            async with self._slots:
                position = await self._read_pages(channel, position, gap)
                while channel.id in self._again:
                    self._again.discard(channel.id)
                    position = await self._read_pages(channel, position, gap)
        except ForbiddenError:
            gap.unread += 1
        except AdapterError as error:
            gap.unread += 1
            log.error("discord_gap_not_read", channel=channel.id, error=type(error).__name__)
        except Exception:
            gap.unread += 1
            log.exception("discord_gap_not_read", channel=channel.id)
        self._hearing.release(channel.id)

    async def _read_pages(self, channel: Channel, after: int, gap: Gap) -> int:
        """Read on from there; returns how far that went."""
        oldest = datetime.now(UTC) - timedelta(seconds=self._limits.oldest_seconds)
        for _ in range(self._limits.pages):
            page = await self._page(channel.id, after)
            for payload in reversed(page):
                await self._take(channel, payload, oldest, gap)
            after = max(after, *(int(payload["id"]) for payload in page)) if page else after
            if len(page) < PAGE:
                return after
            after = max(after, snowflake_of(oldest))
        gap.cut_short += 1
        log.warning("discord_gap_cut_short", channel=channel.id, pages=self._limits.pages)
        return after

    async def _page(self, channel_id: str, after: int) -> list[dict[str, Any]]:
        """The 100 messages after this one, newest first."""
        for attempt in range(1, self._limits.attempts):
            try:
                return await self._calls.fetch_history(channel_id, PAGE, after=str(after))
            except (ForbiddenError, UnauthorizedError):
                raise
            except AdapterError as error:
                log.info("discord_gap_tried_again", channel=channel_id, error=type(error).__name__)
                await asyncio.sleep(self._limits.retry_seconds * attempt)
        return await self._calls.fetch_history(channel_id, PAGE, after=str(after))

    async def _take(self, channel: Channel, payload: dict[str, Any], oldest: datetime, gap: Gap) -> None:
        if self._hearing.has(channel.id, int(payload["id"])):
            return
        guild_id = None if channel.workspace.startswith("dm:") else channel.workspace
        payload = {**payload, "guild_id": guild_id}
        try:
            gap.fates[await self._receiver.take_missed(payload, oldest)] += 1
        except (KeyError, TypeError, ValueError, AttributeError):
            log.exception("discord_message_not_understood", channel=channel.id)

    async def _end_gap(self) -> None:
        while self._fetching:
            await asyncio.wait(set(self._fetching.values()))
        self._hearing.is_whole = self._is_listening = True
        if self._gap.began_at is not None or self._gap.channels:
            self._on_gap(self._gap)


def snowflake_of(at: datetime) -> int:
    """The smallest id that Discord could give at this moment."""
    return (int(at.timestamp() * 1000) - EPOCH_MILLISECONDS) << 22
