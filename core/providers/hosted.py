"""Chat models and embedders of providers, through LangChain, behind our ports.

One call is one request: no retries here, and no deadline but the one for silence on the line.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from core.answers import TokenUse
from core.errors import ModelPermanentError, SettingsError
from core.ports import ModelDelta, ModelRequest
from core.providers.failures import explain_failure
from core.providers.prices import Price, find_price
from core.providers.settings import ProviderSettings
from core.providers.terms import Terms
from core.settings import read_settings

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessageChunk

SILENCE_SECONDS = 60.0
"""How long a provider may say nothing before the call counts as failed, unless the caller says otherwise."""

TEXTS_PER_REQUEST = 128
MAX_TOKENS = {"openai": 8191}
MAX_TOKENS_ELSEWHERE = 2048

LOADED_LATER = frozenset({"openai", "anthropic", "ollama"})
"""Providers whose packages are part of Threadlore and whose settings are ours: what can be wrong with them is known
without loading them, which takes a second or two. Any other package has to be loaded to be asked."""

Finish = Literal["stop", "length", "refusal"]
FINISHES: dict[str, Finish] = {
    "length": "length",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "incomplete": "length",
    "content_filter": "refusal",
    "refusal": "refusal",
    "safety": "refusal",
}
"""The providers' words for an end that is not the model's own; any other word is one."""


def build_chat_model(
    spec: str,
    settings: ProviderSettings | None = None,
    *,
    terms: Terms | None = None,
    silence_seconds: float = SILENCE_SECONDS,
) -> HostedChatModel:
    """The model that `provider:model` names; without `terms`, at its list price and without a limit of ours
    on what it writes. Raises SettingsError: unknown, not installed, no key."""
    settings = settings or read_settings(ProviderSettings)
    provider = spec.partition(":")[0]
    arguments = _connection("CHAT_MODEL", provider, settings, silence_seconds)
    if provider == "openai":
        # Our own limit on silence does; theirs sets a timer for every piece.
        arguments |= {"stream_usage": True, "stream_chunk_timeout": None}
        if settings.openai_base_url:  # servers of others speak chat completions only
            arguments["use_responses_api"] = False
    terms = terms or Terms(price=find_price(spec), output_tokens=None)
    if terms.output_tokens is not None:
        arguments["num_predict" if provider == "ollama" else "max_tokens"] = terms.output_tokens
    hosted = HostedChatModel(spec, partial(_load_chat_model, spec, arguments), terms.price)
    if provider not in LOADED_LATER:
        hosted.load()
    return hosted


def _load_chat_model(spec: str, arguments: Mapping[str, Any]) -> BaseChatModel:
    from langchain.chat_models import init_chat_model

    provider, _, model = spec.partition(":")
    built: BaseChatModel = _build(
        "CHAT_MODEL", spec, init_chat_model, model, model_provider=provider, **arguments
    )
    return built


def build_embedder(spec: str, settings: ProviderSettings | None = None) -> HostedEmbedder:
    """The embedder that `provider:model` names; `open` it before use. Raises SettingsError."""
    from langchain.embeddings import init_embeddings

    provider, _, model = spec.partition(":")
    settings = settings or read_settings(ProviderSettings)
    arguments = _connection("EMBEDDING_MODEL", provider, settings, SILENCE_SECONDS)
    if provider == "openai":
        # Else it counts tokens, with a vocabulary that it downloads.
        arguments |= {"check_embedding_ctx_length": False, "chunk_size": TEXTS_PER_REQUEST}
    return HostedEmbedder(
        spec, _build("EMBEDDING_MODEL", spec, init_embeddings, model, provider=provider, **arguments)
    )


def _connection(
    setting: str, provider: str, settings: ProviderSettings, silence_seconds: float
) -> dict[str, Any]:
    """Arguments that say where and as whom to call, and for how long it may be silent. Raises SettingsError when
    the key is missing."""
    if provider == "ollama":
        return {"base_url": settings.ollama_host, "client_kwargs": {"timeout": silence_seconds}}
    arguments: dict[str, Any] = {"max_retries": 0, "timeout": silence_seconds}
    if provider not in ("openai", "anthropic"):
        return arguments
    key = getattr(settings, f"{provider}_api_key")
    if key is None:
        name = f"{provider}_api_key"
        raise SettingsError(
            name.upper(),
            f"is not set, and {setting} names a model of {provider}.",
            ProviderSettings.model_fields[name].description or "",
        )
    arguments["api_key"] = key
    if base_url := getattr(settings, f"{provider}_base_url"):
        arguments["base_url"] = base_url
    return arguments


def _build(setting: str, spec: str, build: Callable[..., Any], *positional: Any, **named: Any) -> Any:
    """Call LangChain's builder; what it raises becomes a SettingsError."""
    provider = spec.partition(":")[0]
    try:
        return build(*positional, **named)
    except ImportError as error:
        raise SettingsError(
            setting, f"the package for {provider!r} is not installed.", f"{_last_line(error)}."
        ) from error
    except Exception as error:
        if "nsupported" in str(error) or "not supported" in str(error):
            problem = f"{provider!r} is no provider that LangChain knows."
            remedy = "Use openai:…, anthropic:…, ollama:… or another provider of init_chat_model."
        else:
            problem = f"{spec!r} could not be set up ({type(error).__name__})."
            remedy = f"Check the model's name and that the key of {provider} is in the environment."
        raise SettingsError(setting, problem, remedy) from error


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].rstrip(".") if str(error).strip() else "Install it"


