"""Many answers for one channel that Slack holds back: each is posted once, in its thread's order, in time."""

from __future__ import annotations

import asyncio

import pytest

from bot.adapter import RateLimitedError
from bot.pacing import SendBudget
from bot.slack.adapter import SlackAdapter
from bot.testing.slack import Fault, SlackServer
from core.testing.models import FakeChatModel
from tests.platforms.slack.harness import settings_for
from tests.platforms.slack.making import TURN, Posted, make_answer, make_delivery, make_question
from tests.unit.bot.ground import Ground

TURNS = 50
THREADS = 25
SLACK_WANTS_SECONDS = 0.05
PATIENCE_SECONDS = 1.0


def chat_calls(slack: SlackServer, channel: str) -> list[float]:
    return [c.at for c in slack.calls if c.method.startswith("chat.") and c.body.get("channel") == channel]


async def test_fifty_answers_that_are_due_in_one_channel_are_posted_once_each_in_their_threads_order(
    slack: SlackServer,
) -> None:
    """L4, in scaled time."""
    slack.api.seconds_between_messages = SLACK_WANTS_SECONDS
    budget = SendBudget(paced_seconds=SLACK_WANTS_SECONDS * 1.3, paced_for_seconds=5)
    adapter = SlackAdapter(settings_for(slack), budget=budget)
    ground = Ground(
        model=FakeChatModel(reply=lambda request: f"{request.question} Badges: handed out, front desk [1]."),
        others={"slack": adapter},
        concurrency=TURNS,
    )
    try:
        async with ground.running():
            roots = [await ask(slack, f"Question {n}a?") for n in range(THREADS)]
            for n, root in enumerate(roots):
                await ask(slack, f"Question {n}b?", root)
            slack.faults.order("chat.stopStream", Fault(retry_after_seconds=PATIENCE_SECONDS))
            await ground.until(lambda: ground.ends().count("answered") == TURNS, timeout_seconds=90)
    finally:
        await adapter.aclose()
    for n, root in enumerate(roots):
        said = [message.markdown.split(" Badges")[0] for message in slack.replies("C1", root)]
        assert said == [f"Question {n}a?", f"Question {n}b?"]


async def ask(slack: SlackServer, text: str, thread: str | None = None) -> str:
    return await slack.post_message("U1", "C1", f"<@{slack.workspace.bot_user_id}> {text}", thread)


async def test_nothing_is_sent_to_a_channel_before_slacks_patience_is_over(slack: SlackServer) -> None:
    adapter = SlackAdapter(settings_for(slack), budget=SendBudget(paced_seconds=0.05))
    try:
        first, second = await make_question(slack), await make_question(slack)
        slack.faults.order("chat.postMessage", Fault(retry_after_seconds=PATIENCE_SECONDS))
        with pytest.raises(RateLimitedError):
            await adapter.post(make_delivery(first, adapter.render_notice("One")))
        refused_at = chat_calls(slack, "C1")[-1]
        stream = adapter.open_stream(make_delivery(second), Posted())
        await stream.write("It is being written")
        waiting = asyncio.create_task(adapter.post(make_delivery(first, adapter.render_notice("One"))))
        elsewhere = await make_question(slack, channel="C2")
        await adapter.post(make_delivery(elsewhere, adapter.render_notice("Another channel need not wait")))
        await stream.close(*adapter.render_answer(make_answer("It is written."), TURN))
        await waiting
        later = [at for at in chat_calls(slack, "C1") if at > refused_at]
        assert len(later) == 2
        assert min(later) >= refused_at + PATIENCE_SECONDS
        assert chat_calls(slack, "C2")[0] < refused_at + PATIENCE_SECONDS
    finally:
        await adapter.aclose()
