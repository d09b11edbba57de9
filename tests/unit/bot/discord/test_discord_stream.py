"""The stream: one post, few edits, nothing lost when its writer is cancelled."""

from __future__ import annotations

import asyncio

import pytest

from bot.adapter import ForbiddenError, Rendered, UnavailableError
from bot.discord.render import render_notice
from bot.discord.stream import EDIT_INTERVAL_SECONDS, FIRST_WAIT_SECONDS, DiscordStream


class Shown:
    """A platform of one message: what it showed, in order."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.times: list[float] = []
        self.posted = asyncio.Event()
        self.edited = asyncio.Event()
        self.fail_post: Exception | None = None
        self.fail_edits = 0
        self.hold: asyncio.Event | None = None

    async def post(self, rendered: Rendered) -> str:
        if self.hold is not None:
            await self.hold.wait()
        if self.fail_post is not None:
            raise self.fail_post
        self._note(rendered)
        return "m1"

    async def edit(self, rendered: Rendered, message_id: str) -> None:
        assert message_id == "m1"
        if self.fail_edits:
            self.fail_edits -= 1
            raise UnavailableError("lost", maybe_accepted=False)
        self._note(rendered)
        self.edited.set()

    async def note_posted(self, message_id: str) -> None:
        self.posted.set()

    def stream(self) -> DiscordStream:
        return DiscordStream(self.post, self.edit, self.note_posted)

    def _note(self, rendered: Rendered) -> None:
        self.texts.append(str(rendered.body["content"]))
        self.times.append(asyncio.get_running_loop().time())


async def test_a_whole_answer_is_posted_once() -> None:
    shown = Shown()
    stream = shown.stream()
    await stream.write("Whole")
    assert await stream.close(render_notice("Whole.")) == "m1"
    assert shown.texts == ["Whole."]


async def test_without_a_word_written_the_answer_is_posted_by_the_end() -> None:
    shown = Shown()
    stream = shown.stream()
    await stream.write("  ")
    await stream.close(render_notice("All of it."))
    assert shown.texts == ["All of it."]


async def test_the_first_text_shows_early_and_edits_keep_their_distance() -> None:
    shown = Shown()
    stream = shown.stream()
    for n in range(1, 30):
        await stream.write("word " * n)
        await asyncio.sleep(0.05)
    await stream.close(render_notice("The end."))
    assert shown.texts[0].startswith("word ")
    gaps = [later - earlier for earlier, later in zip(shown.times[:-2], shown.times[1:-1], strict=True)]
    assert all(gap >= EDIT_INTERVAL_SECONDS - 0.01 for gap in gaps)
    assert shown.texts[-1] == "The end."


async def test_a_pause_in_the_writing_ends_nothing() -> None:
    shown = Shown()
    stream = shown.stream()
    await stream.write("One")
    await asyncio.wait_for(shown.posted.wait(), 5)
    await asyncio.sleep(EDIT_INTERVAL_SECONDS + 0.1)
    await stream.write("One two")
    await asyncio.wait_for(shown.edited.wait(), 5)
    await stream.close(render_notice("One two three"))
    assert shown.texts == ["One", "One two", "One two three"]


async def test_closing_waits_for_a_post_under_way() -> None:
    shown = Shown()
    shown.hold = asyncio.Event()
    stream = shown.stream()
    await stream.write("One")
    await asyncio.sleep(FIRST_WAIT_SECONDS + 0.05)
    closing = asyncio.create_task(stream.close(render_notice("One two")))
    await asyncio.sleep(0.05)
    shown.hold.set()
    assert await asyncio.wait_for(closing, 5) == "m1"
    assert shown.texts == ["One", "One two"]


async def test_a_writer_that_is_cancelled_interrupts_no_post() -> None:
    shown = Shown()
    stream = shown.stream()

    async def write_for_ever() -> None:
        while True:
            await stream.write("One")
            await asyncio.sleep(0.01)

    writer = asyncio.create_task(write_for_ever())
    await asyncio.wait_for(shown.posted.wait(), 5)
    writer.cancel()
    await stream.close(render_notice("One two"))
    assert shown.texts == ["One", "One two"]


async def test_an_edit_that_fails_is_made_good_by_the_last_one() -> None:
    shown = Shown()
    shown.fail_edits = 1
    stream = shown.stream()
    await stream.write("One")
    await asyncio.wait_for(shown.posted.wait(), 5)
    await stream.write("One two")
    await asyncio.sleep(EDIT_INTERVAL_SECONDS + 0.1)
    await stream.close(render_notice("One two three"))
    assert shown.texts == ["One", "One two three"]


async def test_a_post_that_fails_is_told_to_whoever_writes_or_closes() -> None:
    shown = Shown()
    shown.fail_post = ForbiddenError("no")
    stream = shown.stream()
    await stream.write("One")
    await asyncio.sleep(FIRST_WAIT_SECONDS + 0.05)
    with pytest.raises(ForbiddenError):
        await stream.write("One two")
    with pytest.raises(ForbiddenError):
        await stream.close(render_notice("One two"))
