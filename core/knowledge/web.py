"""A web page as a source: exactly the page given, asked for anew only when the server says that it changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from urllib.parse import unquote

from core.errors import SourceError
from core.knowledge.fetching import TIMEOUT_SECONDS, Fetched, Fetcher, parse_url
from core.knowledge.loading import ENDINGS, MEDIA_TYPES
from core.knowledge.sources import Content, Entry

_VAGUE_TYPES = {
    "",
    "application/octet-stream",
    "binary/octet-stream",
    "text/x-markdown",
    "text/x-rst",
    "application/vnd.ms-excel",  # what many servers call a CSV
}


class WebPageSource:
    """One page. An address in a private network is read only if the given URL itself names its host."""

    kind = "web"
    lists_everything = True

    def __init__(self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._url = parse_url(url, url).copy_with(fragment=None)
        self.uri = str(self._url)
        self._fetcher = Fetcher(self._url, timeout_seconds=timeout_seconds)

    async def entries(self) -> Sequence[Entry]:
        return [Entry(uri=self.uri, locator=self.uri)]

    async def read(self, entry: Entry, validator: str | None = None) -> Content | None:
        fetched = await self._fetcher.fetch(self._url, validator=validator)
        return None if fetched is None else read_fetched(fetched, entry.uri)


def read_fetched(fetched: Fetched, uri: str) -> Content:
    """What a page or file from the web holds. Raises SourceError for types that cannot be read."""
    name = PurePosixPath(unquote(fetched.url.path)).name or fetched.url.host
    readable_name = PurePosixPath(name).suffix.lower() in ENDINGS
    media_type = fetched.media_type
    if media_type not in MEDIA_TYPES and not (media_type in _VAGUE_TYPES and readable_name):
        raise SourceError(uri, f"The content type {media_type or '(none)'} cannot be read.")
    return Content(
        data=fetched.data,
        name=name,
        media_type=media_type or None,
        charset=fetched.charset,
        validator=fetched.validator,
    )
