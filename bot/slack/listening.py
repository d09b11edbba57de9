"""Everything that keeps a question in Slack from being missed: how far we have heard, and what to read back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from bot.metrics import Metrics
from bot.slack.api import SlackApi
from bot.slack.catching_up import CatchingUp, Coordination, TakeMissed
from bot.slack.events import heard_message
from bot.slack.hearing import Hearing
from bot.slack.missed import CatchUpLimits, MissedMessages
from bot.slack.payloads import BotIdentity, Payload, time_of


class Listening:
    """`heard_until` says up to when the way to us was open; None while it is not."""

    def __init__(
        self,
        api: SlackApi,
        coordination: Coordination,
        take: TakeMissed,
        bot_in: Callable[[str], Awaitable[BotIdentity]],
        workspaces: Callable[[], list[str] | None],
        heard_until: Callable[[], datetime | None],
        limits: CatchUpLimits,
        metrics: Metrics,
    ) -> None:
        self._limits = limits
        self._way_open_until = heard_until
        self._hearing = Hearing(coordination.positions, self._heard_until)
        self._catching_up = CatchingUp(
            MissedMessages(api, limits),
            self._hearing,
            coordination,
            take,
            bot_in,
            workspaces,
            limits,
            metrics,
        )
        self._noting = asyncio.create_task(self._keep_noting())

    def note_heard_again(self, deaf_since: float | None) -> None:
        """The way to us is open again; `deaf_since` in seconds of the wall clock, None at the start."""
        self._catching_up.begin(None if deaf_since is None else datetime.fromtimestamp(deaf_since, UTC))

    def note_stored(self, payload: Payload, known_private: Mapping[str, bool], *, is_retry: bool) -> None:
        """An event is in the inbox, or is none that goes there."""
        heard = heard_message(payload, known_private)
        if heard is not None:
            self._hearing.note_message(*heard)
        self._catching_up.note_arrival(_happened_at(payload), is_retry=is_retry)

    def note_failure(self, payload: Payload) -> None:
        """An event could not be stored."""
        self._catching_up.note_failure(_happened_at(payload))

    async def aclose(self) -> None:
        """Write down how far we have heard."""
        await self._catching_up.aclose()
        self._noting.cancel()
        await asyncio.gather(self._noting, return_exceptions=True)
        await self._hearing.note()

    async def _keep_noting(self) -> None:
        while True:
            await asyncio.sleep(self._limits.note_every_seconds)
            if await self._hearing.note():
                self._catching_up.note_stored()

    def _heard_until(self) -> datetime | None:
        return self._way_open_until() if self._catching_up.is_whole else None


def _happened_at(payload: Payload) -> datetime:
    """In whole seconds, as Slack says it; now, where it does not."""
    seconds = payload.get("event_time")
    return datetime.now(UTC) if seconds is None else time_of(str(seconds))
