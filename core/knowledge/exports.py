"""What other programs hand out as files: a zip archive of documents, and the exports of Notion and Confluence, as an
archive or unpacked. Nothing of an archive is ever written anywhere under a name of its own.

Names in exports carry ids (Notion: 32 hexadecimal digits, Confluence: a number); a document is called by what is
left without them.
"""

from __future__ import annotations

import asyncio
import re
import stat
import struct
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import IO

from core.errors import SourceError
from core.knowledge.files import FolderSource
from core.knowledge.loading import ENDINGS, MAX_DOCUMENT_BYTES
from core.knowledge.loading.text import clean_text, decode_text
from core.knowledge.sources import Content, Entry

MAX_DIRECTORY_BYTES = 32 * 2**20
"""Of an archive's own list of what is in it: some hundred thousand names."""
MAX_PART_BYTES = 2 * 2**30
MAX_PARTS = 100
MAX_UNPACKED_BYTES = 32 * 2**30
"""All files of an archive together."""
MAX_URI_CHARACTERS = 500

_NOTION_ID = re.compile(r" [0-9a-f]{32}(?=_all$|$)")
_CONFLUENCE_ID = re.compile(r"_\d{3,}$")
_CONFLUENCE_PAGE = re.compile(r"(?:^|[/_])\d{3,}\.html$")
_PART = re.compile(r"(?:.*/)?ExportBlock-[0-9a-f-]+-Part-\d+\.zip$", re.IGNORECASE)
_LINK_TO_PAGE = re.compile(
    r"!?\[([^\[\]\n]*)\]\((?!(?:https?|mailto|ftp):|#)[^()\n]*(?:\([^()\n]*\)[^()\n]*)*\)"
)
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)
_TABLES = ".csv"
_LISTS = frozenset({"index.html", "archive_browser.html"})
"""Pages that only list the others."""


class Exporter(Enum):
    """Whose export it is; OTHER: any archive of documents."""

    NOTION = "notion"
    CONFLUENCE = "confluence"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Item:
    """A file of an export: its name as it stands there, and where its bytes are."""

    name: str
    archive: zipfile.ZipFile | None = None
    info: zipfile.ZipInfo | None = None
    path: str = ""


class ExportSource:
    """An archive, or a folder that `is_export` knows."""

    kind = "export"
    lists_everything = True

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self.uri = str(self._path)
        self._items: dict[str, Item] = {}
        self._exporter = Exporter.OTHER

    async def entries(self) -> Sequence[Entry]:
        if self._path.is_dir():
            listed = await asyncio.to_thread(list, await FolderSource(self._path).entries())
            root = f"{self._path.name}/"
            items = [Item(entry.uri.removeprefix(root), path=entry.locator) for entry in listed]
        else:
            items = await asyncio.to_thread(list_archive, self._path)
        names = [item.name for item in items]
        is_folder = self._path.is_dir()
        self._exporter = recognize_exporter(_names_in(self._path) if is_folder else names)
        chosen = [item for item in items if _is_document(item.name, names, self._exporter)]
        self._items = dict(
            zip(_call(self._path, [item.name for item in chosen], self._exporter), chosen, strict=True)
        )
        return [Entry(uri=uri, locator=f"{self.uri}!{item.name}") for uri, item in self._items.items()]

    async def read(self, entry: Entry, validator: str | None = None) -> Content | None:
        item = self._items[entry.uri]
        version = None if item.info is None else f"{item.info.CRC:08x}-{item.info.file_size}"
        if version is not None and version == validator:
            return None
        data = await asyncio.to_thread(read_item, item, entry.uri)
        name = PurePosixPath(entry.uri).name
        if self._exporter is Exporter.NOTION and name.lower().endswith(".md"):
            data = await asyncio.to_thread(_without_page_links, data)
        return Content(data=data, name=name, validator=version)


def is_export(path: Path) -> bool:
    """Whether a path is an archive, or a folder as Notion or Confluence export it: by the names in it."""
    if path.is_file():
        return path.suffix.lower() == ".zip"
    return recognize_exporter(_names_in(path)) is not Exporter.OTHER


def _names_in(folder: Path) -> list[str]:
    """Directly in the folder, and the one style sheet that tells."""
    names = [f"{child.name}/" if child.is_dir() else child.name for child in folder.iterdir()]
    return [*names, "styles/site.css"] if (folder / "styles" / "site.css").is_file() else names


def recognize_exporter(names: Iterable[str]) -> Exporter:
    """Notion's names end in ids; Confluence has a list of its pages beside its style sheet. Pure."""
    known = set(names)
    folders = {name.rpartition("/")[0] for name in known if name.rpartition("/")[2] == "index.html"}
    has_style = any(f"{folder}/styles/site.css".lstrip("/") in known for folder in folders)
    if has_style and any(_CONFLUENCE_PAGE.search(name) for name in known):
        return Exporter.CONFLUENCE
    stems = (PurePosixPath(name.rstrip("/")) for name in known)
    if any(_NOTION_ID.search(path.stem) for path in stems if path.suffix in ("", ".md", ".csv")):
        return Exporter.NOTION
    return Exporter.OTHER


# --- names ----------------------------------------------------------------------------------------


