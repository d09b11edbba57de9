"""From what people name, a path or an address, to the source that reads it."""

from __future__ import annotations

import re
from pathlib import Path

from core.errors import SourceError
from core.knowledge.files import FileSource, FolderSource
from core.knowledge.sources import Source

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):")


def name_location(location: str) -> tuple[str, str]:
    """The uri and the kind of the source for a location, whether or not it is there right now: a disk that is
    away for a while is still the same source. Raises SourceError for what cannot be meant."""
    try:
        source = build_source(location)
    except SourceError:
        if _SCHEME.match(location):
            raise
        return str(Path(location).expanduser().resolve()), "path"
    return source.uri, source.kind


def build_source(location: str) -> Source:
    """The source for a path or an http(s) URL; its uri is a location too, and leads to the same source.
    Raises SourceError for what does not exist."""
    if location.startswith(("http://", "https://")):
        # httpx takes a while to import, and folders do not need it.
        from core.knowledge.web import WebPageSource

        return WebPageSource(location)
    path = Path(location).expanduser()
    if path.is_dir():
        return FolderSource(path)
    if path.is_file():
        return FileSource(path)
    scheme = _SCHEME.match(location)
    if scheme and not path.exists():
        raise SourceError(location, f"Only http and https addresses can be read, not {scheme[1]}.")
    if path.exists() or path.is_symlink():
        raise SourceError(location, "This is neither a file nor a folder that can be read.")
    raise SourceError(location, "There is no file or folder of this name.")
