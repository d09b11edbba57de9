"""Documents to measure with: a folder of files, or an archive of them. Nothing is unpacked onto the disk."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from core.errors import DatasetError, SourceError
from core.knowledge.documents import Document
from core.knowledge.loading import ENDINGS, MAX_DOCUMENT_BYTES, load_document

ARCHIVES = (".tar.gz", ".tgz", ".zip")


def read_library(path: Path) -> list[Document]:
    """Every readable document of a folder or an archive, in the order of their names; of a folder
    that holds an archive, what is in that. Raises DatasetError."""
    if not path.exists():
        raise DatasetError(f"{path}: there is no folder or archive of this name.")
    if path.is_dir():
        archives = [file for file in sorted(path.iterdir()) if file.name.endswith(ARCHIVES)]
        path = archives[0] if len(archives) == 1 else path
    documents = [
        document for name, data in sorted(_files(path)) if (document := _load(name, data)) is not None
    ]
    if not documents:
        raise DatasetError(f"{path}: there is no document in it that can be read.")
    return documents


def _load(name: str, data: bytes) -> Document | None:
    try:
        return load_document(data, uri=name, name=PurePosixPath(name).name)
    except SourceError:
        return None


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        if path.is_dir():
            yield from _of_folder(path)
        elif path.name.endswith(".zip"):
            yield from _of_zip(path)
        elif path.name.endswith(ARCHIVES):
            yield from _of_tar(path)
        else:
            raise DatasetError(f"{path}: this is neither a folder nor a {', '.join(ARCHIVES)} archive.")
    except (OSError, tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise DatasetError(f"{path}: it cannot be read. Is it complete?") from error


def _is_document(name: str, size: int) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") for part in path.parts)
    return path.suffix.lower() in ENDINGS and not hidden and size <= MAX_DOCUMENT_BYTES


def _of_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    for file in folder.rglob("*"):
        # Links from the root name the folder too.
        name = (Path(folder.resolve().name) / file.relative_to(folder)).as_posix()
        if file.is_file() and not file.is_symlink() and _is_document(name, file.stat().st_size):
            yield name, file.read_bytes()


def _of_tar(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile() and _is_document(member.name, member.size):
                content = archive.extractfile(member)
                if content is not None:
                    yield member.name, content.read()


def _of_zip(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.is_dir() and _is_document(member.filename, member.file_size):
                yield member.filename, archive.read(member)
