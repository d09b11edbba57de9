"""What an author thinks of an answer, as a fold over the marks that they set and removed. Pure.

A mark is one emoji or the button. Each remembers when it was last set and last removed, so that the
order of arrival does not matter. The newest mark that is still set is the rating; taking it away lets
an older one count again. A comment belongs to the rating that it was given with.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from core.answers import Feedback
from core.messages import FeedbackGiven, FeedbackWithdrawn, Frozen, Rating, Via


class Mark(Frozen):
    """One mark of one author on one turn. A removal may be known before the mark itself is."""

    via: Via
    symbol: str
    rating: Rating | None = None
    set_at: datetime | None = None
    removed_at: datetime | None = None
    comment: str | None = None
    commented_at: datetime | None = None

    @property
    def is_set(self) -> bool:
        if self.set_at is None:
            return False
        return self.removed_at is None or self.set_at > self.removed_at


Marks = tuple[Mark, ...]


def fold_mark(marks: Marks, event: FeedbackGiven | FeedbackWithdrawn) -> Marks:
    """The marks after the event; the mark concerned comes last. Marks of bots change nothing."""
    if event.author.is_bot or event.author.is_self:
        return marks
    key = (event.via, event.symbol)
    others = tuple(mark for mark in marks if (mark.via, mark.symbol) != key)
    mark = next((mark for mark in marks if (mark.via, mark.symbol) == key), None)
    mark = mark or Mark(via=event.via, symbol=event.symbol)
    if isinstance(event, FeedbackWithdrawn):
        return (*others, _removed(mark, event.at))
    return (*others, _given(mark, event))


def standing_feedback(
    marks: Marks, *, turn_id: UUID, platform: str, workspace: str, author: str
) -> Feedback | None:
    """What the marks add up to; None while none was ever set."""
    known = [mark for mark in marks if mark.set_at is not None]
    standing = [mark for mark in known if mark.is_set]
    if not known:
        return None
    chosen = _last(standing, "set_at") if standing else _last(known, "removed_at")
    assert chosen.rating is not None  # noqa: S101 (narrows the type: a mark that was set has a rating)
    assert chosen.set_at is not None  # noqa: S101
    commented = [mark for mark in known if mark.comment and mark.rating == chosen.rating]
    return Feedback(
        turn_id=turn_id,
        platform=platform,
        workspace=workspace,
        author=author,
        rating=chosen.rating,
        via=chosen.via,
        comment=_last(commented, "commented_at").comment if commented else None,
        at=chosen.set_at,
        withdrawn_at=None if standing else chosen.removed_at,
    )


def _given(mark: Mark, event: FeedbackGiven) -> Mark:
    changes: dict[str, object] = {}
    if mark.set_at is None or event.at >= mark.set_at:
        changes |= {"rating": event.rating, "set_at": event.at}
        if mark.rating not in (None, event.rating):
            changes |= {"comment": None, "commented_at": None}
    says_more = mark.commented_at is None or event.at >= mark.commented_at or "comment" in changes
    if event.comment and says_more and changes.get("rating", mark.rating) == event.rating:
        changes |= {"comment": event.comment, "commented_at": event.at}
    return mark.model_copy(update=changes)


def _removed(mark: Mark, at: datetime) -> Mark:
    newest = at if mark.removed_at is None else max(at, mark.removed_at)
    return mark.model_copy(update={"removed_at": newest})


def _last(marks: list[Mark], moment: str) -> Mark:
    """The mark with the latest moment; of equals the one that arrived last."""
    return max(enumerate(marks), key=lambda item: (getattr(item[1], moment), item[0]))[1]
