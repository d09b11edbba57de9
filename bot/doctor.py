"""Checks that are run for real: what was found, and what to do where something is wrong.

A check never raises for what it looks for: it reports. What a check cannot name itself, a missing
permission of ours or a bug, is reported as such and does not keep the other checks from running.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import os
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from pydantic import computed_field

from core.errors import SettingsError, SourceError, ThreadloreError
from core.messages import Frozen

if TYPE_CHECKING:
    from core.ports import KnowledgeStore
    from core.settings import CoreSettings

CHECK_SECONDS = 30.0
OUR_PREFIXES = ("SLACK_", "DISCORD_", "LANGFUSE_", "THREADLORE_")
CALLED_OTHERWISE = {"LANGFUSE_HOST": "LANGFUSE_BASE_URL"}
WRONG_CLOCK_SECONDS = 120.0


class Finding(Frozen):
    """What one check found. `off`: not set up, and nothing is wrong with that."""

    name: str
    status: Literal["ok", "failed", "off"]
    detail: str
    remedy: str | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ok(self) -> bool:
        return self.status != "failed"


Check = Callable[[], Awaitable[Sequence[Finding]]]


def good(name: str, detail: str) -> Finding:
    return Finding(name=name, status="ok", detail=detail)


def bad(name: str, detail: str, remedy: str) -> Finding:
    return Finding(name=name, status="failed", detail=detail, remedy=remedy)


def off(name: str, detail: str, remedy: str | None = None) -> Finding:
    return Finding(name=name, status="off", detail=detail, remedy=remedy)


def wrong_setting(name: str, error: SettingsError) -> Finding:
    return bad(name, f"{error.setting}: {error.problem}", error.remedy)


@cache
def certificates() -> ssl.SSLContext:
    """Whom the checks trust: read once, which takes longer than most checks."""
    return ssl.create_default_context()


async def run_check(name: str, check: Check) -> list[Finding]:
    """The findings of one check, whatever happens to it."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return list(await check())
    except TimeoutError:
        return [
            bad(name, f"no answer within {CHECK_SECONDS:.0f} s", "Check the network and the address set.")
        ]
    except SettingsError as error:
        return [wrong_setting(name, error)]
    except ThreadloreError as error:
        return [bad(name, str(error), "Follow what the message says; the README explains every setting.")]
    except Exception as error:  # the other checks must still run
        return [bad(name, f"{type(error).__name__}: {error}", "Please report this as a bug.")]


# --- the settings as such --------------------------------------------------------------------------


def check_names(environment: Mapping[str, str], known: Collection[str]) -> list[Finding]:
    """Names that are nearly ours, and values that kept their quotation marks."""
    findings = []
    for name, value in sorted(environment.items()):
        if name in known and len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            findings.append(
                bad(
                    "settings",
                    f"{name}: the quotation marks are part of the value",
                    f"Set {name} without quotation marks.",
                )
            )
        meant = _meant_by(name, known)
        if meant is not None and value and not environment.get(meant):
            findings.append(bad("settings", f"{name} is not a setting", f"Call it {meant}."))
    return findings or [good("settings", "every name is known")]


def _meant_by(name: str, known: Collection[str]) -> str | None:
    if name in known or not name.startswith(OUR_PREFIXES):
        return None
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    return CALLED_OTHERWISE.get(name) or (close[0] if close else None)


def judge_address(name: str, setting: str, url: str) -> list[Finding]:
    """A finding for an address over which secrets would travel unencrypted through the internet."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "ws") or not _is_public(host):
        return []
    secure = {"http": "https", "ws": "wss"}[parts.scheme]
    detail = f"{setting} begins with {parts.scheme}://: secrets would travel in clear text"
    return [bad(name, detail, f"Let {setting} begin with {secure}://.")]


def _is_public(host: str) -> bool:
    """Names without a dot and private addresses are of one's own network."""
    with contextlib.suppress(ValueError):
        return ip_address(host).is_global
    return "." in host and not host.endswith((".local", ".internal", ".localhost"))


def judge_clock(date: str | None) -> list[Finding]:
    """A finding when this machine's clock is far from that of a server; `date` is its Date header."""
    try:
        theirs = parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return []
    ahead = time.time() - theirs
    if abs(ahead) < WRONG_CLOCK_SECONDS:
        return []
    side = "ahead of" if ahead > 0 else "behind"
    return [
        bad(
            "clock",
            f"this machine is {abs(ahead) / 60:.0f} minutes {side} the platform",
            "Have the clock set by NTP: Slack's signatures are refused after five minutes, and ages are misjudged.",
        )
    ]


# --- this machine ----------------------------------------------------------------------------------


async def check_home(settings: CoreSettings) -> list[Finding]:
    """Whether our own data can be written."""
    home = settings.threadlore_home
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        return [
            bad(
                "home",
                f"{home.absolute()} cannot be written ({error.strerror})",
                "Set THREADLORE_HOME to a folder that this user may write to.",
            )
        ]
    return [good("home", f"{home.absolute()} can be written")]


async def check_knowledge(locations: Iterable[str], store: KnowledgeStore | None) -> list[Finding]:
    """Whether the places named by KNOWLEDGE are there, and how their last sync went."""
    findings = [await _check_location(location) for location in locations]
    for source in await store.sources() if store is not None else ():
        if source.error:
            findings.append(
                bad("knowledge", f"{source.uri}: {source.error}", "Mend it; the next sync takes it up.")
            )
        else:
            findings.append(good("knowledge", f"{source.uri}: {source.documents} documents"))
    return findings


async def _check_location(location: str) -> Finding:
    from core.knowledge.locations import name_location

    try:
        uri, kind = name_location(location)
    except SourceError as error:
        return bad("knowledge", str(error), "Correct KNOWLEDGE.")
    if kind == "git":
        return await _check_repository(location)
    if kind in ("web", "website", "feed"):
        return await _check_page(uri.removeprefix("site+").removeprefix("rss+"))
    return _check_path(location)


async def _check_repository(location: str) -> Finding:
    from core.knowledge.git import GitSource
    from core.knowledge.locations import DEFAULT_HOME

    try:
        await GitSource(location, DEFAULT_HOME).ask()
    except SourceError as error:
        return bad("knowledge", str(error), "Check the address, and what git may read as this user.")
    return good("knowledge", f"{location} answers")


def _check_path(location: str) -> Finding:
    path = Path(location).expanduser()
    if not path.exists():
        return bad("knowledge", f"{path} does not exist", "Correct KNOWLEDGE, or make the folder.")
    if not os.access(path, os.R_OK):
        return bad("knowledge", f"{path} cannot be read", "Give this user read permission.")
    if path.is_dir() and not any(entry.is_file() for entry in path.rglob("*")):
        return bad(
            "knowledge",
            f"{path} has no file in it",
            "Put documents there, or correct KNOWLEDGE or the mount.",
        )
    return good("knowledge", f"{path} can be read")


async def _check_page(url: str) -> Finding:
    import httpx

    try:
        async with httpx.AsyncClient(timeout=15, follow_redirects=True, verify=certificates()) as client:
            status = (await client.get(url)).status_code
    except httpx.HTTPError as error:
        return bad(
            "knowledge", f"{url}: {type(error).__name__}", "Check the network, and the address in KNOWLEDGE."
        )
    if status >= 400:
        return bad("knowledge", f"{url} answers {status}", "Check the address in KNOWLEDGE.")
    return good("knowledge", f"{url} answers")
