"""langchain-postgres' PGVectorStore under the same questions: a process with an environment of its own, because that
library cannot be installed beside the pgvector that Threadlore uses. Knows nothing of Threadlore.

First line in: {url, settings: of the connections, questions: [{text, vector}]}. Then, for each line with {question:
its number, collections: what may be read, null for all, by: "words and vector" or "vector"}, a line out:
{milliseconds, ids}.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_postgres import PGEngine, PGVectorStore
from langchain_postgres.v2.hybrid_search_config import HybridSearchConfig

TABLE = "pgvectorstore"
ROWS = 10


class Prepared(Embeddings):
    """The vectors of the questions are known beforehand."""

    def __init__(self, vectors: dict[str, list[float]]) -> None:
        self._vectors = vectors

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self._vectors[text] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self._vectors[text]

    async def aembed_query(self, text: str) -> list[float]:
        return self._vectors[text]


def make_config() -> HybridSearchConfig:
    """New for each question: the library keeps the words of the first one in it for all later ones."""
    return HybridSearchConfig(tsv_column="content_tsv", primary_top_k=ROWS, secondary_top_k=ROWS)


async def open_store(url: str, settings: dict[str, str], vectors: dict[str, list[float]]) -> Any:
    return await PGVectorStore.create(
        PGEngine.from_connection_string(url, connect_args={"server_settings": settings}),
        embedding_service=Prepared(vectors),
        table_name=TABLE,
        metadata_columns=["collection_id"],
        hybrid_search_config=make_config(),
    )


async def main() -> None:
    given = json.loads(sys.stdin.readline())
    questions = given["questions"]
    vectors = {question["text"]: question["vector"] for question in questions}
    store = await open_store(given["url"], given["settings"], vectors)
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        wanted = asked["collections"]
        narrowed = {"collection_id": {"$in": wanted}} if wanted else None
        text = questions[asked["question"]]["text"]
        config = make_config() if asked["by"] == "words and vector" else None
        began = time.perf_counter()
        found = await store.asimilarity_search(text, k=ROWS, filter=narrowed, hybrid_search_config=config)
        milliseconds = 1000 * (time.perf_counter() - began)
        print(json.dumps({"milliseconds": milliseconds, "ids": [d.id for d in found]}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
