"""`ask` and `chat`."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

from bot.commands.running import (
    FAILED,
    WRONG_USAGE,
    CommandFailedError,
    run_command,
    tell,
    write_json,
    write_line,
)

if TYPE_CHECKING:
    from bot.asking import Answered
    from bot.console.thread import ConsoleThread
    from core.settings import CoreSettings

DRAIN_SECONDS = 10.0
QUEUE_SECONDS = 30.0
"""How long a question may wait for its turn, on top of the time that its answer may take."""
HELP = """Ask a question, or:
  +            the last answer helped          - [why]      it did not
  /new         begin a new thread              /quit        leave (so does Ctrl-D)"""


def ask(text: str, *, thread: str | None, as_json: bool) -> None:
    """Exits 1 when there is a notice instead of an answer; an honest abstention is an answer."""
    text = sys.stdin.read() if text == "-" else text
    if not text.strip():
        raise SystemExit(_wrong("the question is empty"))

    async def work(settings: CoreSettings) -> Answered:
        async with open_thread(settings, thread, one_question=True) as here:
            return await take_turn(here, text, as_json=as_json)

    if run_command(work).outcome in ("failed", "refused"):
        raise SystemExit(FAILED)


def chat(*, thread: str | None, as_json: bool) -> None:
    async def work(settings: CoreSettings) -> None:
        async with open_thread(settings, thread) as here:
            await talk(here, as_json=as_json)

    run_command(work)


@asynccontextmanager
async def open_thread(
    settings: CoreSettings, thread: str | None, *, one_question: bool = False
) -> AsyncIterator[ConsoleThread]:
    """A thread in the terminal, with a worker in this very process."""
    from bot.bootstrap import open_application
    from bot.commands.first_sync import sync_once
    from bot.console.adapter import CONSOLE_CHANNEL, ConsoleAdapter
    from bot.console.thread import ConsoleThread
    from core.messages import Thread

    adapter = ConsoleAdapter()
    thread = thread or uuid4().hex
    # A single question minds its own thread only; a chat also has ratings to work on, and new threads.
    only = Thread(channel=CONSOLE_CHANNEL, id=thread) if one_question else None
    async with open_application({"console": adapter}, settings=settings, only_thread=only) as app:
        await sync_once(app.library)
        await adapter.start(app.stores.inbox.put)
        app.dispatcher.start()
        try:
            yield ConsoleThread(
                adapter,
                outbox=app.stores.outbox,
                turns=app.stores.turns,
                feedback=app.stores.feedback,
                timeout_seconds=settings.turn_timeout_seconds + QUEUE_SECONDS,
                thread=thread,
            )
        finally:
            await app.dispatcher.stop(DRAIN_SECONDS)


async def take_turn(here: ConsoleThread, text: str, *, as_json: bool) -> Answered:
    """Ask and show; the answer goes to stdout in the form that its reader wants."""
    from bot.asking import Answered, NotAnsweredInTimeError
    from bot.console.render import render_json, render_plain, show_live

    steps = here.ask(text)
    try:
        if sys.stdout.isatty() and not as_json:
            from rich.console import Console

            return await show_live(steps, Console())
        async for step in steps:
            if isinstance(step, Answered):
                write_json(render_json(step)) if as_json else write_line(render_plain(step))
                sys.stdout.flush()
                return step
    except NotAnsweredInTimeError as error:
        raise CommandFailedError("no answer came in time", remedy="Please try again.") from error
    raise CommandFailedError("no answer came")


async def talk(here: ConsoleThread, *, as_json: bool) -> None:
    """Read lines until there are no more; each is a question, a rating or a word to us."""
    interactive = sys.stdin.isatty()
    if interactive:
        tell(HELP)
    while (line := await read_line("\n> " if interactive and sys.stdout.isatty() else "")) is not None:
        text = line.strip()
        if text in ("/quit", "/exit"):
            return
        if not text:
            continue
        if text == "/new":
            here.begin_anew()
            tell("A new thread.")
        elif text == "/help":
            tell(HELP)
        elif text == "+" or text == "-" or text.startswith("- "):
            await _rate(here, text)
        else:
            try:
                await take_turn(here, text, as_json=as_json)
            except CommandFailedError as error:
                tell(f"{error} {error.remedy}")


async def _rate(here: ConsoleThread, text: str) -> None:
    rating: Literal[1, -1] = 1 if text == "+" else -1
    if await here.rate(rating, text[1:].strip() or None):
        tell("Thank you.")
    else:
        tell("There is no answer to rate yet.")


async def read_line(prompt: str) -> str | None:
    """A line from the terminal, None at its end. Read in a thread that may be left behind, so that
    Ctrl-C ends the program at once."""
    loop = asyncio.get_running_loop()
    read: asyncio.Future[str | None] = loop.create_future()

    def settle(line: str | None) -> None:
        if not read.done():
            read.set_result(line)

    def wait_for_line() -> None:
        try:
            line: str | None = input(prompt)
        except (EOFError, KeyboardInterrupt):
            line = None
        with suppress(RuntimeError):  # the loop may be gone by now
            loop.call_soon_threadsafe(settle, line)

    if prompt:
        with suppress(ImportError):
            import readline  # noqa: F401 - gives `input` its history and editing
    threading.Thread(target=wait_for_line, daemon=True).start()
    return await read


def _wrong(problem: str) -> int:
    tell(f"threadlore: {problem}")
    return WRONG_USAGE
