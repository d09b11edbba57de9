"""People who ask more than one person may: what they see, what it costs, and who else notices."""

from __future__ import annotations

import pytest

from bot.adapter import Capabilities
from bot.testing.adapter import InMemoryAdapter
from core import notices
from core.answers import turn_id_for
from core.limits import QuestionCount, QuestionLimits, judge
from core.messages import Message
from core.testing.making import make_author, make_edited, make_posted
from core.testing.question_counts import InMemoryQuestionCounter
from tests.unit.bot.ground import ANSWER, Ground, ask_message

NOON = 1_700_000_040.0
"""The beginning of a minute."""


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


def make_ground(
    clock: Clock, *, knows_people: bool = True, per_minute: int = 10, per_day: int = 100
) -> Ground:
    capabilities = Capabilities(
        streams=True, edits=True, deletes=True, thread_history=True, status=True, knows_people=knows_people
    )
    return Ground(
        adapter=InMemoryAdapter("memory", capabilities=capabilities),
        limits=QuestionLimits(InMemoryQuestionCounter(clock), per_minute=per_minute, per_day=per_day),
    )


def questions(count: int, start: int = 0, author: str = "U1") -> list[Message]:
    """Each begins a thread of its own."""
    return [
        ask_message(f"Question {n}?", thread=f"T{n}", id=f"{author}-{n}").model_copy(
            update={"author": make_author(author)}
        )
        for n in range(start, start + count)
    ]


async def ask_all(ground: Ground, *messages: Message) -> None:
    """One after the other, so that the first ten are the first ten."""
    for message in messages:
        done = sum(item.state == "done" for item in ground.inbox.items)
        assert await ground.adapter.say(make_posted(message))
        await ground.until_done(done + 1)


async def test_ten_are_answered_one_notice_says_so_and_the_rest_of_the_minute_is_quiet() -> None:
    ground = make_ground(Clock())
    async with ground.running():
        await ask_all(ground, *questions(15))
    assert ground.adapter.texts() == [ANSWER] * 10 + [notices.too_many_in_a_minute(10)]
    assert ground.ends() == ["answered"] * 10 + ["refused"] * 5
    assert len(ground.model.requests) == 10
    figure = ground.metrics.registry.get_sample_value
    labels = {"platform": "memory", "limit": "minute"}
    assert figure("threadlore_questions_refused_total", labels) == 5


async def test_the_notice_is_on_record_with_its_reason() -> None:
    ground = make_ground(Clock(), per_minute=1)
    async with ground.running():
        await ask_all(ground, *questions(2))
    turn = await ground.turns.get(turn_id_for(questions(2)[1]))
    assert turn is not None
    assert (turn.outcome, turn.answer.reason) == ("refused", "too_many_in_a_minute")


async def test_others_are_answered_meanwhile() -> None:
    ground = make_ground(Clock(), per_minute=1)
    async with ground.running():
        await ask_all(ground, *questions(4), *questions(1, author="U2"))
    assert ground.ends()[-1] == "answered"


async def test_the_next_minute_begins_anew() -> None:
    clock = Clock()
    ground = make_ground(clock, per_minute=2)
    async with ground.running():
        await ask_all(ground, *questions(4))
        clock.now += 60
        await ask_all(ground, *questions(4, start=4))
    notice = notices.too_many_in_a_minute(2)
    assert ground.adapter.texts() == [ANSWER, ANSWER, notice, ANSWER, ANSWER, notice]


async def test_after_the_last_of_the_day_there_is_one_notice_a_minute() -> None:
    clock = Clock()
    ground = make_ground(clock, per_minute=3, per_day=3)
    async with ground.running():
        await ask_all(ground, *questions(3))
        for minute in range(1, 3):
            clock.now = NOON + 60 * minute
            await ask_all(ground, *questions(3, start=minute * 10))
    assert ground.adapter.texts() == [ANSWER] * 3 + [notices.too_many_today(3)] * 2


async def test_a_command_always_gets_its_reply() -> None:
    ground = make_ground(Clock(), per_minute=1)
    async with ground.running():
        await ask_all(ground, *questions(3))
        (command,) = questions(1, start=9)
        await ground.ask(command, addressing="command")
    assert ground.adapter.texts() == [ANSWER] + [notices.too_many_in_a_minute(1)] * 2


async def test_an_edit_beyond_the_limit_leaves_the_answer_that_stands_there() -> None:
    ground = make_ground(Clock(), per_minute=1)
    async with ground.running():
        (message,) = questions(1)
        await ask_all(ground, message)
        changed = message.model_copy(update={"text": "Another question?"})
        await ground.adapter.say(make_edited(changed))
        await ground.until_done(2)
    assert ground.adapter.texts() == [ANSWER]
    assert ground.ends() == ["answered", "refused"]


async def test_where_one_author_may_be_many_people_nobody_is_counted() -> None:
    ground = make_ground(Clock(), knows_people=False, per_minute=1)
    async with ground.running():
        await ask_all(ground, *questions(3))
    assert ground.ends() == ["answered"] * 3


@pytest.mark.parametrize(
    ("in_minute", "in_day", "expected"),
    [
        (10, 100, None),
        (11, 10, ("minute", True)),
        (12, 10, ("minute", False)),
        (1, 101, ("day", True)),
        (2, 102, ("day", False)),
        (5, 101, ("day", True)),
        (11, 101, ("day", True)),
    ],
)
def test_one_notice_for_each_minute(in_minute: int, in_day: int, expected: tuple[str, bool] | None) -> None:
    refusal = judge(QuestionCount(in_minute=in_minute, in_day=in_day), per_minute=10, per_day=100)
    assert (refusal and (refusal.limit, refusal.tell)) == expected


def test_without_limits_nothing_is_refused() -> None:
    count = QuestionCount(in_minute=10_000, in_day=10_000)
    assert judge(count, per_minute=None, per_day=None) is None
