"""What a source of documents is: it lists its entries and reads one at a time. What the bytes mean is the
business of core.knowledge.loading."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from core.messages import Frozen


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of a source. `uri` is shown to people and stable between runs; `locator` says where it is
    (an absolute path, a URL): the same locator, the same item. `is_code`: a source file among documents, taken in
    only where the source is sliced as code."""

    uri: str
    locator: str
    is_code: bool = False


class Content(Frozen):
    """What reading an entry gave. `name` is a file name; media type and character set where declared.
    `validator` is for the next time: with it, what has not changed need not be sent again."""

    data: bytes
    name: str
    media_type: str | None = None
    charset: str | None = None
    validator: str | None = None

    def for_loading(self) -> dict[str, Any]:
        """The arguments of core.knowledge.loading.load_document, but for the uri."""
        return {
            "data": self.data,
            "name": self.name,
            "media_type": self.media_type,
            "charset": self.charset,
        }


class Source(Protocol):
    """A place that holds documents."""

    @property
    def uri(self) -> str:
        """Identifies the source in the store, the same on every run."""
        ...

    @property
    def kind(self) -> str: ...

    @property
    def lists_everything(self) -> bool:
        """Whether what is not listed is gone; a feed, say, lists only what is new."""
        ...

    async def entries(self) -> Iterable[Entry]:
        """Everything that is there now, in a fixed order, to go through once; that may block. This and going through
        them raises SourceError when the source as a whole cannot be looked at."""
        ...

    async def read(self, entry: Entry, validator: str | None = None) -> Content | None:
        """None if it has not changed since the validator was given. Raises SourceError when this entry cannot
        be read."""
        ...
