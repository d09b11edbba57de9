"""What is not sent: too late, twice by guesswork, to who refuses us, or empty."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from bot.adapter import (
    AdapterError,
    Capabilities,
    Delivery,
    ForbiddenError,
    Rendered,
    ReplyTarget,
    ThreadClosedError,
    UnauthorizedError,
    UnavailableError,
    UndecidableError,
)
from bot.refusals import Refusals
from bot.testing.adapter import InMemoryAdapter
from core import notices
from core.answers import turn_id_for
from core.messages import Message
from core.testing.making import make_edited, make_effect, make_posted
from core.testing.models import FakeChatModel
from tests.unit.bot.ground import ANSWER, Ground, ask_message

AN_HOUR_AGO = datetime.now(UTC) - timedelta(minutes=61)


def old(message: Message) -> Message:
    return message.model_copy(update={"at": AN_HOUR_AGO})


def figure(ground: Ground, name: str, **labels: str) -> float:
    return ground.metrics.registry.get_sample_value(name, labels) or 0.0


# --- too late ------------------------------------------------------------------------------------


async def test_a_question_of_more_than_an_hour_ago_costs_nothing_and_is_not_answered() -> None:
    ground = Ground()
    async with ground.running():
        await ground.adapter.say(make_posted(old(ask_message())))
        await ground.until_done()
    assert ground.adapter.texts() == []
    assert ground.model.requests == []
    assert ground.adapter.statuses == []
    assert ground.ends() == ["expired"]
    assert figure(ground, "threadlore_events_ended_total", platform="memory", end="expired") == 1


async def test_an_old_answer_that_is_due_after_an_outage_is_not_posted_any_more() -> None:
    """The turn was recorded; its worker died before it posted, and the backup is of last night."""
    ground, message = Ground(adapter=InMemoryAdapter("memory", Capabilities())), old(ask_message())
    await ground.inbox.put(make_posted(message))
    (claim,) = await ground.inbox.claim(platforms=["memory"], limit=1, lease_seconds=30)
    await ground.outbox.plan(claim, [make_effect(message, state="sending")])
    await ground.inbox.release([claim])
    async with ground.running():
        await ground.until_done()
    assert ground.adapter.texts() == []
    assert ground.ends() == ["expired"]
    (effect,) = ground.outbox.effects.values()
    assert effect.state == "planned", "nothing of it is visible, and the record says so"


async def test_an_old_answer_that_was_half_shown_gets_an_end_in_place() -> None:
    ground, message = Ground(), old(ask_message())
    await ground.inbox.put(make_posted(message))
    (claim,) = await ground.inbox.claim(platforms=["memory"], limit=1, lease_seconds=30)
    effect = make_effect(message, state="sending", body={})
    await ground.outbox.plan(claim, [effect])
    await show_half(ground.adapter, message, effect.id)
    await ground.inbox.release([claim])
    async with ground.running():
        await ground.until_done()
    assert ground.adapter.texts() == [notices.TOO_LATE]
    assert ground.model.requests == []
    assert ground.ends() == ["expired"]


async def test_an_edit_of_an_old_question_is_answered_because_the_edit_is_new() -> None:
    ground, message = Ground(), ask_message()
    async with ground.running():
        await ground.ask(message)
        changed = old(message).model_copy(update={"text": "Where do I get a parking badge?"})
        await ground.adapter.say(make_edited(changed))
        await ground.until_done(2)
    assert ground.ends() == ["answered", "answered"]


async def show_half(adapter: InMemoryAdapter, message: Message, effect_id: UUID) -> None:
    target = ReplyTarget(thread=message.thread, question_message_id=message.id, asker=message.author)
    rendered = Rendered(body={"text": "Badges are"})
    await adapter.post(
        Delivery(effect_id=effect_id, turn_id=turn_id_for(message), part=0, target=target, rendered=rendered)
    )


# --- never by guesswork --------------------------------------------------------------------------


async def test_a_post_that_nobody_can_read_back_is_not_repeated() -> None:
    ground = Ground(adapter=InMemoryAdapter("memory", Capabilities()))
    ground.adapter.fail_next("post", UnavailableError("reset", maybe_accepted=True), accepted=True)
    ground.adapter.fail_next("find", UndecidableError("for one person's eyes"))
    async with ground.running():
        turn = await ground.ask()
    assert ground.adapter.texts() == [ANSWER]
    assert ground.adapter.calls.count("post") == 1
    (effect,) = await ground.outbox.of_turn(turn.id)
    assert effect.state == "ambiguous"
    assert ground.inbox.items[0].reason == "a part may or may not be visible"
    assert figure(ground, "threadlore_ambiguous_posts_total", platform="memory") >= 1


# --- those who refuse us -------------------------------------------------------------------------


async def test_a_channel_that_refuses_three_times_is_left_alone_and_others_are_served() -> None:
    ground = Ground(adapter=InMemoryAdapter("memory", Capabilities()))
    async with ground.running():
        for n in range(5):
            if n < 3:
                ground.adapter.fail_next("post", ForbiddenError("no"))
            await ground.adapter.say(make_posted(ask_message(thread=f"T{n}")))
            await ground.until_done(n + 1)
        calls = len(ground.model.requests)
        elsewhere = ask_message()
        channel = elsewhere.thread.channel.model_copy(update={"id": "C2"})
        thread = elsewhere.thread.model_copy(update={"channel": channel})
        await ground.ask(elsewhere.model_copy(update={"thread": thread}))
    assert ground.ends() == ["failed"] * 5 + ["answered"]
    assert calls == 3, "what cannot be posted is not thought about"
    assert ground.adapter.calls.count("post") == 4
    assert figure(ground, "threadlore_places_left_alone", platform="memory") == 1


async def test_a_refused_token_stops_all_sending_and_the_questions_wait() -> None:
    ground = Ground(adapter=InMemoryAdapter("memory", Capabilities(status=True)))
    ground.adapter.fail_next("post", UnauthorizedError("revoked"))
    async with ground.running():
        for n in range(3):
            await ground.adapter.say(make_posted(ask_message(thread=f"T{n}")))
            await ground.until(lambda: ground.inbox.items[-1].reason)
        assert ground.refusals.stopped("memory")
    assert ground.adapter.calls.count("post") == 1
    assert [item.state for item in ground.inbox.items] == ["queued"] * 3
    assert figure(ground, "threadlore_tokens_refused", platform="memory") == 1


@pytest.mark.parametrize("error", [ForbiddenError("no"), UnauthorizedError("no")])
def test_a_rest_ends_and_one_more_refusal_begins_the_next(error: AdapterError) -> None:
    ground, now = Ground(), [0.0]
    refusals = Refusals(type(ground.metrics)(), rest_seconds=60, clock=lambda: now[0])
    channel = ask_message().thread.channel

    def rests() -> bool:
        return refusals.rests(channel) or refusals.token_rests_seconds("memory", "") > 0

    for _ in range(3):
        refusals.note(channel, "", error)
    assert rests()
    now[0] = 61
    assert not rests()
    refusals.note(channel, "", error)
    assert rests()
    now[0] = 130
    refusals.note_success(channel, "")
    refusals.note(channel, "", ForbiddenError("once"))
    assert not rests()


async def test_threads_that_are_gone_do_not_close_their_channel() -> None:
    ground = Ground(adapter=InMemoryAdapter("memory", Capabilities()))
    for _ in range(4):
        ground.adapter.fail_next("post", ThreadClosedError("gone"))
    async with ground.running():
        for n in range(4):
            await ground.adapter.say(make_posted(ask_message(thread=f"T{n}")))
            await ground.until_done(n + 1)
        await ground.ask()
    assert ground.ends() == ["failed"] * 4 + ["answered"]
    assert ground.adapter.texts() == [ANSWER]


# --- empty ---------------------------------------------------------------------------------------


class SilentAdapter(InMemoryAdapter):
    """Makes no message at all of an answer, as a platform may of one that is all white space."""

    def render_answer(self, answer: object, turn_id: object) -> list[object]:  # type: ignore[override]
        return []


async def test_an_answer_of_which_nothing_can_be_shown_becomes_a_notice() -> None:
    ground = Ground(adapter=SilentAdapter("memory", Capabilities()))
    async with ground.running():
        turn = await ground.ask()
    assert ground.adapter.texts() == [turn.answer.text]


@pytest.mark.parametrize("text", ["", "   \n", "\u200b\u200b"])
async def test_an_empty_answer_of_the_model_is_never_posted(text: str) -> None:
    ground = Ground(model=FakeChatModel(reply=lambda request: text))
    async with ground.running():
        await ground.ask()
    (said,) = ground.adapter.texts()
    assert said.strip("\u200b \n")
