"""The chat models of an installation, from its settings: in order of preference, guarded, paid for.

What the settings do not ask for is not imported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from core.errors import SettingsError
from core.limits import Budget
from core.ports import ChatModel
from core.settings import CoreSettings

if TYPE_CHECKING:
    from core.providers.guarded import GuardedEmbedder


def line_up_models(settings: CoreSettings, on_change: Callable[[str, bool], None]) -> tuple[ChatModel, ...]:
    """The models of the settings, each behind its guards; without any, the extractive answerer.

    `on_change` is told when a model is left alone because it keeps failing, and when it is back. Raises
    SettingsError, also for a model without a price where a budget is set.
    """
    if settings.chat_model is None:
        if settings.chat_model_fallbacks:
            raise SettingsError(
                "CHAT_MODEL_FALLBACKS",
                "is set, but CHAT_MODEL is not.",
                "Set CHAT_MODEL to the model to ask first.",
            )
        return (_build_extractive(settings),)
    from core.providers.breaker import CircuitBreaker
    from core.providers.guarded import GuardedChatModel
    from core.providers.hosted import build_chat_model
    from core.providers.terms import find_terms

    return tuple(
        GuardedChatModel(
            build_chat_model(
                spec,
                terms=find_terms(settings, spec),
                # The guard keeps the time. The client's own limit only ends what the guard has let go of.
                silence_seconds=settings.model_silence_seconds + 1.0,
            ),
            CircuitBreaker(spec, on_change=on_change),
            silence_seconds=settings.model_silence_seconds,
        )
        for spec in (settings.chat_model, *settings.chat_model_fallbacks)
    )


def build_guarded_embedder(
    spec: str, on_change: Callable[[str, bool], None], *, seconds: float
) -> GuardedEmbedder:
    """A hosted embedder behind its guards; a question waits `seconds` at most. Raises SettingsError."""
    from core.providers.breaker import CircuitBreaker
    from core.providers.guarded import GuardedEmbedder
    from core.providers.hosted import build_embedder

    return GuardedEmbedder(build_embedder(spec), CircuitBreaker(spec, on_change=on_change), seconds=seconds)


def choose_stand_in(settings: CoreSettings) -> ChatModel | None:
    """What quotes the documents when no model can write; none where nothing else is ever done."""
    if settings.chat_model is None:
        return None
    return _build_extractive(settings)


def _build_extractive(settings: CoreSettings) -> ChatModel:
    from core.providers.extractive import ExtractiveAnswerer
    from core.providers.local_embedder import NAME

    return ExtractiveAnswerer(settings.embedding_model or NAME)


def put_under_budget(
    models: Sequence[ChatModel],
    settings: CoreSettings,
    budget: Budget,
    *,
    on_spent: Callable[[str, float], None],
    on_refused: Callable[[str], None],
) -> Sequence[ChatModel]:
    """The models, each call of which is paid for from the budget."""
    from core.providers.paying import PayingChatModel
    from core.providers.terms import find_terms

    return [
        PayingChatModel(
            model, budget, find_terms(settings, model.name), on_spent=on_spent, on_refused=on_refused
        )
        for model in models
    ]
