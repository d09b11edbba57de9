"""Before a gateway session may begin: Discord's own count, ours over all processes, and the time between two.

Discord resets a token that begins too many sessions in a day. Resuming a session is free and unlimited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from bot.discord.rest import GatewayLimits
from core.leases import Allowances

FEWEST_SESSIONS = 50
HOUR_SECONDS = 3600.0
SPACING_SECONDS = 5.0
SHORTEST_REFUSAL_SECONDS = 60.0

log = structlog.get_logger(__name__)


class IdentifyRefusedError(Exception):
    """No session may begin now; worth another try after `wait_seconds`. The text is for operators."""

    def __init__(self, reason: str, wait_seconds: float, *, remaining: int | None = None) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds
        self.remaining = remaining


@dataclass(frozen=True)
class IdentifyLimits:
    """How often all processes of one token may begin a session. Discord wants 5 seconds between two."""

    per_shard_an_hour: int = 10
    spacing_seconds: float = SPACING_SECONDS


class IdentifyGate:
    """One for all shards of a process. `read_limits` asks Discord."""

    def __init__(
        self,
        read_limits: Callable[[], Awaitable[GatewayLimits]],
        allowances: Allowances,
        limits: IdentifyLimits,
        *,
        application_id: str,
        shards: int,
    ) -> None:
        self._read_limits = read_limits
        self._allowances = allowances
        self._limits = limits
        self._application_id = application_id
        self._at_most = limits.per_shard_an_hour * shards

    async def admit(self) -> None:
        """Returns when a session may begin now, counted already. Raises IdentifyRefusedError, AdapterError,
        StorageUnavailableError."""
        discord = await self._read_limits()
        if discord.remaining < FEWEST_SESSIONS:
            log.error(
                "discord_sessions_used_up",
                remaining=discord.remaining,
                resets_in_seconds=round(discord.reset_after_seconds),
            )
            raise IdentifyRefusedError(
                f"only {discord.remaining} gateway sessions are left until Discord counts anew in"
                f" {_in_words(discord.reset_after_seconds)}.",
                max(SHORTEST_REFUSAL_SECONDS, discord.reset_after_seconds),
                remaining=discord.remaining,
            )
        at_most = self._at_most
        wait = await self._allowances.take(
            f"discord identify {self._application_id}", at_most=at_most, within_seconds=HOUR_SECONDS
        )
        if wait:
            log.error("discord_starts_used_up", at_most_an_hour=at_most, wait_seconds=round(wait))
            raise IdentifyRefusedError(
                f"{at_most} gateway sessions were begun within an hour, by all processes together; the next"
                f" one begins in {_in_words(wait)}. Find out what restarts again and again.",
                wait,
            )
        await self._keep_distance(discord.max_concurrency)

    async def _keep_distance(self, max_concurrency: int) -> None:
        """Wait until no other session has begun for a while."""
        name = f"discord identify spacing {self._application_id}"
        seconds = self._limits.spacing_seconds
        while True:
            wait = await self._allowances.take(name, at_most=max_concurrency, within_seconds=seconds)
            if not wait:
                return
            await asyncio.sleep(wait)


def _in_words(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 5400 else f"{max(1, round(seconds / 60))} minutes"