class HostedChatModel:
    """Implements core.ports.ChatModel on a model of LangChain's, which `build` gives; it raises SettingsError."""

    def __init__(self, spec: str, build: Callable[[], BaseChatModel], price: Price | None) -> None:
        self._spec = spec
        self._build = build
        self._model: BaseChatModel | None = None
        self._loading = asyncio.Lock()
        self._price = price

    @property
    def name(self) -> str:
        return self._spec

    def load(self) -> None:
        """Now, in this thread: a second or two where the provider's package has to be imported. Raises
        SettingsError."""
        self._model = self._build()

    async def prepare(self) -> None:
        await self._loaded()

    async def _loaded(self) -> BaseChatModel:
        async with self._loading:
            if self._model is None:
                try:
                    self._model = await asyncio.to_thread(self._build)
                except SettingsError as error:
                    raise ModelPermanentError(str(error)) from error
            return self._model

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelDelta]:
        """Yields text as it comes; the last delta holds finish and use, and is missing after a cut."""
        model = self._model or await self._loaded()
        messages = [("system", request.system), ("human", request.user)]
        finish: Finish | None = None
        use: TokenUse | None = None
        try:
            async with aclosing(model.astream(messages)) as chunks:  # type: ignore[type-var]
                async for chunk in chunks:
                    finish = _read_finish(chunk) or finish
                    use = self._add_use(use, chunk)
                    if text := str(chunk.text):
                        yield ModelDelta(text=text)
        except Exception as error:
            raise explain_failure(error) from error
        if finish is not None:
            yield ModelDelta(finish=finish, use=use)

    def _add_use(self, use: TokenUse | None, chunk: AIMessageChunk) -> TokenUse | None:
        counted = chunk.usage_metadata
        if counted is None:
            return use
        input_tokens, output_tokens = counted["input_tokens"], counted["output_tokens"]
        cached_tokens = (counted.get("input_token_details") or {}).get("cache_read") or 0
        more = TokenUse(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cost_usd=self._price and self._price.cost_usd(input_tokens, output_tokens, cached_tokens),
        )
        return more if use is None else use + more


def _read_finish(chunk: AIMessageChunk) -> Finish | None:
    if chunk.additional_kwargs.get("refusal"):
        return "refusal"
    said = chunk.response_metadata
    reason = (
        said.get("finish_reason") or said.get("stop_reason") or said.get("done_reason") or said.get("status")
    )
    return FINISHES.get(str(reason).lower(), "stop") if reason else None


class HostedEmbedder:
    """Implements core.ports.Embedder on an embedder of LangChain's; vectors are scaled to length 1."""

    def __init__(self, spec: str, model: Embeddings) -> None:
        self._spec = spec
        self._model = model
        self._dimensions: int | None = None

    @property
    def name(self) -> str:
        return self._spec

    @property
    def dimensions(self) -> int:
        """Known from the first vector on."""
        if self._dimensions is None:
            raise RuntimeError("the embedder has given no vector yet")
        return self._dimensions

    @property
    def max_tokens(self) -> int:
        return MAX_TOKENS.get(self._spec.partition(":")[0], MAX_TOKENS_ELSEWHERE)

    async def open(self) -> None:
        """Learn the dimension by one call. Raises ModelError when the provider does not answer it."""
        if self._dimensions is None:
            await self.embed_query("dimension")

    async def aclose(self) -> None:
        """Nothing to let go of: LangChain shares its connections."""

    async def embed_query(self, text: str) -> Sequence[float]:
        try:
            vector = _scale(await self._model.aembed_query(self._cut(text)))
        except Exception as error:
            raise explain_failure(error) from error
        self._dimensions = len(vector)
        return vector

    async def embed_documents(self, texts: Sequence[str]) -> list[Sequence[float]]:
        vectors: list[Sequence[float]] = []
        try:
            for start in range(0, len(texts), TEXTS_PER_REQUEST):
                batch = [self._cut(text) for text in texts[start : start + TEXTS_PER_REQUEST]]
                vectors.extend(map(_scale, await self._model.aembed_documents(batch)))
        except Exception as error:
            raise explain_failure(error) from error
        return vectors

    def _cut(self, text: str) -> str:
        """Text that surely fits: hardly a script needs more than a token for a character. Never
        empty, which some providers refuse."""
        return text[: self.max_tokens] or " "


def _scale(vector: Sequence[float]) -> list[float]:
    length = math.sqrt(math.fsum(value * value for value in vector)) or 1.0
    return [value / length for value in vector]
