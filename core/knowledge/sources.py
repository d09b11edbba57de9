"""Where documents come from: a folder, a file or a web page. A Source lists its entries and reads one at a
time; what the bytes mean is the business of core.knowledge.loading."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from core.errors import SourceError
from core.knowledge.loading import ENDINGS, MAX_DOCUMENT_BYTES
from core.messages import Frozen

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):")
_BINARY_ENDINGS = frozenset({".pdf", ".docx"})


class Entry(Frozen):
    """One item of a source. `uri` is shown to people and stable between runs; `locator` says where it is
    (an absolute path, a URL): the same locator, the same item."""

    uri: str
    locator: str


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


def build_source(location: str) -> Source:
    """The source for a path or an http(s) URL. Raises SourceError for what does not exist."""
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


class FileSource:
    """One file. Its document is called by the file's name."""

    kind = "file"

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self.uri = str(self._path)

    async def entries(self) -> Sequence[Entry]:
        return [Entry(uri=self._path.name, locator=str(self._path))]

    async def read(self, entry: Entry) -> Content:
        return await asyncio.to_thread(_read_file, entry, Path(entry.locator))


class FolderSource:
    """A folder with everything below it. A document is called by its path from the folder's name on.

    Left out are hidden files and folders, endings that cannot be read, empty text files, and links that
    lead out of the folder.
    """

    kind = "folder"

    def __init__(self, path: Path) -> None:
        self._root = path.resolve()
        self.uri = str(self._root)

    async def entries(self) -> Sequence[Entry]:
        return await asyncio.to_thread(lambda: list(self._walk()))

    async def read(self, entry: Entry) -> Content:
        return await asyncio.to_thread(_read_file, entry, Path(entry.locator))

    def _walk(self) -> Iterator[Entry]:
        if not self._root.is_dir():
            raise SourceError(self.uri, "There is no folder of this name.")
        seen: set[Path] = set()
        unreadable: list[OSError] = []
        for folder, folders, names in os.walk(self._root, onerror=unreadable.append):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                path = Path(folder, name)
                if name.startswith(".") or path.suffix.lower() not in ENDINGS:
                    continue
                target = path.resolve() if path.is_symlink() else path
                if target in seen or not target.is_relative_to(self._root) or _is_empty_text(target):
                    continue
                seen.add(target)
                yield self._entry(path, target)
        for error in unreadable:
            # Listed, so that it fails when read, and so that what is stored of it does not count as deleted.
            path = Path(error.filename)
            if path == self._root:
                raise SourceError(self.uri, f"The folder cannot be read: {error.strerror}.") from error
            yield self._entry(path, path)

    def _entry(self, path: Path, target: Path) -> Entry:
        uri = (Path(self._root.name) / path.relative_to(self._root)).as_posix()
        # A name that is no valid text would not survive the store.
        return Entry(uri=uri.encode(errors="replace").decode(), locator=str(target))


def _is_empty_text(path: Path) -> bool:
    try:
        return path.stat().st_size == 0 and path.suffix.lower() not in _BINARY_ENDINGS
    except OSError:
        return False  # reading it will say why


def _read_file(entry: Entry, path: Path) -> Content:
    try:
        if path.is_dir():
            raise SourceError(entry.uri, "The folder cannot be read.")
        if not path.is_file():
            raise SourceError(entry.uri, "This is not a regular file, or it is gone.")
        if path.stat().st_size > MAX_DOCUMENT_BYTES:
            raise SourceError(entry.uri, f"The file is larger than {MAX_DOCUMENT_BYTES // 2**20} MB.")
        return Content(data=path.read_bytes(), name=path.name.encode(errors="replace").decode())
    except OSError as error:
        raise SourceError(entry.uri, f"The file cannot be read: {error.strerror}.") from error
