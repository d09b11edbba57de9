"""Node: find the passages that the audience of the reply may read."""

from __future__ import annotations

from collections.abc import Sequence

from langgraph.runtime import Runtime

from core.answers import Passage
from core.graph.state import TurnContext, TurnState
from core.knowledge.thread_words import words_of_thread


async def search(state: TurnState, runtime: Runtime[TurnContext]) -> TurnState:
    """Sets `passages`, best first; none at all is a reason to abstain."""
    context = runtime.context
    with context.trace.span("search", query=state["query"]) as facts:
        said = words_of_thread(state["query"], state["memory"])
        passages = tuple(await context.search(state["query"], audience=state["audience"], context=said))
        by_words = found_by_words(passages)
        if by_words:
            facts["by_words_alone"] = True
        facts["passages"] = [
            {
                "rank": passage.rank,
                "chunk_id": passage.chunk_id,
                "document_id": passage.document_id,
                "title": passage.title,
                "uri": passage.uri,
                "author": passage.author,
                "score": passage.score,
                "similarity": passage.similarity,
                "coverage": passage.coverage,
                "dense_rank": passage.dense_rank,
                "lexical_rank": passage.lexical_rank,
            }
            for passage in passages
        ]
    return {
        "passages": passages,
        "by_words_alone": by_words,
        "abstain_because": None if passages else "no_passages",
    }


def found_by_words(passages: Sequence[Passage]) -> bool:
    """Whether nothing was compared by meaning, because the embedder fails."""
    return bool(passages) and all(
        passage.similarity is None and passage.lexical_rank is not None for passage in passages
    )
