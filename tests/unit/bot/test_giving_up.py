"""Questions that cannot be answered: whoever asked is told, and operators can have them tried again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from bot.adapter import Capabilities, ForbiddenError, RateLimitedError, UnauthorizedError
from bot.testing.adapter import InMemoryAdapter
from core import notices
from core.messages import Message, MessageEdited, MessagePosted
from core.testing.making import make_edited, make_effect, make_posted
from tests.unit.bot.ground import ANSWER, Ground, ask_message


async def crash_three_times(ground: Ground) -> None:
    """Three workers take the item up and are never heard of again."""
    for _ in range(3):
        assert await ground.inbox.claim(platforms=["memory"], limit=1, lease_seconds=0.0)
        await ground.inbox.sweep()


async def test_whoever_asked_what_crashes_its_workers_is_told_and_others_are_answered() -> None:
    ground = Ground()
    await ground.inbox.put(make_posted(ask_message(thread="poison")))
    await crash_three_times(ground)
    async with ground.running():
        await ground.until(lambda: ground.inbox.items[0].state == "parked")
        assert ground.adapter.texts() == [notices.BROKEN]
        assert (await ground.ask()).outcome == "answered"
    assert ground.model.requests[0].question == ask_message().text, "only the other one was asked"
    assert len(ground.model.requests) == 1


@pytest.mark.parametrize("streams", [True, False])
async def test_a_question_that_an_operator_queues_again_is_answered_in_place_of_the_notice(
    streams: bool,
) -> None:
    ground = Ground()
    message = ask_message()
    await ground.inbox.put(make_posted(message))
    if streams:  # a part of the answer was visible when the worker died
        (claim,) = await ground.inbox.claim(platforms=["memory"], limit=1, lease_seconds=60)
        effect = make_effect(message, state="sending")
        await ground.outbox.plan(claim, [effect])
        await ground.inbox.release([claim])
    await crash_three_times(ground)
    async with ground.running():
        await ground.until(lambda: ground.inbox.items[0].state == "parked")
        await ground.inbox.requeue([1])
        await ground.until_done()
    assert ground.ends() == ["answered"]
    assert ground.adapter.texts() == [ANSWER]


async def test_a_question_that_fails_every_time_ends_with_a_notice() -> None:
    ground = Ground()
    await ground.inbox.put(make_posted(ask_message()))
    for _ in range(7):
        (claim,) = await ground.inbox.claim(platforms=["memory"], limit=1, lease_seconds=60)
        await ground.inbox.retry(claim, after_seconds=0, reason="busy")
    ground.adapter.fail_next("post", RateLimitedError("busy", 3600))
    async with ground.running():
        await ground.until_done()
    assert ground.ends() == ["failed"]
    assert ground.adapter.texts() == [notices.BROKEN]


@pytest.mark.parametrize("make", [make_posted, make_edited])
async def test_a_notice_goes_where_the_answer_would_have_gone(
    make: Callable[[Message], MessagePosted | MessageEdited],
) -> None:
    ground = Ground()
    await ground.inbox.put(make(ask_message()).model_copy(update={"reply_handle": "by this handle"}))
    await crash_three_times(ground)
    async with ground.running():
        await ground.until(lambda: ground.inbox.items[0].state == "parked")
    assert [message.reply_handle for message in ground.adapter.visible.values()] == ["by this handle"]


async def test_a_question_that_the_platform_lets_nobody_answer_is_counted_as_silent() -> None:
    ground = Ground(adapter=InMemoryAdapter("memory", Capabilities()))
    ground.adapter.fail_next("post", ForbiddenError("no permission"))
    async with ground.running():
        await ground.ask()
    name = "threadlore_silent_endings_total"
    assert ground.metrics.registry.get_sample_value(name, {"platform": "memory"}) == 1


@pytest.mark.parametrize("why", ["too old", "token refused"])
async def test_no_notice_is_posted_where_no_answer_would_be(why: str) -> None:
    ground = Ground()
    message = ask_message()
    if why == "too old":
        message = message.model_copy(update={"at": datetime.now(UTC) - timedelta(hours=2)})
    else:
        ground.refusals.note(message.thread.channel, "", UnauthorizedError("token revoked"))
    await ground.inbox.put(make_posted(message))
    await crash_three_times(ground)
    async with ground.running():
        await ground.until(lambda: ground.inbox.items[0].state == "parked")
    assert "post" not in ground.adapter.calls
    silent = ground.metrics.registry.get_sample_value(
        "threadlore_silent_endings_total", {"platform": "memory"}
    )
    assert silent == (why == "token refused")
