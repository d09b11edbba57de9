"""Sources on this machine: a single file, and a folder with everything below it."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from core.errors import SourceError
from core.knowledge.loading import CODE_ENDINGS, ENDINGS, MAX_DOCUMENT_BYTES, split_name
from core.knowledge.sources import Content, Entry

_ALL_ENDINGS = ENDINGS | CODE_ENDINGS
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
        return await asyncio.to_thread(_read_file, entry)


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

    async def entries(self) -> Iterable[Entry]:
        return self._walk()

    async def read(self, entry: Entry, validator: str | None = None) -> Content:
        return await asyncio.to_thread(_read_file, entry)

    def _walk(self) -> Iterator[Entry]:
        if not self._root.is_dir():
            raise SourceError(self.uri, "There is no folder of this name.")
        linked: set[str] = set()
        unreadable: list[OSError] = []
        for folder, folders, names in os.walk(self._root, onerror=unreadable.append):
            folders[:] = sorted(filter(_is_shown, folders))
            for name in sorted(filter(_is_taken, names)):
                path = f"{folder.rstrip('/')}/{name}"
                target = self._follow(path) if stat.S_ISLNK(_mode_of(path)) else path
                if target is not None and target not in linked and not _is_empty_text(target):
                    yield self._entry(path, target)
                    if target != path:
                        linked.add(target)
        for error in unreadable:
            # Listed, so that it fails when read, and so that what is stored of it does not count as deleted.
            if error.filename == self.uri:
                raise SourceError(self.uri, f"The folder cannot be read: {error.strerror}.") from error
            yield self._entry(error.filename, error.filename)

    def _follow(self, path: str) -> str | None:
        """Where a link leads; None if that is outside, or was met under its own name before."""
        try:
            target = Path(path).resolve()
        except (OSError, RuntimeError):  # links in a circle, which reading it will say
            return path
        if not target.is_relative_to(self._root):
            return None
        inside = target.relative_to(self._root)
        is_listed = (
            all(map(_is_shown, inside.parts))
            and _is_taken(target.name)
            and stat.S_ISREG(_mode_of(str(target)))
        )
        is_met = is_listed and _place(inside) < _place(Path(path).relative_to(self._root))
        return None if is_met else str(target)

    def _entry(self, path: str, target: str) -> Entry:
        uri = self._root.name + path.removeprefix(self.uri)
        # A name that is no valid text would not survive the store.
        return Entry(
            uri=uri.encode(errors="replace").decode(),
            locator=target,
            is_code=split_name(path)[1] in CODE_ENDINGS,
        )


# What follows works on plain texts: a folder may hold a hundred thousand files.


def _is_shown(name: str) -> bool:
    return not name.startswith(".")


def _is_taken(name: str) -> bool:
    """Whether a file of this name is a document."""
    return _is_shown(name) and split_name(name)[1] in _ALL_ENDINGS


def _place(inside: Path) -> tuple[tuple[bool, str], ...]:
    """Where the walk comes to a file: a folder's files first, then its folders, each by name."""
    return tuple((part < len(inside.parts), name) for part, name in enumerate(inside.parts, start=1))


def _mode_of(path: str) -> int:
    """What kind of file it is; 0 if that cannot be told, which reading it will explain."""
    try:
        return os.lstat(path).st_mode
    except OSError:
        return 0


def _is_empty_text(path: str) -> bool:
    try:
        return os.lstat(path).st_size == 0 and split_name(path)[1] not in _BINARY_ENDINGS
    except OSError:
        return False


def _read_file(entry: Entry) -> Content:
    path = entry.locator
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SourceError(entry.uri, "This is not a regular file.")
            if status.st_size > MAX_DOCUMENT_BYTES:
                raise SourceError(entry.uri, f"The file is larger than {MAX_DOCUMENT_BYTES // 2**20} MB.")
            name = path.rpartition("/")[2].encode(errors="replace").decode()
            return Content(data=file.read(), name=name)
    except FileNotFoundError as error:
        raise SourceError(entry.uri, "The file is gone.") from error
    except OSError as error:
        what = "folder" if stat.S_ISDIR(_mode_of(path)) else "file"
        raise SourceError(entry.uri, f"The {what} cannot be read: {error.strerror}.") from error


def _open_at_once(path: str, flags: int) -> int:
    """A pipe would otherwise be waited for until somebody writes into it."""
    return os.open(path, flags | os.O_NONBLOCK)
