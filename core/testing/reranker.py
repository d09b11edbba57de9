"""A reranker without a model, and a server that speaks as hosted ones do, for tests."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aiohttp import web
from langchain_core.cross_encoders import BaseCrossEncoder

from core.testing.loopback import LoopbackServer, never

_WORD = re.compile(r"\w+")


class FakeReranker:
    """The more of the query's words a text holds, the better."""

    name = "fake"
    timeout_seconds = 2.0

    async def score(self, query: str, texts: Sequence[str]) -> list[float]:
        return [_share_of_words(query, text) for text in texts]


def _share_of_words(query: str, text: str) -> float:
    wanted = set(_WORD.findall(query.lower()))
    return len(wanted & set(_WORD.findall(text.lower()))) / max(len(wanted), 1)


class WordCrossEncoder(BaseCrossEncoder):
    """The same as a LangChain cross-encoder. The models `missing`, `breaking` and `terse` cannot be loaded, cannot
    read, and judge only the first text."""

    def __init__(self, model_name: str = "words") -> None:
        if model_name == "missing":
            raise OSError("there is no model of that name")
        self._model = model_name

    def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        if self._model == "breaking":
            raise RuntimeError("the tokenizer gave up")
        read = text_pairs[:1] if self._model == "terse" else text_pairs
        return [_share_of_words(query, text) for query, text in read]


class RerankerServer(LoopbackServer):
    """POST /rerank in both of the common forms. `status` and `body` replace the answer, `silent` withholds it."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[dict[str, object]] = []
        self.authorization: list[str | None] = []
        self.status = 200
        self.body: str | None = None
        self.silent = False
        self._app.router.add_post("/rerank", self._rerank)

    async def _rerank(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.requests.append(asked)
        self.authorization.append(request.headers.get("Authorization"))
        if self.silent:
            await never()
        if self.status != 200 or self.body is not None:
            return web.Response(status=self.status, text=self.body or "")
        texts = asked.get("documents") or asked["texts"]
        scores = await FakeReranker().score(asked["query"], texts)
        order = sorted(range(len(texts)), key=lambda index: -scores[index])
        if "documents" in asked:
            results = [
                {"index": n, "relevance_score": scores[n], "document": {"text": texts[n]}} for n in order
            ]
            return web.json_response({"model": asked["model"], "results": results})
        return web.json_response([{"index": n, "score": scores[n]} for n in order])
