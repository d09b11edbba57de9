"""Node: no model could write, so the stand-in quotes the passages that answer the question."""

from __future__ import annotations

from langgraph.runtime import Runtime

from core.graph.calling import build_request, call_model
from core.graph.state import NothingToQuoteError, TurnContext, TurnState
from core.ports import NO_ANSWER


async def quote(state: TurnState, runtime: Runtime[TurnContext]) -> TurnState:
    """Sets `draft`. Raises NothingToQuoteError: a model might have found an answer, so this is no abstention."""
    context = runtime.context
    request, prompt_id = build_request(
        "answer",
        question=state["question"],
        query=state["query"],
        memory=state["memory"],
        passages=state["passages"],
    )
    because = state["quoted_because"] or "model_failed"
    if context.stand_in is None:
        raise NothingToQuoteError(because)
    draft = await call_model(context.stand_in, request, prompt_id, context.trace)
    if draft.startswith(NO_ANSWER):
        raise NothingToQuoteError(because)
    return {"draft": draft, "abstain_because": None}
