"""What becomes of a document that cannot be read: it is left alone until its content changes or a while has
passed, longer with every failure, so that it never holds up the others. Pure but for the clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from core.errors import SourceError
from core.knowledge.documents import QuarantinedDocument

UNREAD_FIRST, UNREAD_LONGEST = timedelta(minutes=10), timedelta(days=1)
"""For what could not even be fetched: the way there may be open again soon."""
UNPARSED_FIRST, UNPARSED_LONGEST = timedelta(hours=1), timedelta(days=7)
"""For content that could not be understood: the same bytes will hardly do better."""


class UnparsedError(SourceError):
    """The bytes were had but could not be understood; `content_hash` is theirs."""

    def __init__(self, uri: str, reason: str, content_hash: str) -> None:
        super().__init__(uri, reason)
        self.content_hash = content_hash


class HeldError(SourceError):
    """The document was not tried: it failed before, and nothing has changed since."""

    def __init__(self, held: QuarantinedDocument) -> None:
        super().__init__(held.uri, held.reason)


def refuse_held(
    held: QuarantinedDocument | None, content_hash: str | None, now: datetime | None = None
) -> None:
    """Raises HeldError when it is not time yet for another try with this content; None for the hash asks
    before anything was fetched."""
    if held is not None and held.content_hash == content_hash and (now or datetime.now(UTC)) < held.retry_at:
        raise HeldError(held)


def release_unread(held: Mapping[str, QuarantinedDocument]) -> dict[str, QuarantinedDocument]:
    """The same, with another try for what could not be had: somebody who asks may just have mended the way."""
    long_ago = datetime.min.replace(tzinfo=UTC)
    return {
        uri: document if document.content_hash else document.model_copy(update={"retry_at": long_ago})
        for uri, document in held.items()
    }


def make_quarantined(
    uri: str, error: SourceError, known: QuarantinedDocument | None, now: datetime | None = None
) -> QuarantinedDocument:
    """What to remember of a failure, given what was known of the document."""
    content_hash = error.content_hash if isinstance(error, UnparsedError) else None
    attempts = known.attempts + 1 if known is not None and known.content_hash == content_hash else 1
    first, longest = (
        (UNREAD_FIRST, UNREAD_LONGEST) if content_hash is None else (UNPARSED_FIRST, UNPARSED_LONGEST)
    )
    pause = min(first * 2 ** min(attempts - 1, 20), longest)
    return QuarantinedDocument(
        uri=uri,
        reason=error.reason,
        content_hash=content_hash,
        attempts=attempts,
        retry_at=(now or datetime.now(UTC)) + pause,
    )
