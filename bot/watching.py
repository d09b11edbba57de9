"""Who decides what of all that is said reaches the inbox: what is for us, and what is said in a channel that is a
source. The rest is let go unread."""

from __future__ import annotations

import asyncio

import structlog

from core.errors import StorageError
from core.knowledge.channel_messages import ChannelMessages, source_of
from core.messages import Event, Message, MessageEdited, MessageHeard

POLL_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Watching:
    """Knows the channels that are sources; a new one is known after `poll_seconds` at the latest."""

    def __init__(self, said: ChannelMessages, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._said = said
        self._poll_seconds = poll_seconds
        self._sources: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Goes on until cancelled."""
        while True:
            try:
                await self.load()
            except StorageError as error:
                log.warning("watched_channels_not_loaded", error=type(error).__name__)
            await asyncio.sleep(self._poll_seconds)

    async def load(self) -> None:
        """Raises StorageError, and then what was known still holds."""
        self._sources = frozenset(channel.uri for channel in await self._said.watched())

    def narrow(self, event: Event) -> Event | None:
        """The event as it may be stored: without a text that is for nobody here; None: not at all."""
        if isinstance(event, MessageHeard):
            return event if self._is_watched(event.message) else None
        if not isinstance(event, MessageEdited) or event.addressing is not None:
            return event
        if self._is_watched(event.message):
            return event
        return event.model_copy(update={"message": event.message.model_copy(update={"text": ""})})

    def _is_watched(self, message: Message) -> bool:
        return not message.confined and source_of(message.thread.channel).uri in self._sources
