"""A Git repository as a source: its newest state, fetched without history by the git program, and read as a folder.

Nothing of the repository is run: no hooks, no filters, no submodules, no links; only the protocols that the
operator can name. What git says is not logged, because it may hold what the operator's credential helper gave.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from core.errors import SourceError
from core.knowledge.files import FolderSource
from core.knowledge.sources import Content, Entry

TIMEOUT_SECONDS = 300.0
_SECURE = [
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.symlinks=false",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.attributesFile=/dev/null",
    "-c",
    "protocol.allow=never",
    "-c",
    "protocol.https.allow=always",
    "-c",
    "protocol.http.allow=always",
    "-c",
    "protocol.ssh.allow=always",
    "-c",
    "protocol.file.allow=always",
    "-c",
    "http.followRedirects=false",
    "-c",
    "submodule.recurse=false",
    "-c",
    "fetch.recurseSubmodules=false",
    "-c",
    "gc.auto=0",
    "-c",
    "advice.detachedHead=false",
]
_SSH = re.compile(r"(?:[\w.-]+@)?[\w.-]+:(?!//)[\w./~-]+")
_WEB_VIEWS = {
    "github.com": "blob",
    "gitlab.com": "-/blob",
    "codeberg.org": "src/branch",
    "bitbucket.org": "src",
}


class GitSource:
    """`location` is git+https://…, an address that ends in .git, or a path to a repository written git+file://…

    Documents are called by the address of their web view where the host is known to have one, otherwise by the
    repository's name and their path.
    """

    kind = "git"
    lists_everything = True
    tree: Path
    """Where its files are."""

    def __init__(self, location: str, folder: Path, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._address = _parse_address(location)
        self.uri = f"git+{self._address}"
        key = hashlib.sha256(self._address.encode()).hexdigest()[:24]
        # What an address says never becomes a path by itself: a name such as ".." would lead out of the folder.
        name = re.sub(r"[^\w.-]+", "-", re.split(r"[/:]", self._address.rstrip("/"))[-1].removesuffix(".git"))
        self._name = name.strip(".-")[:100] or "repository"
        self._folder = folder / "repositories" / key
        self.tree = self._folder / self._name
        self._timeout_seconds = timeout_seconds
        self._branch = "HEAD"

    async def entries(self) -> Iterable[Entry]:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._bring_up_to_date()
        except TimeoutError as error:
            raise SourceError(
                self.uri, f"The repository did not arrive within {self._timeout_seconds:g} seconds."
            ) from error
        folder = FolderSource(self.tree)
        listed = await folder.entries()
        return (Entry(uri=self.view_of(entry.uri), locator=entry.locator) for entry in listed)

    async def read(self, entry: Entry, validator: str | None = None) -> Content | None:
        return await FolderSource(self.tree).read(entry)

    async def ask(self) -> None:
        """Whether the repository answers, without fetching it. Raises SourceError."""
        await self._git("ls-remote", "--quiet", "--exit-code", "--", self._address, "HEAD")

    def view_of(self, uri: str) -> str:
        """How a document is called that lies at this path, which begins with the repository's name."""
        url = urlsplit(self._address)
        kind = _WEB_VIEWS.get(url.hostname or "")
        if kind is None or url.scheme not in ("http", "https"):
            return uri
        path = uri.partition("/")[2]
        repository = url.path.rstrip("/").removesuffix(".git")
        return urlunsplit(
            ("https", url.netloc, f"{repository}/{kind}/{quote(self._branch)}/{quote(path)}", "", "")
        )

    # --- git --------------------------------------------------------------------------------------

    async def _bring_up_to_date(self) -> None:
        if not await self._fetch():
            # New, or what a process that was killed has left behind.
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True, exist_ok=True)
            await self._git("clone", "--quiet", "--depth=1", "--no-tags", "--", self._address, str(self.tree))
        self._branch = (await self._git("-C", str(self.tree), "rev-parse", "--abbrev-ref", "HEAD")).strip()

    async def _fetch(self) -> bool:
        """Whether the copy that is there is now up to date."""
        if not (self.tree / ".git").is_dir():
            return False
        at = ("-C", str(self.tree))
        try:
            await self._git(*at, "fetch", "--quiet", "--depth=1", "--no-tags", "origin", "HEAD")
            await self._git(*at, "reset", "--quiet", "--hard", "FETCH_HEAD")
            await self._git(*at, "clean", "--quiet", "-ffdx")
        except SourceError:
            # A server that is away keeps its copy; a copy that is broken is made anew.
            await self.ask()
            return False
        return True

    async def _git(self, *arguments: str) -> str:
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "SSH_AUTH_SOCK") if name in os.environ},
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_LFS_SKIP_SMUDGE": "1",
            "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
            "GIT_ASKPASS": "true",
            "LC_ALL": "C",
        }
        try:
            process = await asyncio.create_subprocess_exec(
                "git",
                *_SECURE,
                *arguments,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise SourceError(self.uri, "The program git is not installed.") from error
        try:
            out, complaint = await process.communicate()
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, 9)
                await process.wait()
        if process.returncode:
            raise SourceError(self.uri, _reason_of(complaint.decode(errors="replace")))
        return out.decode(errors="replace")


def _parse_address(location: str) -> str:
    """What git is given. Raises SourceError for protocols other than https, http, ssh and file, and for an
    address with a password, which is not repeated."""
    address = location.removeprefix("git+")
    url = urlsplit(address)
    if url.password or (url.scheme in ("http", "https") and url.username):
        host = url.hostname or "the repository"
        raise SourceError(
            f"git+{url.scheme}://{host}",
            "The address must not hold a user name or a password: give git a credential helper, or use SSH.",
        )
    if url.scheme in ("https", "http", "ssh", "file") or (not url.scheme and address.startswith("/")):
        return address
    if _SSH.fullmatch(address):
        return address
    raise SourceError(location, "A repository is named by an address of https, http, ssh or file.")


def _reason_of(complaint: str) -> str:
    """What went wrong, in our own words."""
    for sign, reason in (
        ("not found", "There is no such repository, or it may not be read without logging in."),
        ("does not exist", "There is no such repository."),
        ("does not appear to be a git", "There is no Git repository at this address."),
        ("could not read Username", "The repository may not be read without logging in."),
        ("Permission denied", "The repository may not be read with this SSH key."),
        ("No space left", "The disk is full."),
    ):
        if sign in complaint:
            return reason
    return "Git could not fetch the repository."
