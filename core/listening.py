"""What has to outlive a process that listens to a platform: how far every channel has been heard.

The ports of core.ports that ingress needs; each has a real implementation in core/storage and a double in
core/testing, and both pass the same contract tests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from core.messages import Channel, Thread

_MESSAGE_ID = re.compile(r"\d{1,40}(?:\.\d{1,20})?", re.ASCII)


def position_of(message_id: str) -> Decimal:
    """Where a message stands in its channel: platforms whose ids are decimal numbers number in order of time.

    Right for ids that are whole numbers of any length and for ids that are seconds with a fraction.
    Raises ValueError for any other id.
    """
    if _MESSAGE_ID.fullmatch(message_id) is None:
        raise ValueError(f"{message_id[:50]!r} is not a decimal number")
    return Decimal(message_id)


def newest_by_place(newest: Mapping[Channel, str]) -> list[tuple[Channel, str]]:
    """One entry for each channel, however often it is named with differing facts; in a fixed order, so that
    two writers never wait for each other. Raises ValueError."""
    ordered = sorted(newest.items(), key=lambda item: position_of(item[1]))
    by_place = {(c.platform, c.workspace, c.id): (c, message_id) for c, message_id in ordered}
    return [by_place[place] for place in sorted(by_place)]


class ChannelPositions(Protocol):
    """How far we have heard: the newest message of every channel, and the moment up to which each workspace
    was heard without a gap. Never part of an acknowledgement: writers collect, and write now and then."""

    async def advance(self, newest: Mapping[Channel, str]) -> None:
        """Note the newest message id heard in each channel, in the order of `position_of`. A position never
        goes back. Raises ValueError, and stores nothing, when an id has no position."""
        ...

    async def of_platform(self, platform: str) -> dict[Channel, str]:
        """The newest message id heard in every channel of the platform, by channel as it was noted last."""
        ...

    async def note_heard(self, platform: str, workspace: str, at: datetime) -> None:
        """Everything said in the workspace until `at` has reached us. Never goes back."""
        ...

    async def heard_until(self, platform: str, workspace: str) -> datetime | None:
        """The latest moment noted; None: never heard."""
        ...


class RecentThreads(Protocol):
    """Where we answered lately: the stores of turns know. A follow-up there needs no mention."""

    async def recent_threads(self, platform: str, *, limit: int) -> list[Thread]:
        """The threads of the newest `limit` turns on the platform, the latest first, each once."""
        ...
