"""Which reranker the settings name: one behind HTTP, a LangChain cross-encoder in this process, or none."""

from __future__ import annotations

from contextlib import AsyncExitStack

from core.errors import SettingsError
from core.knowledge.reranking import Reranker
from core.settings import CoreSettings


def open_reranker(settings: CoreSettings, stack: AsyncExitStack) -> Reranker | None:
    """The reranker that the settings name, closed with the stack. Raises SettingsError."""
    if settings.reranker_url and settings.reranker_class:
        raise SettingsError(
            "RERANKER_CLASS", "is set, and RERANKER_URL too.", "Leave one of them out: there is one reranker."
        )
    if settings.reranker_url:
        return _behind_http(settings.reranker_url, settings, stack)
    if settings.reranker_class:
        return _in_process(settings.reranker_class, settings, stack)
    if settings.reranker_model or settings.reranker_api_key:
        raise SettingsError(
            "RERANKER_URL",
            "is not set, but another setting of the reranker is.",
            "Set RERANKER_URL to the whole address of the reranker, or leave all of them out.",
        )
    return None


def _behind_http(url: str, settings: CoreSettings, stack: AsyncExitStack) -> Reranker:
    from core.providers.http_reranker import HttpReranker

    key = settings.reranker_api_key
    reranker = HttpReranker(
        url,
        model=settings.reranker_model,
        api_key=key.get_secret_value() if key else None,
        timeout_seconds=settings.reranker_timeout_seconds,
    )
    stack.push_async_callback(reranker.aclose)
    return reranker


def _in_process(path: str, settings: CoreSettings, stack: AsyncExitStack) -> Reranker:
    from core.providers.cross_encoder import CrossEncoderReranker, load_cross_encoder

    if settings.reranker_api_key:
        raise SettingsError(
            "RERANKER_API_KEY", "is set, but RERANKER_CLASS needs none.", "Leave RERANKER_API_KEY out."
        )
    reranker = CrossEncoderReranker(
        load_cross_encoder(path, settings.reranker_model),
        name=settings.reranker_model or path,
        timeout_seconds=settings.reranker_timeout_seconds,
    )
    stack.push_async_callback(reranker.aclose)
    return reranker
