"""Models behind their guards: left alone while they are down, and given up on when they are silent or slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import structlog

from core.errors import ModelError, ModelPermanentError, ModelTransientError
from core.ports import ChatModel, Embedder, ModelDelta, ModelRequest
from core.providers.breaker import CircuitBreaker

log = structlog.get_logger(__name__)


class ModelLeftAloneError(ModelPermanentError):
    """The model has failed too often lately: not asked, so that nobody waits for it."""


class SilentModelError(ModelPermanentError):
    """The model said nothing for too long. Another try would cost as much time: the next model takes over."""


class GuardedChatModel:
    """Implements core.ports.ChatModel around another. `silence_seconds`: the longest pause between two
    signs of life, which the libraries' own time-outs do not see where a connection is kept alive."""

    def __init__(self, model: ChatModel, breaker: CircuitBreaker, *, silence_seconds: float) -> None:
        self._model = model
        self._breaker = breaker
        self._silence_seconds = silence_seconds

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def is_left_alone(self) -> bool:
        """Whether it has failed so often that only a probe goes out now and then."""
        return self._breaker.is_open

    async def prepare(self) -> None:
        await self._model.prepare()

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelDelta]:
        if not self._breaker.admit():
            raise ModelLeftAloneError(f"{self.name} has failed too often and is left alone for now")
        finish = None
        try:
            async with aclosing(self._model.stream(request)) as deltas:  # type: ignore[type-var]
                while (delta := await self._next(deltas)) is not None:
                    finish = delta.finish or finish
                    yield delta
        except (ModelTransientError, SilentModelError):
            self._breaker.note_failure()
            raise
        if finish is None:
            self._breaker.note_failure()
        else:
            self._breaker.note_success()

    async def _next(self, deltas: AsyncIterator[ModelDelta]) -> ModelDelta | None:
        # A limit for each piece, never open across a yield: there it would cut into our caller.
        try:
            async with asyncio.timeout(self._silence_seconds):
                return await anext(deltas, None)
        except TimeoutError:
            raise SilentModelError(f"{self.name} was silent for {self._silence_seconds:g} s") from None


class GuardedEmbedder:
    """Implements core.ports.Embedder around another. A question waits for its vector `seconds` at most, and
    not at all while the embedder keeps failing; documents, which nobody waits for, have all the time."""

    def __init__(self, embedder: Embedder, breaker: CircuitBreaker, *, seconds: float) -> None:
        self._embedder = embedder
        self._breaker = breaker
        self._seconds = seconds

    @property
    def name(self) -> str:
        return self._embedder.name

    @property
    def dimensions(self) -> int:
        return self._embedder.dimensions

    @property
    def max_tokens(self) -> int:
        return self._embedder.max_tokens

    @property
    def is_left_alone(self) -> bool:
        """Whether it has failed so often that only a probe goes out now and then."""
        return self._breaker.is_open

    async def open(self) -> None:
        """Try it once. One that is down is no reason not to begin: words are searched until it is back, and
        documents wait. Raises ModelPermanentError when waiting will not help, as with a wrong key."""
        try:
            await self.embed_query("Is anybody there?")
        except (ModelTransientError, SilentModelError) as error:
            log.warning("embedder_not_reached", embedder=self.name, error=str(error))

    async def embed_documents(self, texts: Sequence[str]) -> list[Sequence[float]]:
        return await self._embedder.embed_documents(texts)

    async def embed_query(self, text: str) -> Sequence[float]:
        if not self._breaker.admit():
            raise ModelLeftAloneError(f"{self.name} has failed too often and is left alone for now")
        try:
            async with asyncio.timeout(self._seconds):
                vector = await self._embedder.embed_query(text)
        except TimeoutError:
            self._breaker.note_failure()
            raise SilentModelError(f"{self.name} gave no vector within {self._seconds:g} s") from None
        except ModelError:
            self._breaker.note_failure()
            raise
        self._breaker.note_success()
        return vector
