"""What the adapter contract needs of a platform: a loopback server, an adapter on it, and people who use it.

Each platform has tests/platforms/<platform>/harness.py with `open_harness()`, an async context manager
that yields an AdapterHarness whose adapter is started with `harness.take` as its sink.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal, Protocol, TypeVar, cast

from bot.adapter import Adapter
from core.messages import Event

PLATFORMS = Path(__file__).parents[1] / "platforms"
E = TypeVar("E", bound=Event)


@dataclass(frozen=True)
class Shown:
    """One message of the bot as people see it."""

    id: str
    text: str


class EventLog:
    """An in-memory sink: everything that arrived, in order."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._arrived = asyncio.Event()

    async def take(self, event: Event) -> bool:
        self.events.append(event)
        self._arrived.set()
        return True

    async def next(
        self, kind: type[E], matching: Callable[[E], bool] = lambda _: True, timeout_seconds: float = 10.0
    ) -> E:
        """The first event of this kind that matches, waited for. Raises TimeoutError."""
        (found, *_) = await self.several(1, (kind,), matching, timeout_seconds)
        return found

    async def several(
        self,
        count: int,
        kinds: tuple[type[E], ...],
        matching: Callable[[E], bool] = lambda _: True,
        timeout_seconds: float = 10.0,
    ) -> list[E]:
        """All events of these kinds that match, once there are `count` of them. Raises TimeoutError."""
        async with asyncio.timeout(timeout_seconds):
            while True:
                found: list[E] = [e for e in self.events if isinstance(e, kinds) and matching(e)]
                if len(found) >= count:
                    return found
                self._arrived.clear()
                await self._arrived.wait()


class AdapterHarness(Protocol):
    """One platform with one bot. People are called by name; `author_id` is the platform's id of a name."""

    adapter: Adapter
    sender: Adapter
    """A second adapter that is only opened, as in a process that only works."""
    log: EventLog
    limit: int
    """The longest message, in characters of `Shown.text`."""

    async def ask(self, author: str, text: str, *, bot: bool = False) -> str:
        """Mention the bot in a channel; returns the platform's message id."""
        ...

    async def ask_directly(self, author: str, text: str) -> str:
        """Write to the bot alone."""
        ...

    async def follow_up(self, author: str, text: str, question: str, answer: str) -> str:
        """Ask on in the thread of a question that the bot answered, the way people there do it."""
        ...

    async def chat(self, author: str, text: str) -> str:
        """Say something in the channel that is not for the bot."""
        ...

    async def edit(self, message_id: str, text: str) -> None: ...

    async def delete(self, message_id: str) -> None: ...

    async def react(self, author: str, message_id: str, emoji: Literal["👍", "👎"]) -> None: ...

    async def unreact(self, author: str, message_id: str, emoji: Literal["👍", "👎"]) -> None: ...

    async def click(self, author: str, message_id: str, mark: Literal["up", "down"]) -> None:
        """Click a feedback button under the bot's message."""
        ...

    def author_id(self, name: str) -> str: ...

    def shown(self) -> list[Shown]:
        """Everything that the bot's messages show, in every place, oldest first."""
        ...

    def notified(self) -> list[str]:
        """Whoever was pinged by a message of the bot."""
        ...

    def lose_next_reply(self) -> None:
        """The next post is accepted, but its reply never arrives."""
        ...

    def forbid_posting(self) -> None:
        """From now on the bot may not post in the channel."""
        ...

    def refuse_token(self) -> None:
        """From now on the bot's token is not valid."""
        ...


OpenHarness = Callable[[], AbstractAsyncContextManager[AdapterHarness]]


def platforms_with_harness() -> list[str]:
    return sorted(path.parent.name for path in PLATFORMS.glob("*/harness.py"))


def harness_of(platform: str) -> OpenHarness:
    module = import_module(f"tests.platforms.{platform}.harness")
    return cast(OpenHarness, module.open_harness)
