"""Node: hold every citation against its passage; an answer without a valid one is not given."""

from __future__ import annotations

from langgraph.runtime import Runtime

from core.answers import Answer
from core.citations import check_citations
from core.graph.state import TurnContext, TurnState


async def check(state: TurnState, runtime: Runtime[TurnContext]) -> TurnState:
    """Sets `answer`, or `abstain_because` when nothing of the draft is supported."""
    with runtime.context.trace.span("check") as facts:
        checked = check_citations(state["draft"], state["passages"])
        facts["citations"] = len(checked.citations)
        facts["dropped"] = checked.dropped
        if not checked.citations:
            return {"abstain_because": "unsupported"}
        return {"answer": Answer(text=checked.text, citations=checked.citations)}
