"""A LangChain cross-encoder as a reranker: any class with langchain_core's BaseCrossEncoder as its base."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

from langchain_core.cross_encoders import BaseCrossEncoder

from core.errors import ModelPermanentError, SettingsError

SETTING = "RERANKER_CLASS"


class CrossEncoderReranker:
    """Implements core.knowledge.reranking.Reranker in this process.

    One thread works for it: a model reads one question at a time anyway, and a call that nobody waits for any
    more is not begun.
    """

    def __init__(self, encoder: BaseCrossEncoder, *, name: str, timeout_seconds: float) -> None:
        self._encoder = encoder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reranker")
        self.name = name
        self.timeout_seconds = timeout_seconds

    async def aclose(self) -> None:
        """Begin nothing more. What is being read is not waited for."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def score(self, query: str, texts: Sequence[str]) -> list[float]:
        if not texts:
            return []
        pairs = [(query, text) for text in texts]
        try:
            scores = await asyncio.get_running_loop().run_in_executor(
                self._thread, self._encoder.score, pairs
            )
            known = [float(score) for score in scores]
        except Exception as error:  # whatever the model's own package raises
            raise ModelPermanentError(f"the reranker failed: {type(error).__name__}: {error}") from error
        if len(known) != len(texts):
            raise ModelPermanentError("the reranker gave something else than one score for each text")
        return known


def load_cross_encoder(path: str, model: str | None) -> BaseCrossEncoder:
    """The class at `path` (package.module:Class), made with `model_name` if a model is named. SettingsError if
    there is none, or it cannot be made."""
    module, _, name = path.partition(":")
    try:
        wanted = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise SettingsError(
            SETTING,
            f"names {path}, which cannot be imported: {error}.",
            "Install the package beside Threadlore, or correct the name: package.module:Class.",
        ) from error
    if not (isinstance(wanted, type) and issubclass(wanted, BaseCrossEncoder)):
        raise SettingsError(
            SETTING,
            f"names {path}, which is no LangChain cross-encoder.",
            "Name a class whose base is langchain_core.cross_encoders.BaseCrossEncoder.",
        )
    try:
        return wanted(**({"model_name": model} if model else {}))
    except Exception as error:  # whatever the model's own package raises
        raise SettingsError(
            SETTING,
            f"names {path}, which cannot be made: {type(error).__name__}: {str(error)[:300]}",
            "Install what the message asks for, or name another model with RERANKER_MODEL.",
        ) from error
