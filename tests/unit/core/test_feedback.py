"""The fold of an author's marks into one rating."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.answers import Feedback
from core.feedback import Marks, fold_mark, standing_feedback
from core.messages import FeedbackGiven, FeedbackWithdrawn, Rating, Via
from core.testing.making import START, make_author, make_given, make_withdrawn

TURN = uuid4()


def at(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def fold(*events: FeedbackGiven | FeedbackWithdrawn) -> Feedback | None:
    marks: Marks = ()
    for event in events:
        marks = fold_mark(marks, event)
    return standing_feedback(marks, turn_id=TURN, platform="console", workspace="W1", author="U1")


def test_no_marks_are_no_feedback() -> None:
    assert fold() is None


def test_the_newest_mark_counts() -> None:
    standing = fold(make_given(1, at=at(1)), make_given(-1, at=at(2)))
    assert standing is not None
    assert (standing.rating, standing.at) == (-1, at(2))


def test_an_older_mark_that_arrives_later_does_not_count() -> None:
    standing = fold(make_given(-1, at=at(2)), make_given(1, at=at(1)))
    assert standing is not None
    assert standing.rating == -1


def test_removing_the_newest_lets_an_older_mark_count_again() -> None:
    standing = fold(make_given(1, at=at(1)), make_given(-1, at=at(2)), make_withdrawn("thumbsdown", at=at(3)))
    assert standing is not None
    assert (standing.rating, standing.withdrawn_at) == (1, None)


def test_removing_an_older_mark_changes_nothing() -> None:
    standing = fold(make_given(1, at=at(1)), make_given(-1, at=at(2)), make_withdrawn("thumbsup", at=at(3)))
    assert standing is not None
    assert (standing.rating, standing.withdrawn_at) == (-1, None)


def test_removing_the_last_mark_withdraws_the_rating() -> None:
    standing = fold(make_given(-1, at=at(1)), make_withdrawn("thumbsdown", at=at(2)))
    assert standing is not None
    assert (standing.rating, standing.at, standing.withdrawn_at) == (-1, at(1), at(2))


def test_a_mark_set_again_after_its_removal_counts() -> None:
    standing = fold(make_given(1, at=at(1)), make_withdrawn("thumbsup", at=at(2)), make_given(1, at=at(3)))
    assert standing is not None
    assert (standing.at, standing.withdrawn_at) == (at(3), None)


def test_a_removal_that_arrives_before_its_mark_is_not_forgotten() -> None:
    assert fold(make_withdrawn("thumbsup", at=at(2))) is None
    standing = fold(make_withdrawn("thumbsup", at=at(2)), make_given(1, at=at(1)))
    assert standing is not None
    assert standing.withdrawn_at == at(2)


def test_button_and_reaction_are_different_marks() -> None:
    standing = fold(make_given(-1, via="button", at=at(1)), make_given(1, at=at(2)), make_withdrawn(at=at(3)))
    assert standing is not None
    assert (standing.rating, standing.via) == (-1, "button")


def test_pressing_the_other_button_replaces() -> None:
    standing = fold(make_given(-1, via="button", at=at(1)), make_given(1, via="button", at=at(2)))
    assert standing is not None
    assert standing.rating == 1


def test_a_comment_survives_a_repeated_rating() -> None:
    standing = fold(
        make_given(-1, via="button", comment="outdated", at=at(1)),
        make_given(-1, via="button", at=at(2)),
    )
    assert standing is not None
    assert (standing.rating, standing.comment) == (-1, "outdated")


@pytest.mark.parametrize("via", ["button", "reaction"])
def test_a_comment_goes_with_the_rating_that_it_explained(via: Via) -> None:
    standing = fold(
        make_given(-1, via="button", comment="outdated", at=at(1)),
        make_given(1, via=via, at=at(2)),
    )
    assert standing is not None
    assert (standing.rating, standing.comment) == (1, None)


def test_the_newest_comment_counts_whatever_the_order_of_arrival() -> None:
    newer = make_given(-1, via="button", comment="still outdated", at=at(2))
    older = make_given(-1, via="button", comment="outdated", at=at(1))
    for order in ((newer, older), (older, newer)):
        standing = fold(*order)
        assert standing is not None
        assert standing.comment == "still outdated"


def test_marks_of_bots_do_not_count() -> None:
    assert fold(make_given(author=make_author(is_bot=True))) is None
    assert fold(make_given(author=make_author(is_self=True))) is None


MOMENTS = st.lists(st.integers(0, 50), min_size=1, max_size=8, unique=True)


@given(MOMENTS, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(moments: list[int], random: Random) -> None:
    symbols = ("thumbsup", "thumbsdown", "heart")
    events: list[FeedbackGiven | FeedbackWithdrawn] = []
    for moment in moments:
        symbol = random.choice(symbols)
        if random.random() < 0.4:
            events.append(make_withdrawn(symbol, at=at(moment)))
        else:
            rating: Rating = -1 if symbol == "thumbsdown" else 1
            events.append(make_given(rating, symbol=symbol, at=at(moment)))
    shuffled = random.sample(events, len(events))
    assert fold(*events) == fold(*shuffled)
