"""The first message of a reply while it is being written: posted once, then edited as often as Discord bears."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from bot.adapter import AdapterError, OnPosted, Rendered
from bot.discord.render import render_partial

FIRST_WAIT_SECONDS = 0.05
"""An answer that is whole within this time is posted once and never edited."""
EDIT_INTERVAL_SECONDS = 1.2

Post = Callable[[Rendered], Awaitable[str]]
Edit = Callable[[Rendered, str], Awaitable[None]]

log = structlog.get_logger(__name__)


class DiscordStream:
    """A ReplyStream. A task of its own posts and edits, so that whoever writes may be cancelled freely; it
    ends when there is nothing new to show, and the next write begins another."""

    def __init__(self, post: Post, edit: Edit, on_posted: OnPosted) -> None:
        self._post = post
        self._edit = edit
        self._on_posted = on_posted
        self._text = ""
        self._shown: Rendered | None = None
        self._message_id: str | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    async def write(self, text_so_far: str) -> None:
        if self._task is not None and self._task.done():
            self._task.result()
            self._task = None
        if not text_so_far.strip():
            return
        self._text = text_so_far
        if self._task is None:
            self._task = asyncio.create_task(self._show())

    async def close(self, rendered: Rendered) -> str:
        self._closing.set()
        if self._task is not None:
            # Not cancelled: a post under way must be known of, or it would be made twice.
            await asyncio.shield(self._task)
        if self._message_id is None:
            return await self._post(rendered)
        await self._edit(rendered, self._message_id)
        return self._message_id

    async def _show(self) -> None:
        if self._message_id is None:
            if await self._closes_within(FIRST_WAIT_SECONDS):
                return
            first = render_partial(self._text)
            if not str(first.body["content"]).strip():
                return  # nothing in it that people could see
            self._shown = first
            self._message_id = await self._post(self._shown)
            await self._on_posted(self._message_id)
        else:
            await self._try_to_edit(self._message_id)
        while not await self._closes_within(EDIT_INTERVAL_SECONDS):
            if not await self._try_to_edit(self._message_id):
                return

    async def _try_to_edit(self, message_id: str) -> bool:
        """False: what is shown is what there is."""
        newest = render_partial(self._text)
        if newest == self._shown:
            return False
        self._shown = newest
        try:
            await self._edit(newest, message_id)
        except AdapterError as error:
            # The next edit, at the latest the final one, shows it all the same.
            log.info("stream_edit_skipped", error=type(error).__name__)
        return True

    async def _closes_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return False
        return True
