from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.answers import Memory
from core.knowledge.rewriting import rewrite_question
from core.messages import Author, Channel, Message, Thread


def after(*questions: str) -> Memory:
    return Memory(turns=tuple((question, "An answer.") for question in questions))


@pytest.mark.parametrize(
    ("before", "question", "standalone"),
    [
        (["What is a standing desk?"], "Is it adjustable?", "Is standing desk adjustable?"),
        (["What is the outbox?"], "How does it work?", "How does outbox work?"),
        (["Tell me about Discord."], "What are its limits?", "What are Discord's limits?"),
        (["What is a lease?", "How long is it?"], "Who renews it?", "Who renews lease?"),
        (["How does search rank passages?"], "why?", "why search rank passages?"),
        (["What is the outbox?"], "And what does that do?", "And what does outbox do?"),
    ],
)
def test_a_follow_up_gets_the_topic_that_it_leans_on(
    before: list[str], question: str, standalone: str
) -> None:
    assert rewrite_question(question, after(*before)) == standalone


@pytest.mark.parametrize(
    "question",
    [
        "How do I connect Threadlore to Slack?",
        "Is it possible to run Threadlore without Docker Compose?",
        "What is the default of TURN_TIMEOUT_SECONDS?",
        "What is an inbox item, and when is it parked?",
    ],
)
def test_a_question_that_stands_on_its_own_stays_as_it_is(question: str) -> None:
    assert rewrite_question(question, after("How do I back up the database?")) == question


def test_the_same_about_something_else_keeps_what_was_asked() -> None:
    rewritten = rewrite_question("What about Discord?", after("How do I connect Threadlore to Slack?"))
    assert "Discord" in rewritten
    assert "connect" in rewritten
    assert "Slack" not in rewritten


def test_the_first_question_has_nothing_to_lean_on() -> None:
    assert rewrite_question("How does it work?", Memory()) == "How does it work?"


def test_what_people_said_before_we_came_counts_too() -> None:
    channel = Channel(platform="web", workspace="W", id="C")
    message = Message(
        id="1",
        thread=Thread(channel=channel, id="T"),
        author=Author(id="U"),
        text="The outbox is full again.",
        at=datetime(2026, 11, 1, tzinfo=UTC),
    )
    assert "outbox" in rewrite_question("How do I empty it?", Memory(earlier=(message,)))


@settings(max_examples=100, deadline=None)
@given(question=st.text(max_size=100), before=st.lists(st.text(max_size=100), max_size=4))
def test_whatever_was_said_the_rewrite_is_a_question_with_few_words_more(
    question: str, before: list[str]
) -> None:
    rewritten = rewrite_question(question, after(*before))
    assert len(rewritten.split()) <= len(question.split()) + 4
