"""The sink of every adapter: the inbox. Once it has committed, the platform may be told that we have it."""

from __future__ import annotations

import structlog

from bot.metrics import Metrics
from bot.watching import Watching
from core.inbox import Inbox
from core.logs import bind
from core.messages import Event, channel_of

log = structlog.get_logger(__name__)


class Intake:
    """Takes in what is for us, and what is said in channels that are sources."""

    def __init__(self, inbox: Inbox, watching: Watching, metrics: Metrics) -> None:
        self._inbox = inbox
        self._watching = watching
        self._metrics = metrics

    async def take_in(self, event: Event) -> bool:
        """One INSERT, committed. False: known already, or for nobody here. Raises StorageError."""
        wanted = self._watching.narrow(event)
        if wanted is None:
            return False
        platform = channel_of(wanted).platform
        with bind(platform=platform, event_kind=wanted.kind, delivery_id=wanted.delivery_id):
            new = await self._inbox.put(wanted)
            self._metrics.events.labels(platform, wanted.kind).inc()
            if not new:
                self._metrics.duplicates.labels(platform).inc()
            (log.info if new else log.debug)("event_taken_in" if new else "event_known_already")
        return new
