"""What a thread is about, in a few words."""

from __future__ import annotations

from core.answers import Memory
from core.knowledge.thread_words import WORDS, words_of_thread
from core.testing.making import make_message


def test_what_was_said_last_and_most_comes_first() -> None:
    memory = Memory(
        turns=(
            ("What is a printer?", "A printer puts ink on paper."),
            ("How do I order toner?", "Toner is ordered from the depot."),
        )
    )
    words = words_of_thread("And in Berlin?", memory).split()
    assert words[:2] == ["order", "toner"]
    assert words.index("depot") < words.index("ink")


def test_what_the_question_says_itself_is_not_repeated() -> None:
    memory = Memory(turns=(("Which printers print colours?", "The blue printer."),))
    assert words_of_thread("How fast is a printer?", memory).split() == ["colours", "blue"]


def test_words_that_say_nothing_and_old_turns_are_left_out() -> None:
    memory = Memory(turns=(("ancient", ""), ("Which one is it?", "It is that."), ("Why?", ""), ("When?", "")))
    assert words_of_thread("How?", memory) == ""


def test_there_are_never_many() -> None:
    memory = Memory(turns=((" ".join(f"word{n}" for n in range(50)), ""),))
    assert len(words_of_thread("How?", memory).split()) == WORDS


def test_a_message_of_the_thread_counts_like_a_turn() -> None:
    memory = Memory(earlier=(make_message(text="The depot burns"),))
    assert words_of_thread("Why?", memory).split() == ["depot", "burns"]


def test_a_thread_that_begins_says_nothing() -> None:
    assert words_of_thread("Why?", Memory()) == ""
