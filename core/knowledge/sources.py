"""What a source of documents is: it lists its entries and reads one at a time. What the bytes mean is the
business of core.knowledge.loading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from core.messages import Frozen


class Entry(Frozen):
    """One item of a source. `uri` is shown to people and stable between runs; `locator` says where it is
    (an absolute path, a URL): the same locator, the same item. `is_code`: a source file among documents, taken in
    only where the source is sliced as code."""

    uri: str
    locator: str
    is_code: bool = False


class Content(Frozen):
    """What reading an entry gave. `name` is a file name; media type and character set where declared."""

    data: bytes
    name: str
    media_type: str | None = None
    charset: str | None = None


class Source(Protocol):
    """A place that holds documents."""

    @property
    def uri(self) -> str:
        """Identifies the source in the store, the same on every run."""
        ...

    @property
    def kind(self) -> str: ...

    async def entries(self) -> Sequence[Entry]:
        """Everything that is there now, in a fixed order. Raises SourceError when the source as a whole
        cannot be looked at."""
        ...

    async def read(self, entry: Entry) -> Content:
        """Raises SourceError when this entry cannot be read."""
        ...
