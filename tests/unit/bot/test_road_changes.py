"""What people change afterwards: questions edited or deleted, replies removed."""

from __future__ import annotations

from bot.adapter import (
    Capabilities,
    Delivery,
    Rendered,
    ReplyTarget,
)
from bot.testing.adapter import InMemoryAdapter
from core.answers import turn_id_for
from core.testing.making import (
    make_deleted,
    make_edited,
    make_effect,
    make_given,
    make_posted,
)
from core.testing.models import Act, FakeChatModel
from tests.unit.bot.ground import ANSWER, Ground, ask_message


async def test_an_edited_question_is_answered_anew_in_place() -> None:
    ground = Ground(
        model=FakeChatModel(reply=lambda request: f"{request.question} Badges: handed out, front desk [1].")
    )
    message = ask_message("Where do I get a badge?")
    changed = message.model_copy(update={"text": "Where do I get a parking badge?"})
    async with ground.running():
        await ground.ask(message)
        await ground.adapter.say(make_edited(changed))
        await ground.until_done(2)
        await ground.adapter.say(make_edited(changed))
        await ground.until_done(3)
    assert len(ground.adapter.visible) == 1
    assert ground.adapter.texts()[0].startswith("Where do I get a parking badge?")
    assert ground.ends() == ["answered", "answered", "ignored"]
    turn = await ground.turns.get(turn_id_for(message))
    assert turn is not None
    assert turn.question == changed.text


async def test_a_shorter_answer_to_an_edited_question_leaves_no_old_part_behind() -> None:
    long = "Badges are handed out at the front desk [1]. " * 20
    ground = Ground(
        adapter=InMemoryAdapter("memory", limit=300),
        model=FakeChatModel(long.strip(), reply=lambda request: ANSWER),
    )
    message = ask_message()
    async with ground.running():
        await ground.ask(message)
        assert len(ground.adapter.visible) > 1
        await ground.adapter.say(make_edited(message.model_copy(update={"text": "Badge?"})))
        await ground.until_done(2)
    assert ground.adapter.texts() == [ANSWER]


async def test_a_deleted_question_takes_its_answer_with_it() -> None:
    ground, message = Ground(), ask_message()
    async with ground.running():
        await ground.ask(message)
        await ground.adapter.say(make_deleted(message))
        await ground.until_done(2)
    assert ground.adapter.texts() == []
    assert await ground.turns.get(turn_id_for(message)) is None


async def test_an_answer_that_grows_shrinks_and_grows_again_is_whole_each_time() -> None:
    long = "Badges are handed out at the front desk [1]. " * 20
    ground = Ground(
        adapter=InMemoryAdapter("memory", limit=300), model=FakeChatModel(long.strip(), ANSWER, long.strip())
    )
    message = ask_message()
    async with ground.running():
        await ground.ask(message)
        for n, text in enumerate(("Badge?", "Badge, please?"), start=2):
            await ground.adapter.say(make_edited(message.model_copy(update={"text": text})))
            await ground.until_done(n)
    turn = await ground.turns.get(turn_id_for(message))
    assert turn is not None
    assert "".join(ground.adapter.texts()) == turn.answer.text
    assert len(ground.adapter.texts()) > 1


async def test_a_reply_that_somebody_removes_is_forgotten_and_no_edit_brings_it_back() -> None:
    ground, message = Ground(), ask_message()
    async with ground.running():
        turn = await ground.ask(message)
        await ground.until(lambda: ground.tracer.turns)
        del ground.adapter.visible["m1"]
        await ground.adapter.say(make_deleted(message.model_copy(update={"id": "m1"})))
        await ground.until_done(2)
        await ground.adapter.say(make_edited(message.model_copy(update={"text": "Badge?"})))
        await ground.until_done(3)
        await ground.until(lambda: not ground.tracer.turns)
    assert ground.adapter.texts() == []
    assert await ground.turns.get(turn.id) is None
    assert ground.ends()[2] == "cancelled"


async def test_the_trace_and_scores_of_a_deleted_question_are_removed_also_when_nobody_listens_at_first() -> (
    None
):
    ground, message = Ground(), ask_message()
    async with ground.running():
        turn = await ground.ask(message)
        up = make_given(1).model_copy(update={"channel": turn.thread.channel, "message_id": "m1"})
        await ground.adapter.say(up)
        await ground.until(lambda: ground.tracer.scores)
        ground.tracer.reachable = False
        await ground.adapter.say(make_deleted(message))
        await ground.until_done(3)
        assert ground.tracer.turns
    ground.tracer.reachable = True
    async with ground.running():
        await ground.until(lambda: not ground.tracer.turns and not ground.tracer.scores)


async def test_a_post_that_nobody_noted_goes_with_its_deleted_question() -> None:
    """The worker is cut off between the platform's yes and the record of it."""
    ground, message = Ground(adapter=InMemoryAdapter("memory", Capabilities(deletes=True))), ask_message()
    await ground.inbox.put(make_posted(message))
    (claim,) = await ground.inbox.claim(platforms=["memory"], limit=1, lease_seconds=30)
    effect = make_effect(message, state="sending")
    await ground.outbox.plan(claim, [effect])
    target = ReplyTarget(thread=message.thread, question_message_id=message.id, asker=message.author)
    rendered = Rendered(body={"text": ANSWER})
    await ground.adapter.post(
        Delivery(effect_id=effect.id, turn_id=effect.turn_id, part=0, target=target, rendered=rendered)
    )
    async with ground.running():
        await ground.adapter.say(make_deleted(message))
        await ground.until(lambda: not ground.adapter.visible)


async def test_a_question_whose_edit_came_first_is_answered_once() -> None:
    ground, message = Ground(), ask_message("Where?")
    edited = message.model_copy(update={"text": "Where do I get a badge?"})
    async with ground.running():
        await ground.adapter.say(make_edited(edited))
        await ground.until_done(1)
        await ground.adapter.say(make_posted(message))
        await ground.until_done(2)
    assert ground.adapter.texts() == [ANSWER]
    assert ground.ends() == ["answered", "ignored"]
    turn = await ground.turns.get(turn_id_for(message))
    assert turn is not None
    assert turn.question == edited.text


async def test_a_deletion_that_comes_first_wins() -> None:
    ground, message = Ground(), ask_message()
    async with ground.running():
        await ground.adapter.say(make_deleted(message))
        await ground.until_done(1)
        await ground.adapter.say(make_posted(message))
        await ground.until_done(2)
    assert ground.adapter.texts() == []
    assert ground.ends()[1] == "cancelled"


async def test_a_question_deleted_while_it_is_answered_leaves_nothing() -> None:
    ground = Ground(model=FakeChatModel(Act(text=ANSWER, delay_seconds=0.4), reply=lambda _: ANSWER))
    message = ask_message()
    async with ground.running():
        await ground.adapter.say(make_posted(message))
        await ground.until(lambda: ground.model.requests)
        await ground.adapter.say(make_deleted(message))
        await ground.until_done(2)
    assert ground.adapter.texts() == []
    assert await ground.turns.get(turn_id_for(message)) is None
