"""Which operating system user runs the embedded Postgres. It refuses to run as root, so root hands
the server (never a folder above the data) to somebody else."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import SettingsError

CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True)
class ServerAccount:
    """The user that the server runs as. `is_ours`: it is the user of this very process."""

    uid: int
    gid: int
    name: str
    is_ours: bool

    def process_options(self) -> dict[str, Any]:
        """Keyword arguments for a subprocess that runs as this user."""
        if self.is_ours:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Hand one file or folder over."""
        if not self.is_ours:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def can_reach(self, path: Path) -> bool:
        """Whether the user may enter the folder and every folder above it, by their modes."""
        if self.is_ours:
            return True
        real = path.resolve()
        return all(self._may_enter(folder) for folder in (real, *real.parents))

    def _may_enter(self, folder: Path) -> bool:
        status = folder.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def choose_account(folder: Path) -> ServerAccount:
    """The user to run a server whose data lies, or will lie, in the folder.

    Ourselves; as root the owner of the data, or of the nearest folder there is, or an existing
    unprivileged user. Raises SettingsError if the data belongs to somebody whom we cannot be.
    """
    owner = owner_of_nearest(folder)
    if os.geteuid() != 0:
        if folder.exists() and owner != os.geteuid():
            raise SettingsError(
                "THREADLORE_HOME",
                f"The data in {folder} belongs to {_name_of(owner)}.",
                f"Start Threadlore as {_name_of(owner)}, or set THREADLORE_HOME to a folder of your own.",
            )
        return ServerAccount(os.geteuid(), os.getegid(), _name_of(os.geteuid()), is_ours=True)
    if owner != 0 and _exists(owner):
        return _account(pwd.getpwuid(owner))
    if owner != 0 and folder.exists():
        raise SettingsError(
            "THREADLORE_HOME",
            f"The data in {folder} belongs to user id {owner}, which this machine does not know.",
            "Give the folder to an existing user, or set THREADLORE_HOME to another folder.",
        )
    for name in CANDIDATES:
        try:
            return _account(pwd.getpwnam(name))
        except KeyError:
            continue
    raise SettingsError(
        "DATABASE_URL",
        "It is not set, and the embedded PostgreSQL does not run as root.",
        "Start Threadlore as an ordinary user, or set DATABASE_URL.",
    )


def nearest_folder(path: Path) -> Path:
    """The path itself, or the closest folder above it that exists."""
    return next(candidate for candidate in (path, *path.absolute().parents) if candidate.exists())


def owner_of_nearest(path: Path) -> int:
    """The user id that owns `nearest_folder`."""
    return nearest_folder(path).stat().st_uid


def _account(entry: pwd.struct_passwd) -> ServerAccount:
    return ServerAccount(entry.pw_uid, entry.pw_gid, entry.pw_name, is_ours=False)


def _exists(uid: int) -> bool:
    return any(entry.pw_uid == uid for entry in pwd.getpwall())


def _name_of(uid: int) -> str:
    return pwd.getpwuid(uid).pw_name if _exists(uid) else f"user id {uid}"
