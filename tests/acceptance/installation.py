"""Threadlore as its operator runs it: processes with nothing in their environment but settings."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import text

from bot.testing.discord_server import DiscordServer
from core.answers import Turn
from core.storage.database import Database
from core.storage.turns import PostgresTurnStore
from core.testing.langfuse_server import LangfuseServer
from core.testing.model_server import ModelServer
from tests.processes.starting import Process, start_threadlore

T = TypeVar("T")

READY_SECONDS = 90.0
PATIENCE_SECONDS = 45.0
"""How long a condition may take to hold: the machine may be busy with other things."""

HANDBOOK = {
    "parental-leave.md": "# Parental leave\n\nEvery parent can take parental leave, and it lasts 26 weeks.",
    "sabbatical.md": "# Sabbatical\n\nA sabbatical lasts eight weeks, and everybody can take one after five years.",
    "trains.md": "# Trains\n\nTrains are booked with the travel desk, extension 4711, two days ahead.",
    "hotels.md": "# Hotels\n\nHotels are paid with the company card, up to 140 euros a night.",
    "badges.md": "# Badges\n\nA lost badge is replaced at the front desk for 12 euros.",
}


@dataclass
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Serving:
    """One `serve` process. `address` is where its HTTP listens, empty for a worker."""

    process: Process
    output: str
    address: str
    log: Path

    async def kill(self) -> None:
        """SIGKILL: nothing of it runs on for even a moment."""
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> None:
        """SIGTERM, as an operator or an orchestrator stops it; it must end well."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(self.process.wait(), PATIENCE_SECONDS)
        assert self.process.returncode == 0, self.tail()

    def tail(self) -> str:
        """The end of its log, for a test that fails."""
        return self.log.read_text()[-4000:]

    def errors(self) -> list[str]:
        """The events that it logged as errors."""
        return [line["event"] for line in self._lines() if line.get("level") in ("error", "critical")]

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log lines of this event."""
        return [line for line in self._lines() if line.get("event") == event]

    def _lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


@dataclass
class Installation:
    """A folder with documents, a database, and settings. `home` may be shared: it holds the embedder only.

    `is_cold`: its processes start on the true command line; others are forked from a warm parent.
    """

    folder: Path
    database_url: str
    home: Path
    settings: dict[str, str] = field(default_factory=dict)
    is_cold: bool = False
    _servings: list[Serving] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "handbook").mkdir(parents=True, exist_ok=True)
        for name, content in HANDBOOK.items():
            (self.folder / "handbook" / name).write_text(content)

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        own = {
            "DATABASE_URL": self.database_url,
            "THREADLORE_HOME": str(self.home),
            "KNOWLEDGE": str(self.folder / "handbook"),
            "HTTP_PORT": "0",
            # The same few people ask more than people do.
            "QUESTIONS_PER_PERSON_PER_MINUTE": "0",
            "QUESTIONS_PER_PERSON_PER_DAY": "0",
            "LOG_FORMAT": "json",
        }
        return kept | own | self.settings | dict(settings)

    async def run(self, *arguments: str, **settings: str) -> Done:
        """A command from its start to its end."""
        process = await self._start(arguments, settings, asyncio.subprocess.PIPE)
        try:
            out, err = await asyncio.wait_for(process.communicate(), READY_SECONDS)
        finally:
            if process.returncode is None:
                process.kill()
        return Done(process.returncode or 0, out.decode(), err.decode())

    async def start(self, *, role: str = "all", **settings: str) -> Serving:
        """`serve`, ready."""
        log = self.folder / f"serve-{len(list(self.folder.glob('serve-*.log'))) + 1}.log"
        with log.open("wb") as stderr:
            process = await self._start(("serve", "--role", role), settings, stderr.fileno())
        try:
            output = await asyncio.wait_for(_read_until_ready(process), READY_SECONDS)
        except TimeoutError:
            process.kill()
            raise AssertionError(f"not ready in time: {log.read_text()[-4000:]}") from None
        serving = Serving(process, output, _address_in(output), log)
        self._servings.append(serving)
        if "is ready" not in output:
            raise AssertionError(f"ended before it was ready: {serving.tail()}")
        return serving

    async def aclose(self) -> None:
        """Leave nothing running, whatever became of the test."""
        for serving in self._servings:
            if serving.process.returncode is None:
                await serving.kill()

    @asynccontextmanager
    async def serving(self, **settings: str) -> AsyncIterator[Serving]:
        """`serve`, ready; asked to stop at the end, which must go well, as must all that it did."""
        serving = await self.start(**settings)
        try:
            yield serving
        finally:
            await serving.stop()
        assert not serving.errors(), (serving.errors(), serving.tail())

    async def _start(self, arguments: tuple[str, ...], settings: Mapping[str, str], stderr: int) -> Process:
        return await start_threadlore(
            arguments,
            environment=self.environment(settings),
            folder=self.folder,
            stderr=stderr,
            is_cold=self.is_cold,
        )


async def _read_until_ready(process: Process) -> str:
    """What it prints up to the last line that it prints when it is ready, or up to its end."""
    assert process.stdout is not None
    output = ""
    while line := (await process.stdout.readline()).decode():
        output += line
        if line.strip().startswith("Embeddings"):
            break
    return output


def _address_in(output: str) -> str:
    for line in output.splitlines():
        if line.strip().startswith("Playground"):
            return line.split()[-1].rstrip("/")
    return ""


async def eventually(look: Callable[[], Awaitable[T]], seconds: float = PATIENCE_SECONDS) -> T:
    """What `look` gives as soon as that is something true."""
    try:
        async with asyncio.timeout(seconds):
            while not (found := await look()):  # noqa: ASYNC110 - another process tells nobody when it changes
                await asyncio.sleep(0.02)
            return found
    except TimeoutError:
        raise AssertionError(f"did not come about within {seconds:g} s") from None


async def until(condition: Callable[[], object]) -> None:
    """Wait until something on our side holds."""

    async def look() -> object:
        return condition()

    await eventually(look)


async def turns_about(database: Database, question_id: str) -> list[Turn]:
    """The recorded turns of a question."""
    statement = text("select id from turns where question_message_id = :question")
    rows = await database.run(statement, {"question": question_id})
    turns = [await PostgresTurnStore(database).get(row.id) for row in rows]
    return [turn for turn in turns if turn is not None]


async def turn_about(database: Database, question_id: str) -> Turn:
    """The recorded turn of a question, as soon as there is one."""
    (turn,) = await eventually(lambda: turns_about(database, question_id))
    return turn


async def inbox_states(database: Database) -> list[tuple[str, str | None]]:
    """(state, how it ended) of every item of the inbox, oldest first."""
    rows = await database.run(text("select state, ended_as from inbox order by id"))
    return [(row.state, row.ended_as) for row in rows]


async def until_all_is_done(database: Database) -> None:
    """Wait until nothing is queued or under way."""

    async def look() -> bool:
        return all(state == "done" for state, _ in await inbox_states(database))

    await eventually(look)


def settings_for_model(server: ModelServer) -> dict[str, str]:
    """Answers come from the loopback model."""
    return {
        "CHAT_MODEL": "openai:loopback",
        "OPENAI_API_KEY": "loopback",
        "OPENAI_BASE_URL": server.openai_url,
    }


def settings_for_discord(server: DiscordServer) -> dict[str, str]:
    """Discord is the loopback server."""
    return {
        "DISCORD_TOKEN": server.token,
        "DISCORD_API_URL": server.api_url,
        "DISCORD_GATEWAY_URL": server.gateway_url,
    }


def settings_for_langfuse(server: LangfuseServer) -> dict[str, str]:
    """Traces and scores go to the loopback Langfuse."""
    return {
        "LANGFUSE_PUBLIC_KEY": "pk-lf-loopback",
        "LANGFUSE_SECRET_KEY": "sk-lf-loopback",
        "LANGFUSE_BASE_URL": server.url,
    }
