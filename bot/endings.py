"""How the work on an item may end, for the rooms that do it and the one that notes it."""

from __future__ import annotations

from core.inbox import InboxEnd

ATTEMPTS_TO_FIND_THE_TURN = 4

Ended = tuple[InboxEnd, str]
"""How an item ended, and a reason for people who study it."""


class TurnNotRecordedYetError(Exception):
    """A mark under an answer, or its removal, can be quicker than the record of the turn: worth another try."""
