"""Packages of Office Open XML, as Word, Excel and PowerPoint write them: a zip archive of XML parts that name each other.

Nothing outside of the package is ever loaded. A part with a document type is refused: no office program writes
one, and entities that unfold without end come with it.
"""

from __future__ import annotations

import io
import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lxml import etree

from core.knowledge.loading.text import UnreadableError

MAX_UNPACKED_BYTES = 256 * 2**20
_CONTAINER = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""How an encrypted package begins, and so does a file of before 2007."""
_SAFE = {"resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": False}
_PROGRAMS = {"openpyxl", "python-docx", "Apache POI"}
"""What libraries name as the author when nobody did."""


@dataclass(frozen=True, slots=True)
class Relation:
    """From one part to another. `kind` is the last word of its type, `part` the name of the other."""

    kind: str
    part: str


class Package:
    """The parts by their names. `main` is that of the document itself."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._parts = {_normalize(entry.filename): entry for entry in archive.infolist()}
        above = self.relations("")
        self.main = next(relation.part for relation in above.values() if relation.kind == "officeDocument")
        core = next((relation.part for relation in above.values() if relation.kind == "core-properties"), "")
        properties = self.parse(core) if core in self else None
        self.title = _text(properties, "title")
        author = _text(properties, "creator")
        self.author = None if author in _PROGRAMS else author

    def __contains__(self, part: str) -> bool:
        return _normalize(part) in self._parts

    def parse(self, part: str) -> Any:
        """The root element of a part."""
        with self._archive.open(self._parts[_normalize(part)]) as file:
            root = etree.parse(file, etree.XMLParser(**_SAFE)).getroot()
        _refuse_document_type(root)
        return root

    def iterate(self, part: str, *names: str) -> Iterator[Any]:
        """The elements of these local names, each when it is complete and only until the next one is asked for."""
        with self._archive.open(self._parts[_normalize(part)]) as file:
            checked = False
            for _, element in etree.iterparse(file, tag=[f"{{*}}{name}" for name in names], **_SAFE):
                if not checked:
                    _refuse_document_type(element)
                    checked = True
                yield element
                element.clear()
                while element.getprevious() is not None:
                    del element.getparent()[0]

    def relations(self, part: str) -> dict[str, Relation]:
        """By their ids; those that lead out of the package are left out."""
        folder, name = posixpath.split(part)
        listed = posixpath.join(folder, "_rels", f"{name}.rels")
        if listed not in self:
            return {}
        return {
            node.get("Id", ""): Relation(
                node.get("Type", "").rpartition("/")[2],
                posixpath.normpath(posixpath.join("/", folder, node.get("Target", ""))).lstrip("/"),
            )
            for node in self.parse(listed).iterfind("{*}Relationship")
            if node.get("TargetMode") != "External"
        }


@contextmanager
def open_package(data: bytes, kind: str) -> Iterator[Package]:
    """`kind` is what people call the file. Raises UnreadableError, also for what turns out broken inside of the
    `with` block."""
    with open_archive(data, kind) as archive:
        try:
            yield Package(archive)
        except (
            zipfile.BadZipFile, zlib.error, EOFError, SyntaxError, StopIteration, LookupError, ValueError, TypeError,
            AttributeError, RuntimeError, NotImplementedError,
        ) as error:  # fmt: skip
            if getattr(error, "code", None) == etree.ErrorTypes.ERR_NO_MEMORY:
                raise MemoryError from error
            # What zipfile and lxml (a SyntaxError) raise, and what reading makes of parts that lack something.
            raise UnreadableError(f"The {kind} is broken.") from error


def open_archive(data: bytes, kind: str) -> zipfile.ZipFile:
    """The package as an archive. Raises UnreadableError for what is none, is encrypted or unpacks to an absurd
    size."""
    if data.startswith(_CONTAINER):
        raise UnreadableError(f"The {kind} is protected by a password, or is of the time before 2007.")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise UnreadableError(f"The file is no {kind}, is broken, or is encrypted.") from error
    if sum(entry.file_size for entry in archive.infolist()) > MAX_UNPACKED_BYTES:
        raise UnreadableError(f"The {kind} unpacks to more than {MAX_UNPACKED_BYTES // 2**20} MB.")
    return archive


def is_true(element: Any, name: str) -> bool:
    """Whether an attribute says yes."""
    return str(element.get(name, "")).lower() in ("1", "true", "on")


def find_relation_id(element: Any) -> str:
    """The relation that an element refers to; "" if it refers to none."""
    return next((str(value) for name, value in element.attrib.items() if name.endswith("}id")), "")


def _normalize(name: str) -> str:
    """Names of parts are the same whatever their case; some programs write them with backslashes."""
    return name.replace("\\", "/").lstrip("/").lower()


def _text(properties: Any, name: str) -> str | None:
    return (properties.findtext(f"{{*}}{name}") or "").strip() or None if properties is not None else None


def _refuse_document_type(element: Any) -> None:
    if element.getroottree().docinfo.internalDTD is not None:
        raise ValueError
