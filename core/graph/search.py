"""Node: find the passages that the audience of the reply may read."""

from __future__ import annotations

from langgraph.runtime import Runtime

from core.graph.state import TurnContext, TurnState


async def search(state: TurnState, runtime: Runtime[TurnContext]) -> TurnState:
    """Sets `passages`, best first; none at all is a reason to abstain."""
    context = runtime.context
    with context.trace.span("search", query=state["query"]) as facts:
        passages = tuple(await context.search(state["query"], audience=state["audience"]))
        facts["passages"] = [
            {
                "rank": passage.rank,
                "chunk_id": passage.chunk_id,
                "document_id": passage.document_id,
                "title": passage.title,
                "uri": passage.uri,
                "score": passage.score,
                "similarity": passage.similarity,
                "dense_rank": passage.dense_rank,
                "lexical_rank": passage.lexical_rank,
            }
            for passage in passages
        ]
    return {"passages": passages, "abstain_because": None if passages else "no_passages"}
