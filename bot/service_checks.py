"""Checks of what Threadlore stands on: the database, the models, the embedder, the reranker and Langfuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bot.doctor import Finding, bad, certificates, good, judge_address, off
from core.errors import EmbeddingMismatchError, ModelError, StorageUnavailableError

if TYPE_CHECKING:
    from core.knowledge.reranking import Reranker
    from core.ports import ChatModel, Embedder, KnowledgeStore
    from core.settings import CoreSettings

KEYED = ("openai", "anthropic")
ADDRESSES = {"openai": "OPENAI_BASE_URL", "anthropic": "ANTHROPIC_BASE_URL", "ollama": "OLLAMA_HOST"}


class Checkable(Protocol):
    """A database that can be asked how it is. Raises SettingsError and StorageError."""

    async def ping(self) -> None: ...

    async def require_pgvector(self) -> str:
        """The version of pgvector."""
        ...

    async def require_whole_session(self) -> None: ...


async def check_database(database: Checkable) -> list[Finding]:
    """Postgres, pgvector and the schema; `database` is migrated already."""
    await database.ping()
    version = await database.require_pgvector()
    await database.require_whole_session()
    return [good("database", f"reachable, schema up to date, pgvector {version}")]


def explain_outage(error: StorageUnavailableError) -> Finding:
    """What an operator can do about a database that does not answer."""
    return bad(
        "database",
        f"DATABASE_URL: {error}",
        "Start PostgreSQL, or correct host and port in DATABASE_URL; leave it out for the embedded Postgres.",
    )


def explain_model(name: str, setting: str, spec: str, error: ModelError) -> Finding:
    """Which setting a model's refusal is about. `setting` names the model, `spec` is its value."""
    provider = spec.partition(":")[0]
    status = getattr(error.__cause__, "status_code", None)
    key = f"{provider.upper()}_API_KEY" if provider in KEYED else f"the key of {provider}"
    address = ADDRESSES.get(provider, f"the address of {provider}")
    if status in (401, 403):
        return bad(name, f"{spec}: the provider refuses {key} ({status})", f"Set {key} to a valid key.")
    if status == 404:
        remedy = f"Correct the name in {setting}, or {address}."
        return bad(name, f"{spec}: the provider knows no such model (404)", remedy)
    if status is None:
        return bad(name, f"{spec} cannot be reached ({error})", f"Check the network and {address}.")
    remedy = f"Look at the provider's status, its limits and your account; check {setting} and {address}."
    return bad(name, f"{spec}: {error}", remedy)


async def check_embedder(embedder: Embedder, store: KnowledgeStore) -> list[Finding]:
    """One real vector, and whether what is stored was made with such ones."""
    from core.messages import Audience

    try:
        vector = await embedder.embed_query("Is anybody there?")
        nobody = Audience(platform="console", workspace="doctor", channel="doctor")
        await store.search("", vector, embedder=embedder.name, audience=nobody, limit=1)
    except ModelError as error:
        return [explain_model("embedder", "EMBEDDING_MODEL", embedder.name, error)]
    except EmbeddingMismatchError as error:
        return [
            bad(
                "embedder",
                f"EMBEDDING_MODEL: {error}",
                "Set EMBEDDING_MODEL to the model that the documents were embedded with, or give it a new name.",
            )
        ]
    return [good("embedder", f"{embedder.name} gives vectors of {len(vector)} dimensions")]


async def check_reranker(reranker: Reranker | None) -> list[Finding]:
    """One real, short request."""
    if reranker is None:
        return [off("reranker", "passages stay in the order of the search")]
    try:
        await reranker.score("Is anybody there?", ["Nobody is there.", "Somebody is there."])
    except ModelError as error:
        return [
            bad(
                "reranker",
                str(error),
                "Check RERANKER_URL or RERANKER_CLASS, RERANKER_MODEL and RERANKER_API_KEY.",
            )
        ]
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
    try:
        async for delta in model.stream(request):
            if delta.text:
                return [good("chat model", f"{model.name} answers")]
    except ModelError as error:
        return [explain_model("chat model", "CHAT_MODEL", model.name, error)]
    return [
        bad("chat model", f"{model.name} answers nothing", "Check that the model exists and can be used.")
    ]


async def check_langfuse(settings: CoreSettings) -> list[Finding]:
    """Whether the keys open the project."""
    import httpx

    public, secret = settings.langfuse_public_key, settings.langfuse_secret_key
    if public is None and secret is None:
        return [
            off("langfuse", "traces stay in the database", "Set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY.")
        ]
    if public is None or secret is None:
        missing = "LANGFUSE_PUBLIC_KEY" if public is None else "LANGFUSE_SECRET_KEY"
        return [bad("langfuse", f"{missing} is not set, but the other key is", "Set both, or neither.")]
    if public.startswith("sk-") or secret.get_secret_value().startswith("pk-"):
        detail = "LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY are swapped"
        return [bad("langfuse", detail, "The public key begins with pk-lf-, the secret one with sk-lf-.")]
    if unsafe := judge_address("langfuse", "LANGFUSE_BASE_URL", settings.langfuse_base_url):
        return unsafe
    url = f"{settings.langfuse_base_url.rstrip('/')}/api/public/projects"
    try:
        auth = (public, secret.get_secret_value())
        async with httpx.AsyncClient(timeout=15, auth=auth, verify=certificates()) as client:
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
