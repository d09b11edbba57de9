"""Node: turn a follow-up into a question that stands on its own, with the thread's memory."""

from __future__ import annotations

import asyncio

from langgraph.runtime import Runtime

from core.errors import ModelError
from core.graph.calling import build_request, call_model
from core.graph.state import TurnContext, TurnState
from core.knowledge.rewriting import rewrite_question

MAX_QUERY_CHARACTERS = 600
REWRITE_SECONDS = 15.0
"""A rewrite that takes longer is not worth waiting for: the one by rules will do."""


async def rewrite(state: TurnState, runtime: Runtime[TurnContext]) -> TurnState:
    """Sets `query`. A model that fails here costs quality, never the answer."""
    question, memory, context = state["question"], state["memory"], runtime.context
    with context.trace.span("rewrite") as facts:
        query = question
        request, prompt_id = build_request("rewrite", question=question, memory=memory, payer=context.payer)
        try:
            async with asyncio.timeout(REWRITE_SECONDS):
                written = await call_model(context.models[0], request, prompt_id, context.trace)
            query = one_line(written) or question
        except (ModelError, TimeoutError) as error:
            facts["failed"] = type(error).__name__
            query = rewrite_question(question, memory)
        facts["changed"] = query != question
        facts["query"] = query
    return {"query": query}


def one_line(text: str) -> str:
    """The first line of what a model wrote, without quotes; empty when it is no question any more."""
    line = text.strip().partition("\n")[0].strip().strip('"“”').strip()
    return line if len(line) <= MAX_QUERY_CHARACTERS else ""
