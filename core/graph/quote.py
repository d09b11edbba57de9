"""Node: no model could write, so the stand-in quotes the passages that answer the question."""

from __future__ import annotations

from langgraph.runtime import Runtime

from core.errors import ModelError
from core.graph.calling import build_request, call_model
from core.graph.state import TurnContext, TurnState
from core.ports import NO_ANSWER


class NothingToQuoteError(ModelError):
    """No model could write, and the passages hold no sentence that answers the question by itself."""


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
    if context.stand_in is None:
        raise NothingToQuoteError("there is no stand-in")
    draft = await call_model(context.stand_in, request, prompt_id, context.trace)
    if draft.startswith(NO_ANSWER):
        raise NothingToQuoteError("nothing in the passages answers by itself")
    return {"draft": draft, "abstain_because": None}
