"""Sources on this machine: a single file, and a folder with everything below it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from core.errors import SourceError
from core.knowledge.loading import CODE_ENDINGS, ENDINGS, MAX_DOCUMENT_BYTES
from core.knowledge.sources import Content, Entry

_BINARY_ENDINGS = frozenset({".pdf", ".docx", ".xlsx", ".pptx"})


class FileSource:
    """One file. Its document is called by the file's name."""

    kind = "file"
    lists_everything = True

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self.uri = str(self._path)

    async def entries(self) -> Sequence[Entry]:
        return [Entry(uri=self._path.name, locator=str(self._path))]

    async def read(self, entry: Entry, validator: str | None = None) -> Content:
        return await asyncio.to_thread(_read_file, entry, Path(entry.locator))


class FolderSource:
    """A folder with everything below it. A document is called by its path from the folder's name on.

    Source files are listed as such. Left out are hidden files and folders, endings that cannot be read, empty text files, and links that
    lead out of the folder.
    """

    kind = "folder"
    lists_everything = True

    def __init__(self, path: Path) -> None:
        self._root = path.resolve()
        self.uri = str(self._root)

    async def entries(self) -> Sequence[Entry]:
        return await asyncio.to_thread(lambda: list(self._walk()))

    async def read(self, entry: Entry, validator: str | None = None) -> Content:
        return await asyncio.to_thread(_read_file, entry, Path(entry.locator))

    def _walk(self) -> Iterator[Entry]:
        if not self._root.is_dir():
            raise SourceError(self.uri, "There is no folder of this name.")
        seen: set[str] = set()
        unreadable: list[OSError] = []
        for folder, folders, names in os.walk(self._root, onerror=unreadable.append):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                path = Path(folder, name)
                if name.startswith(".") or path.suffix.lower() not in ENDINGS | CODE_ENDINGS:
                    continue
                target = path.resolve() if path.is_symlink() else path
                if not target.is_relative_to(self._root) or _is_empty_text(target):
                    continue
                entry = self._entry(path, target)
                if entry.locator not in seen:
                    seen.add(entry.locator)
                    yield entry
        for error in unreadable:
            # Listed, so that it fails when read, and so that what is stored of it does not count as deleted.
            path = Path(error.filename)
            if path == self._root:
                raise SourceError(self.uri, f"The folder cannot be read: {error.strerror}.") from error
            yield self._entry(path, path)

    def _entry(self, path: Path, target: Path) -> Entry:
        uri = (Path(self._root.name) / path.relative_to(self._root)).as_posix()
        # A name that is no valid text would not survive the store.
        return Entry(
            uri=uri.encode(errors="replace").decode(),
            locator=str(target),
            is_code=path.suffix.lower() in CODE_ENDINGS,
        )


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
