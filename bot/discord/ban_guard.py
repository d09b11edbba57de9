"""Keeps Discord from banning our address: every call that it refuses is counted, whoever made it.

What a reply does where it is refused is decided for all platforms in bot/refusals.py; this stands behind it.

Discord bans an address after 10,000 responses of 401, 403 and 429 within 10 minutes. Three stops come before:
a channel that refuses three times is left alone for a while; a refused token stops everything for good; and
all processes together stay below a twentieth of that number.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import SimpleNamespace

import aiohttp
import structlog

from bot.adapter import ForbiddenError, RateLimitedError, UnauthorizedError
from bot.discord.events import PLATFORM
from bot.metrics import Metrics
from core.errors import StorageError
from core.leases import Allowances

COUNTED = (401, 403, 429)
_CHANNEL = re.compile(r"/channels/(\d+)(?:/|$)")
_OWN_TOKEN = re.compile(r"/(?:webhooks|interactions)/\d+/")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class BanLimits:
    """`at_most` refusals within `within_seconds`, over all processes."""

    at_most: int = 500
    within_seconds: float = 600.0
    per_channel: int = 3
    channel_pause_seconds: float = 600.0


@dataclass
class _RefusingChannel:
    """How often a channel has refused in a row, and until when it is left alone."""

    refusals: int = 0
    paused_until: float = 0.0


class BanGuard:
    """Watches every call of this process. `on_unauthorized` is told when the bot's own token is refused."""

    def __init__(self, allowances: Allowances, metrics: Metrics, limits: BanLimits) -> None:
        self._allowances = allowances
        self._metrics = metrics
        self._limits = limits
        self._channels: dict[str, _RefusingChannel] = {}
        self._left: set[str] = set()
        self._paused_until = 0.0
        self._counting: set[asyncio.Task[None]] = set()
        self.token_refused = False
        self.on_unauthorized: Callable[[], None] = lambda: None

    def require_allowed(self, channel_id: str | None = None) -> None:
        """Raises ForbiddenError, UnauthorizedError or RateLimitedError where a call would be one too many."""
        if self.token_refused:
            raise UnauthorizedError("the token was refused; nothing is sent any more")
        self.require_room()
        if channel_id is None:
            return
        known = self._channels.get(channel_id)
        if channel_id in self._left or (known is not None and known.paused_until > time.monotonic()):
            raise ForbiddenError("this channel is left alone")

    def require_room(self) -> None:
        """Raises RateLimitedError while too much has been refused lately."""
        wait = self._paused_until - time.monotonic()
        if wait > 0:
            raise RateLimitedError("too many refusals", wait)

    # --- servers that the bot was removed from ------------------------------------------------------

    def leave(self, channel_ids: Iterable[str]) -> None:
        """Nothing is sent there any more."""
        self._left.update(channel_ids)

    def enter(self, channel_ids: Iterable[str]) -> None:
        self._left.difference_update(channel_ids)

    # --- what comes back ----------------------------------------------------------------------------

    def build_trace(self) -> aiohttp.TraceConfig:
        """For the sessions whose calls are to be watched; also sees what the library repeats by itself."""
        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(self._take)
        return trace

    async def _take(
        self, session: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestEndParams
    ) -> None:
        status, path = params.response.status, params.url.path
        match = _CHANNEL.search(path)
        channel_id = match[1] if match else None
        if status < 300 and channel_id is not None:
            self._channels.pop(channel_id, None)
        if status not in COUNTED or params.response.headers.get("X-RateLimit-Scope") == "shared":
            return
        self._metrics.refusals.labels(PLATFORM, str(status)).inc()
        if status == 401 and not _OWN_TOKEN.search(path):
            self._stop()
        elif status == 403 and channel_id is not None:
            self._refuse(channel_id)
        counting = asyncio.create_task(self._count())
        self._counting.add(counting)
        counting.add_done_callback(self._counting.discard)

    def _stop(self) -> None:
        if not self.token_refused:
            self.token_refused = True
            log.error("discord_token_refused", remedy="Set a new DISCORD_TOKEN and restart.")
            self.on_unauthorized()

    def _refuse(self, channel_id: str) -> None:
        known = self._channels.setdefault(channel_id, _RefusingChannel())
        known.refusals += 1
        if known.refusals >= self._limits.per_channel:
            known.paused_until = time.monotonic() + self._limits.channel_pause_seconds
            log.warning("discord_channel_left_alone", channel=channel_id, refusals=known.refusals)

    async def _count(self) -> None:
        limits = self._limits
        try:
            wait = await self._allowances.take(
                "discord refusals", at_most=limits.at_most, within_seconds=limits.within_seconds
            )
        except StorageError as error:
            log.warning("discord_refusal_not_counted", error=type(error).__name__)
            return
        if wait and self._paused_until < time.monotonic():
            log.error("discord_refuses_too_much", at_most=limits.at_most, pause_seconds=round(wait))
        if wait:
            self._paused_until = max(self._paused_until, time.monotonic() + wait)