def _is_document(name: str, names: Sequence[str], exporter: Exporter) -> bool:
    path = PurePosixPath(name)
    ending = path.suffix.lower()
    if exporter is Exporter.NOTION and ending == _TABLES:
        # The same table as it is shown, and as a whole.
        return path.stem.endswith("_all") or str(path.with_name(f"{path.stem}_all.csv")) not in names
    if path.name in _LISTS and (exporter is Exporter.CONFLUENCE or path.name != "index.html"):
        return False
    return ending in ENDINGS


def _call(root: Path, names: Sequence[str], exporter: Exporter) -> list[str]:
    """What the documents are called: without ids, but for those that would then be called the same."""
    clean = [_clean_name(name, exporter) for name in names]
    often = Counter(clean)
    called = [
        c if often[c] == 1 else _clean_name(n, Exporter.OTHER) for c, n in zip(clean, names, strict=True)
    ]
    uris: dict[str, None] = {}
    for n, name in enumerate(called):
        uri = f"{root.name}/{name}".encode(errors="replace").decode()[:MAX_URI_CHARACTERS]
        uris[uri if uri not in uris else f"{uri[:MAX_URI_CHARACTERS]} {n}"] = None
    return list(uris)


def _clean_name(name: str, exporter: Exporter) -> str:
    path = PurePosixPath(name)
    parts = [*path.parts[:-1], path.stem]
    if exporter is Exporter.NOTION:
        parts = [_NOTION_ID.sub("", part).removesuffix("_all") or part for part in parts]
    elif exporter is Exporter.CONFLUENCE:
        parts[-1] = _CONFLUENCE_ID.sub("", parts[-1]) or parts[-1]
    return clean_text("/".join(parts).replace("\n", " ") + path.suffix.lower())


def _without_page_links(data: bytes) -> bytes:
    """Links to other pages of the export lead nowhere: their words stay. Code stays as it is."""
    text, parts, at = decode_text(data), [], 0
    for fence in _FENCE.finditer(text):
        parts += [_LINK_TO_PAGE.sub(r"\1", text[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join((*parts, _LINK_TO_PAGE.sub(r"\1", text[at:]))).encode(errors="replace")


# --- archives -------------------------------------------------------------------------------------


def list_archive(path: Path) -> list[Item]:
    """The files of an archive and of its parts, each by a name that leads nowhere else. Raises SourceError."""
    try:
        with path.open("rb") as file:
            _require_small_directory(file, str(path))
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, struct.error, ValueError, NotImplementedError) as error:
        raise SourceError(str(path), "The file is no zip archive, or is broken.") from error
    items = _items_of(archive)
    parts = [item for item in items if _PART.fullmatch(item.name)][:MAX_PARTS]
    for part in parts:
        items += _items_of(_open_part(part, str(path)))
    if sum(item.info.file_size for item in items if item.info is not None) > MAX_UNPACKED_BYTES:
        raise SourceError(str(path), "The archive unpacks to more than 32 GB.")
    return items


def _items_of(archive: zipfile.ZipFile) -> list[Item]:
    items: dict[str, Item] = {}
    for info in archive.infolist():
        name = info.filename.replace("\\", "/")
        parts = name.split("/")
        is_link = stat.S_ISLNK(info.external_attr >> 16)
        leads_out = name.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", name)
        is_hidden = any(part.startswith(".") for part in parts) or parts[0] == "__MACOSX"
        if not (info.is_dir() or is_link or leads_out or is_hidden):
            items.setdefault(name, Item(name, archive, info))
    return list(items.values())


def _open_part(part: Item, uri: str) -> zipfile.ZipFile:
    """An archive inside the archive, unpacked into a file without a name."""
    assert part.archive is not None  # noqa: S101 - it comes out of one
    assert part.info is not None  # noqa: S101
    file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as what reads it
    try:
        with part.archive.open(part.info) as packed:
            while block := packed.read(2**20):
                if file.tell() + len(block) > MAX_PART_BYTES:
                    raise SourceError(uri, "A part of the archive unpacks to more than 2 GB.")
                file.write(block)
        _require_small_directory(file, uri)
        return zipfile.ZipFile(file)
    except (OSError, zipfile.BadZipFile, struct.error, RuntimeError, NotImplementedError, EOFError) as error:
        file.close()
        raise SourceError(uri, "A part of the archive is broken.") from error


def _require_small_directory(file: IO[bytes], uri: str) -> None:
    """The list of names is read into memory as a whole. Raises SourceError, struct.error where there is none."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 65_557))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    (directory_bytes,) = struct.unpack_from("<L", tail, at + 12) if at >= 0 else (0,)
    if directory_bytes > MAX_DIRECTORY_BYTES:
        raise SourceError(uri, "The archive holds too many files.")


def read_item(item: Item, uri: str) -> bytes:
    """Its bytes, however many the archive promises. Raises SourceError."""
    too_large = SourceError(uri, f"The file is larger than {MAX_DOCUMENT_BYTES // 2**20} MB.")
    try:
        if item.archive is None or item.info is None:
            with Path(item.path).open("rb") as file:
                data = file.read(MAX_DOCUMENT_BYTES + 1)
        else:
            with item.archive.open(item.info) as packed:
                data = packed.read(MAX_DOCUMENT_BYTES + 1)
    except RuntimeError as error:
        raise SourceError(uri, "The file is protected by a password.") from error
    except (
        OSError,
        zipfile.BadZipFile,
        NotImplementedError,
        EOFError,
        ValueError,
        zlib.error,
    ) as error:
        raise SourceError(uri, "The file is broken in its archive.") from error
    if len(data) > MAX_DOCUMENT_BYTES:
        raise too_large
    return data
