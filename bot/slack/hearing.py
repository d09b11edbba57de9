"""How far Slack has been heard: collected as it comes, written down now and then, and never on the way to an
acknowledgement."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog

from bot.slack.payloads import PLATFORM
from core.errors import StorageError
from core.listening import ChannelPositions
from core.messages import Channel

THE_APP = ""
"""In place of a workspace: what brings events to us brings those of every workspace, so one moment holds for
all of them."""

log = structlog.get_logger(__name__)


class Hearing:
    """`heard_until` says up to when nothing can have been missed; None while something may have been."""

    def __init__(self, positions: ChannelPositions, heard_until: Callable[[], datetime | None]) -> None:
        self._positions = positions
        self._heard_until = heard_until
        self._newest: dict[Channel, str] = {}

    def note_message(self, channel: Channel, message_id: str) -> None:
        """A message has arrived, for us or not; kept until it is written down."""
        known = self._newest.get(channel)
        if known is None or float(known) < float(message_id):
            self._newest[channel] = message_id

    async def was_heard_until(self) -> datetime | None:
        """What this process or another has written down last. Raises StorageUnavailableError."""
        return await self._positions.heard_until(PLATFORM, THE_APP)

    async def channels(self) -> list[Channel]:
        """Where anything was ever heard, the liveliest first. Raises StorageUnavailableError."""
        positions = await self._positions.of_platform(PLATFORM)
        return sorted(positions, key=lambda channel: float(positions[channel]), reverse=True)

    async def note(self) -> bool:
        """Write down what is new. What fails (False) comes with the next time."""
        heard_until, newest = self._heard_until(), self._newest
        self._newest = {}
        try:
            await self._positions.advance(newest)
            if heard_until is not None:
                await self._positions.note_heard(PLATFORM, THE_APP, heard_until)
        except StorageError as error:
            self._newest = {**newest, **self._newest}
            log.warning("slack_positions_not_noted", error=type(error).__name__)
            return False
        return True
