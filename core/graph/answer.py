"""Node: let the model on duty answer from the passages; hand over to the next one when it cannot."""

from __future__ import annotations

import asyncio
import random
from typing import Literal

import structlog
from langgraph.errors import NodeError
from langgraph.runtime import Runtime
from langgraph.types import Command

from core.errors import BudgetSpentError, ModelError, ModelTransientError
from core.graph.calling import build_request, call_model
from core.graph.state import QuoteReason, TurnContext, TurnState
from core.ports import NO_ANSWER

MAX_ATTEMPTS_PER_MODEL = 3
LONGEST_WAIT_SECONDS = 20.0
"""A provider that asks for more patience than this is passed over for the next model, if there is one."""

SHARE_OF_THE_TIME = 2 / 3
"""How much of the time that is left one attempt may take, when another model could take over."""
SHARE_BEFORE_QUOTING = 0.75
LONGEST_QUOTING_SECONDS = 3.0
"""What the stand-in needs on a busy machine; a model without another behind it may take all of the time but this."""

log = structlog.get_logger(__name__)


async def answer(state: TurnState, runtime: Runtime[TurnContext]) -> TurnState:
    """Sets `draft`, or `abstain_because` when the model finds no answer in the passages."""
    context = runtime.context
    model = context.models[state["model_index"]]
    request, prompt_id = build_request(
        "answer",
        question=state["question"],
        query=state["query"],
        memory=state["memory"],
        passages=state["passages"],
        payer=context.payer,
    )
    context.trace.require_room()
    deadline = _deadline_of_attempt(context, state["model_index"])
    try:
        draft = await call_model(
            model, request, prompt_id, context.trace, on_text=context.on_text, deadline=deadline
        )
    except ModelTransientError as error:
        await _wait_before_retry(error, runtime)
        raise
    if draft.startswith(NO_ANSWER):
        return {"draft": "", "abstain_because": "not_in_documents"}
    return {"draft": draft, "abstain_because": None}


def _deadline_of_attempt(context: TurnContext, model_index: int) -> float:
    """When this attempt has to be done, so that whoever takes over still has time."""
    now = asyncio.get_running_loop().time()
    left = context.deadline - now
    if model_index + 1 < len(context.models):
        return now + left * SHARE_OF_THE_TIME
    if context.stand_in is not None:
        return now + max(left * SHARE_BEFORE_QUOTING, left - LONGEST_QUOTING_SECONDS)
    return context.deadline


async def _wait_before_retry(error: ModelTransientError, runtime: Runtime[TurnContext]) -> None:
    """Wait as the provider asks (or a little, growing), when another attempt follows within the deadline."""
    info = runtime.execution_info
    attempt = info.node_attempt if info else MAX_ATTEMPTS_PER_MODEL
    if attempt >= MAX_ATTEMPTS_PER_MODEL:
        return
    wait = error.retry_after_seconds
    if wait is None:
        wait = 0.25 * 2 ** (attempt - 1) * random.uniform(0.8, 1.2)  # noqa: S311 - jitter, not a secret
    left = runtime.context.deadline - asyncio.get_running_loop().time()
    if wait > LONGEST_WAIT_SECONDS or wait >= left * SHARE_OF_THE_TIME:
        raise NoTimeToWaitError("the provider asks for more time than there is") from error
    await asyncio.sleep(wait)


class NoTimeToWaitError(ModelError):
    """Not worth waiting for this model: the next one takes over."""


class EveryModelFailedError(ModelError):
    """No model is left to try."""


async def hand_over(
    state: TurnState, error: NodeError, runtime: Runtime[TurnContext]
) -> Command[Literal["answer", "quote"]]:
    """After the last attempt of one model: the next model takes over, from the start; after the last
    model, the stand-in."""
    if not isinstance(error.error, ModelError):
        raise error.error
    following = state["model_index"] + 1
    context = runtime.context
    log.warning(
        "model_failed",
        model=context.models[state["model_index"]].name,
        error=type(error.error).__name__,
        detail=str(error.error)[:300],
        following=context.models[following].name if following < len(context.models) else None,
    )
    if following >= len(context.models):
        if context.stand_in is None:
            raise EveryModelFailedError("no model is left to try") from error.error
        because: QuoteReason = "budget_spent" if isinstance(error.error, BudgetSpentError) else "model_failed"
        return Command(update={"quoted_because": because}, goto="quote")
    return Command(update={"model_index": following}, goto="answer")
