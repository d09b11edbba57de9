"""Checks that are run for real: what was found, and what to do where something is wrong.

A check never raises for what it looks for: it reports. What a check cannot name itself, a missing
permission of ours or a bug, is reported as such and does not keep the other checks from running.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from pydantic import computed_field

from core.errors import ModelError, SettingsError, SourceError, ThreadloreError
from core.messages import Frozen

if TYPE_CHECKING:
    from core.knowledge.reranking import Reranker
    from core.ports import ChatModel, Embedder, KnowledgeStore
    from core.settings import CoreSettings

CHECK_SECONDS = 30.0


class Checkable(Protocol):
    """A database that can be asked how it is. Raises SettingsError and StorageError."""

    async def ping(self) -> None: ...

    async def require_pgvector(self) -> str:
        """The version of pgvector."""
        ...


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
    return good("knowledge", f"{path} can be read")


async def _check_page(url: str) -> Finding:
    import httpx

    try:
        async with httpx.AsyncClient(timeout=15, follow_redirects=True) as client:
            status = (await client.get(url)).status_code
    except httpx.HTTPError as error:
        return bad("knowledge", f"{url}: {type(error).__name__}", "Check the address and the network.")
    if status >= 400:
        return bad("knowledge", f"{url} answers {status}", "Check the address in KNOWLEDGE.")
    return good("knowledge", f"{url} answers")


# --- what Threadlore stands on ---------------------------------------------------------------------


async def check_database(database: Checkable) -> list[Finding]:
    """Postgres, pgvector and the schema; `database` is migrated already."""
    await database.ping()
    version = await database.require_pgvector()
    return [good("database", f"reachable, schema up to date, pgvector {version}")]


async def check_embedder(embedder: Embedder) -> list[Finding]:
    vector = await embedder.embed_query("Is anybody there?")
    return [good("embedder", f"{embedder.name} gives vectors of {len(vector)} dimensions")]


async def check_reranker(reranker: Reranker | None) -> list[Finding]:
    """One real, short request."""
    if reranker is None:
        return [off("reranker", "passages stay in the order of the search")]
    try:
        await reranker.score("Is anybody there?", ["Nobody is there.", "Somebody is there."])
    except ModelError as error:
        return [bad("reranker", str(error), "Check RERANKER_URL, RERANKER_MODEL and RERANKER_API_KEY.")]
    return [good("reranker", f"{reranker.name} answers")]


async def check_chat_model(model: ChatModel) -> list[Finding]:
    """One real, short request."""
    from core.ports import ModelRequest

    if model.name == "extractive":
        return [
            off(
                "chat model",
                "the extractive answerer quotes the best sentences",
                "Set CHAT_MODEL=provider:model to have answers written.",
            )
        ]
    request = ModelRequest(
        task="answer", system="Answer with one word.", user="Say: ready", question="Say: ready"
    )
    async for delta in model.stream(request):
        if delta.text or delta.finish:
            return [good("chat model", f"{model.name} answers")]
    return [
        bad("chat model", f"{model.name} answers nothing", "Check that the model exists and can be used.")
    ]


async def check_langfuse(settings: CoreSettings) -> list[Finding]:
    """Whether the keys open the project."""
    import httpx

    public, secret = settings.langfuse_public_key, settings.langfuse_secret_key
    if public is None or secret is None:
        return [
            off("langfuse", "traces stay in the database", "Set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY.")
        ]
    url = f"{settings.langfuse_base_url.rstrip('/')}/api/public/projects"
    try:
        async with httpx.AsyncClient(timeout=15, auth=(public, secret.get_secret_value())) as client:
            status = (await client.get(url)).status_code
    except httpx.HTTPError as error:
        return [bad("langfuse", f"{url}: {type(error).__name__}", "Check LANGFUSE_BASE_URL and the network.")]
    if status in (401, 403):
        return [
            bad(
                "langfuse",
                "the keys are refused",
                "Copy both keys from the project's settings, and check LANGFUSE_BASE_URL.",
            )
        ]
    if status >= 400:
        return [bad("langfuse", f"{url} answers {status}", "Check LANGFUSE_BASE_URL.")]
    return [good("langfuse", f"{settings.langfuse_base_url} accepts the keys")]
