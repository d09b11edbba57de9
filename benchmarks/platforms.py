"""The loopback platforms as the benchmark sees them: ask, and know when the final answer stands there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol

from bot.testing.discord_server import DiscordServer
from bot.testing.slack import SlackServer

ANSWER_SECONDS = 60.0


class Platform(Protocol):
    """One loopback platform."""

    name: str

    async def ask(self, text: str, thread: str | None = None) -> str:
        """Put a question; returns its id, which also names the thread that it begins."""
        ...

    async def final(self, questions: Sequence[str], thread: str | None = None) -> float:
        """The time (time.monotonic) when all of the questions have their whole answer."""
        ...


class Slack:
    """Questions by mention; an answer is final once it is no stream any more."""

    name = "slack"

    def __init__(self, server: SlackServer) -> None:
        self._server = server
        self._expected: dict[str, int] = {}

    async def ask(self, text: str, thread: str | None = None) -> str:
        question = await self._server.mention("U1", "C1", text, thread)
        root = thread or question
        self._expected[root] = self._expected.get(root, 0) + 1
        return question

    async def final(self, questions: Sequence[str], thread: str | None = None) -> float:
        roots = {thread} if thread else set(questions)
        bot = self._server.workspace.bot_user_id

        def all_there() -> bool:
            counts = dict.fromkeys(roots, 0)
            for message in self._server.channel("C1").messages.values():
                if message.user == bot and message.thread_ts in roots and not message.is_streaming:
                    counts[str(message.thread_ts)] += 1
            return all(count >= self._expected[str(root)] for root, count in counts.items())

        await self._server.until(all_there, ANSWER_SECONDS)
        return time.monotonic()

    def forget(self) -> None:
        """Start the next measurement with an empty channel."""
        self._server.channel("C1").messages.clear()


class Discord:
    """Questions by mention; `marks_final` says that whole answers carry buttons and earlier forms do not."""

    name = "discord"

    def __init__(self, server: DiscordServer, *, marks_final: bool) -> None:
        self._server = server
        self._marks_final = marks_final

    async def ask(self, text: str, thread: str | None = None) -> str:
        await asyncio.sleep(0)
        return self._server.mention("ada", text)

    async def final(self, questions: Sequence[str], thread: str | None = None) -> float:
        wanted = set(questions)

        def all_there() -> bool:
            done = {
                (message.get("message_reference") or {}).get("message_id")
                for message in self._server.visible(self._server.general)
                if message.get("components") or not self._marks_final
            }
            return wanted <= done

        await self._server.wait_until(all_there, ANSWER_SECONDS)
        return time.monotonic()
