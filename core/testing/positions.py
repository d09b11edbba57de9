"""How far the channels have been heard, without a database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from core.listening import newest_by_place, position_of
from core.messages import Channel, Thread

Place = tuple[str, str, str]


class InMemoryChannelPositions:
    """Implements core.listening.ChannelPositions."""

    def __init__(self) -> None:
        self._positions: dict[Place, tuple[Channel, str]] = {}
        self._heard: dict[tuple[str, str], datetime] = {}

    async def advance(self, newest: Mapping[Channel, str]) -> None:
        for channel, message_id in newest_by_place(newest):
            place = (channel.platform, channel.workspace, channel.id)
            known = self._positions.get(place)
            if known is None or position_of(known[1]) < position_of(message_id):
                self._positions[place] = (channel, message_id)

    async def of_platform(self, platform: str) -> dict[Channel, str]:
        return {
            channel: message_id
            for channel, message_id in self._positions.values()
            if channel.platform == platform
        }

    async def note_heard(self, platform: str, workspace: str, at: datetime) -> None:
        known = self._heard.get((platform, workspace))
        self._heard[platform, workspace] = at if known is None else max(known, at)

    async def heard_until(self, platform: str, workspace: str) -> datetime | None:
        return self._heard.get((platform, workspace))

    # --- for the other doubles ------------------------------------------------------------------

    def forget_thread(self, thread: Thread) -> None:
        """Where the thread is a channel of its own, how far that was heard."""
        if thread.id == thread.channel.id:
            self._positions.pop(thread.key[:3], None)

    def forget_workspace(self, platform: str, workspace: str) -> None:
        self._positions = {
            place: value for place, value in self._positions.items() if place[:2] != (platform, workspace)
        }
        self._heard.pop((platform, workspace), None)
