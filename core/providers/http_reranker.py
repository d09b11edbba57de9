"""A reranker behind HTTP, as Jina, Cohere, vLLM, Infinity and Hugging Face's text-embeddings-inference serve it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx
from pydantic import ConfigDict, TypeAdapter, ValidationError

from core.errors import ModelPermanentError, ModelTransientError
from core.messages import Frozen

TIMEOUT_SECONDS = 30.0
"""For a call that nobody limits; whoever waits for an answer keeps to `timeout_seconds`."""


class _Score(Frozen):
    model_config = ConfigDict(frozen=True, extra="ignore")

    index: int
    relevance_score: float | None = None
    score: float | None = None


_SCORES = TypeAdapter(list[_Score])


class HttpReranker:
    """Implements core.knowledge.reranking.Reranker. With a model the request is Jina's and Cohere's, without one
    that of text-embeddings-inference, which serves one model; answers are read in either form."""

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._url = url
        self._model = model
        self.timeout_seconds = timeout_seconds
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.AsyncClient(timeout=TIMEOUT_SECONDS, headers=headers)

    @property
    def name(self) -> str:
        return self._model or self._url

    async def aclose(self) -> None:
        await self._client.aclose()

    async def score(self, query: str, texts: Sequence[str]) -> list[float]:
        if not texts:
            return []
        try:
            response = await self._client.post(self._url, json=self._request(query, texts))
        except httpx.HTTPError as error:
            raise ModelTransientError(f"the reranker cannot be reached: {type(error).__name__}") from error
        if response.status_code == 429 or response.status_code >= 500:
            raise ModelTransientError(f"the reranker answered with status {response.status_code}")
        if response.status_code != 200:
            raise ModelPermanentError(f"the reranker answered with status {response.status_code}")
        return _parse(response, len(texts))

    def _request(self, query: str, texts: Sequence[str]) -> dict[str, Any]:
        if self._model is None:
            return {"query": query, "texts": list(texts), "truncate": True}
        return {"model": self._model, "query": query, "documents": list(texts), "top_n": len(texts)}


def _parse(response: httpx.Response, count: int) -> list[float]:
    """The scores in the order of the texts. Raises ModelTransientError for anything else."""
    problem = "the reranker answered something else than one score for each text"
    try:
        body = response.json()
        scores = _SCORES.validate_python(body.get("results") if isinstance(body, dict) else body)
    except (ValueError, ValidationError) as error:
        raise ModelTransientError(problem) from error
    by_index = {s.index: s.score if s.relevance_score is None else s.relevance_score for s in scores}
    found = [by_index.get(index) for index in range(count)]
    known = [score for score in found if score is not None]
    if len(known) != count:
        raise ModelTransientError(problem)
    return known
