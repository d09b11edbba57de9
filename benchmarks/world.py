"""What the benchmarks of whole bots share: their settings, their documents, and when they are ready."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.processes import BotProcess
from bot.testing.discord_server import DiscordServer
from bot.testing.slack import SlackServer
from core.testing.model_server import ModelServer

DOCUMENTS = Path(__file__).parent.parent / "docs"


def environment_of(model: ModelServer, home: Path) -> dict[str, str]:
    """Settings of a bot that keeps its data in `home` and has the loopback model, without any platform."""
    return {
        "OPENAI_BASE_URL": model.openai_url,
        "OPENAI_API_KEY": "sk-loopback",
        "CHAT_MODEL": "openai:bench",
        "THREADLORE_HOME": str(home),
        "KNOWLEDGE": str(DOCUMENTS),
        "HTTP_PORT": "0",
        "QUESTIONS_PER_PERSON_PER_MINUTE": "0",
        "QUESTIONS_PER_PERSON_PER_DAY": "0",
        "LOG_FORMAT": "json",
    }


@asynccontextmanager
async def running(bot: BotProcess, ready: str | None = None) -> AsyncIterator[float]:
    """The bot at work; yields the seconds until it said that it is ready."""
    await bot.start()
    try:
        yield await bot.wait_for_line(ready) if ready else 0.0
    finally:
        await bot.stop()


async def until_connected(slack: SlackServer) -> None:
    await slack.until(lambda: slack.deliverer.links.open, 30.0)
    await asyncio.sleep(0.5)


async def until_ready(discord: DiscordServer) -> None:
    async with asyncio.timeout(30.0):
        while not discord.gateway.sessions:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)


async def take_documents_in(home: Path) -> None:
    """So that later starts find nothing new."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        "ingest",
        str(DOCUMENTS),
        env=os.environ | {"THREADLORE_HOME": str(home)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    if await process.wait() != 0:
        raise RuntimeError("the documents could not be taken in")


def say(what: str) -> None:
    print(f"… {what}", file=sys.stderr, flush=True)
