"""From what people name, a path or an address, to the source that reads it."""

from __future__ import annotations

import re
from pathlib import Path

from core.errors import SourceError
from core.knowledge.channel_messages import CHANNEL, parse_channel_location
from core.knowledge.exports import ExportSource, is_export
from core.knowledge.files import FileSource, FolderSource
from core.knowledge.sources import Source

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):")


_GIT = re.compile(r"git\+|[\w.-]+@[\w.-]+:(?!//).+\.git$|(?:https?|ssh|file)://.+\.git/?$")
_FEED = re.compile(r"rss\+|https?://[^?#]+(?:/feed/?|\.rss|\.atom|/(?:rss|atom|feed)\.xml)$")
_SITE = re.compile(r"site\+|https?://[^?#]+/sitemap[\w.-]*\.xml(?:\.gz)?$")
DEFAULT_HOME = Path(".threadlore")


def name_location(location: str, home: Path = DEFAULT_HOME) -> tuple[str, str]:
    """The uri and the kind of the source for a location, whether or not it is there right now: a disk that is
    away for a while is still the same source. Raises SourceError for what cannot be meant."""
    if parse_channel_location(location) is not None:
        return location, CHANNEL
    try:
        source = build_source(location, home)
    except SourceError:
        if _SCHEME.match(location):
            raise
        return str(Path(location).expanduser().resolve()), "path"
    return source.uri, source.kind


def build_source(location: str, home: Path = DEFAULT_HOME) -> Source:
    """The source for a path or an address; its uri is a location too, and leads to the same source. Copies of
    repositories are kept below `home`. Raises SourceError for what does not exist.

    git+…, and what ends in .git: a Git repository. rss+…, and what ends like a feed: a feed. site+…, and the
    address of a sitemap: a website. Any other http(s) address is exactly one page.
    """
    # httpx takes a while to import, and folders do not need it.
    if _GIT.match(location):
        from core.knowledge.git import GitSource

        return GitSource(location, home)
    if _FEED.match(location):
        from core.knowledge.feeds import FeedSource

        return FeedSource(location)
    if _SITE.match(location):
        from core.knowledge.websites import WebsiteSource

        return WebsiteSource(location)
    if location.startswith(("http://", "https://")):
        from core.knowledge.web import WebPageSource

        return WebPageSource(location)
    return _build_local_source(location)


def _build_local_source(location: str) -> Source:
    path = Path(location).expanduser()
    if _is_export(path):
        return ExportSource(path)
    if path.is_dir():
        return FolderSource(path)
    if path.is_file():
        return FileSource(path)
    scheme = _SCHEME.match(location)
    if scheme and not path.exists():
        raise SourceError(location, f"Addresses of {scheme[1]} cannot be read.")
    if path.exists() or path.is_symlink():
        raise SourceError(location, "This is neither a file nor a folder that can be read.")
    raise SourceError(location, "There is no file or folder of this name.")


def _is_export(path: Path) -> bool:
    try:
        return path.exists() and is_export(path)
    except OSError:
        return False  # reading it will say why
