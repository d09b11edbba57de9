"""How far each channel of a shard has been heard: the newest message up to which everything is stored.

A position is a promise: whatever stands at or before it needs no looking after. So it passes no message that
is still being stored, and stands still while what was missed in its channel is being fetched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from bot.discord.events import PLATFORM
from core.errors import StorageError
from core.listening import ChannelPositions
from core.messages import Channel

log = structlog.get_logger(__name__)


@dataclass
class HeardChannel:
    """One channel. `position` is a message id as a number; `held` while what was missed is being fetched."""

    channel: Channel
    position: int
    noted: int = 0
    open: set[int] = field(default_factory=set)
    stored: set[int] = field(default_factory=set)
    held: asyncio.Event | None = None

    def move(self) -> None:
        """As far as everything is stored."""
        if self.held is not None:
            return
        border = min(self.open, default=None)
        passed = {id_ for id_ in self.stored if border is None or id_ < border}
        if passed:
            self.position = max(self.position, *passed)
            self.stored -= passed


class Hearing:
    """The channels of one shard. `belongs` says which stored positions are the shard's."""

    def __init__(
        self,
        positions: ChannelPositions,
        name: str,
        belongs: Callable[[Channel], bool],
        *,
        note_every_seconds: float,
    ) -> None:
        self._positions = positions
        self._name = name
        self._belongs = belongs
        self._note_every_seconds = note_every_seconds
        self._channels: dict[str, HeardChannel] = {}
        self._early: dict[str, set[int]] = {}
        self.heard_until: datetime | None = None
        """The moment up to which the shard was heard without a gap; None: never."""
        self.is_whole = False
        """Whether the session that runs has no gap left behind it."""
        self._was_whole = False
        self.last_frame_at: datetime | None = None

    async def load(self) -> None:
        """What earlier processes heard; what this one knows stays. Raises StorageUnavailableError."""
        self.is_whole = self._was_whole = False
        until = await self._positions.heard_until(PLATFORM, self._name)
        if until is not None:
            self.heard_until = max(until, self.heard_until or until)
        for channel, message_id in (await self._positions.of_platform(PLATFORM)).items():
            if self._belongs(channel):
                known = self._channels.setdefault(
                    channel.id, HeardChannel(channel, int(message_id), int(message_id))
                )
                known.position = max(known.position, int(message_id))

    # --- what arrives -----------------------------------------------------------------------------

    def begin(self, channel_id: str, message_id: str) -> None:
        """A message has arrived and is not yet stored."""
        known = self._channels.get(channel_id)
        (known.open if known else self._early.setdefault(channel_id, set())).add(int(message_id))

    def finish(self, channel: Channel, message_id: str) -> None:
        """The message is stored, or is none that we store."""
        id_ = int(message_id)
        known = self._channels.get(channel.id)
        if known is None:
            # A channel that begins with this message.
            known = self._channels[channel.id] = HeardChannel(channel, id_ - 1)
            known.open |= self._early.pop(channel.id, set())
        known.channel = channel
        known.open.discard(id_)
        known.stored.add(id_)
        known.move()

    def has(self, channel_id: str, message_id: int) -> bool:
        """Whether the message has arrived by itself, or stands before the position."""
        known = self._channels.get(channel_id)
        return known is not None and (
            message_id <= known.position or message_id in known.open or message_id in known.stored
        )

    # --- what was missed --------------------------------------------------------------------------

    def position_of(self, channel_id: str) -> int | None:
        known = self._channels.get(channel_id)
        return None if known is None else known.position

    def known(self, channel_id: str) -> HeardChannel:
        return self._channels[channel_id]

    def channels(self) -> list[HeardChannel]:
        return list(self._channels.values())

    def begin_at(self, channel: Channel, position: int) -> None:
        """A channel that is new to us is heard from here on."""
        known = self._channels[channel.id] = HeardChannel(channel, position)
        known.open |= self._early.pop(channel.id, set())

    def hold(self, channel_id: str) -> None:
        """Keep the position, and whoever asks `released`, until `release`."""
        known = self._channels[channel_id]
        if known.held is None:
            known.held = asyncio.Event()

    def release(self, channel_id: str) -> None:
        known = self._channels.get(channel_id)
        if known is not None and known.held is not None:
            known.held.set()
            known.held = None
            known.move()

    async def released(self, channel_id: str, timeout_seconds: float) -> None:
        """Until what was missed in the channel before is stored, so that order is kept; not for ever."""
        known = self._channels.get(channel_id)
        if known is None or known.held is None:
            return
        try:
            async with asyncio.timeout(timeout_seconds):
                await known.held.wait()
        except TimeoutError:
            log.warning("discord_gap_not_waited_for", channel=channel_id)

    def forget_workspace(self, workspace: str) -> None:
        """The bot has left it."""
        self._channels = {
            id_: known for id_, known in self._channels.items() if known.channel.workspace != workspace
        }

    # --- written down -----------------------------------------------------------------------------

    async def keep_noting(self, still_owner: Callable[[], Awaitable[bool]]) -> None:
        """Write down every so often how far everything has been heard, as long as the shard is ours."""
        while True:
            await asyncio.sleep(self._note_every_seconds)
            await self.note(still_owner)

    async def note(self, still_owner: Callable[[], Awaitable[bool]]) -> None:
        """Write down what is new since the last time. What fails comes with the next time."""
        heard_until = self.last_frame_at if self.is_whole else None
        moved = {
            known.channel: known.position for known in self._channels.values() if known.position > known.noted
        }
        try:
            if not await still_owner():
                return
            await self._positions.advance({channel: str(id_) for channel, id_ in moved.items()})
            if heard_until is not None:
                await self._positions.note_heard(PLATFORM, self._name, heard_until)
        except StorageError as error:
            log.warning("discord_positions_not_noted", error=type(error).__name__)
            return
        for channel, id_ in moved.items():
            if (known := self._channels.get(channel.id)) is not None:
                known.noted = id_
        if heard_until is not None:
            self.heard_until = heard_until

    def note_frame(self) -> None:
        self.last_frame_at = datetime.now(UTC)

    def note_connection(self) -> None:
        """A new connection: what it says first does not yet show that nothing was missed."""
        self._was_whole, self.is_whole = self._was_whole or self.is_whole, False

    def note_session(self, *, resumed: bool) -> None:
        """A session that is resumed has sent what came between; a new one has not."""
        self.is_whole, self._was_whole = self._was_whole and resumed, False
