"""One call of a chat model inside a node: streamed, traced, bounded, whole or not at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing

from core.answers import Memory, Passage
from core.errors import ModelError, ModelPermanentError, ModelTransientError
from core.graph.prompts import load_prompt
from core.graph.state import OnText, TurnTrace
from core.messages import Payer
from core.ports import NO_ANSWER, ChatModel, ModelRequest, Task

MAX_ANSWER_CHARACTERS = 40_000
"""Where a runaway answer is cut off; far beyond what anybody reads in a chat."""


CHARACTERS_PER_TOKEN = 4
"""For an estimate, where a call broke off before its use was told."""


class IncompleteAnswerError(ModelTransientError):
    """The stream ended before the model had finished, or with nothing said."""


class SlowModelError(ModelError):
    """The model was still writing when its share of the turn's time was over: the next one takes over."""


class RefusedAnswerError(ModelPermanentError):
    """The model would not answer; another one may."""


def build_request(
    task: Task,
    *,
    question: str,
    memory: Memory,
    payer: Payer | None = None,
    passages: Sequence[Passage] = (),
    query: str = "",
) -> tuple[ModelRequest, str]:
    """The request of a task and the id of the prompt it is rendered from.

    The prompt holds the question as it was asked, beside the memory; what reads no prompt gets the
    standalone `query` where there is one.
    """
    prompt = load_prompt(task)
    user = prompt.render_user(question=question, memory=memory, passages=passages)
    request = ModelRequest(
        task=task,
        system=prompt.system,
        user=user,
        question=query or question,
        passages=tuple(passages),
        memory=memory,
        payer=payer,
    )
    return request, prompt.id


async def call_model(
    model: ChatModel,
    request: ModelRequest,
    prompt_id: str,
    trace: TurnTrace,
    on_text: OnText | None = None,
    *,
    deadline: float | None = None,
) -> str:
    """The whole text of one call. Raises ModelError; a text that was cut off counts as a failure.

    `deadline` is a time of the loop's clock: what is not whole by then raises SlowModelError.
    """
    trace.note_prompt(prompt_id)
    with trace.span(f"model:{request.task}", model=model.name, prompt=prompt_id) as facts:
        try:
            async with asyncio.timeout_at(deadline) as limit:
                text, finish = await _listen(model, request, trace, facts, on_text)
        except TimeoutError:
            if not limit.expired():
                raise
            raise SlowModelError(f"{model.name} was not done when its time was over") from None
        facts["finish"] = finish
        if finish == "refusal":
            raise RefusedAnswerError(f"{model.name} refused to answer")
        if finish is None or not text.strip():
            raise IncompleteAnswerError("the stream ended early or empty")
        if finish == "length" and request.task == "answer":
            text = (
                text[:MAX_ANSWER_CHARACTERS].rstrip()
                + "\n\n*(The answer was longer than the model may write.)*"
            )
        return text.strip()


async def _listen(
    model: ChatModel,
    request: ModelRequest,
    trace: TurnTrace,
    facts: dict[str, object],
    on_text: OnText | None,
) -> tuple[str, str | None]:
    """What the model says and why it stopped. Notes the first token and the use, also of a call that fails."""
    text, finish, use = "", None, None
    trace.calls += 1
    try:
        async with aclosing(model.stream(request)) as deltas:  # type: ignore[type-var]
            async for delta in deltas:
                if delta.text:
                    if not text:
                        facts["first_token_seconds"] = round(time.perf_counter() - trace.began, 6)
                    text += delta.text.replace("\x00", "")
                    if on_text is not None and may_be_shown(text):
                        on_text(text)
                use = delta.use or use
                finish = delta.finish or finish
                if len(text) > MAX_ANSWER_CHARACTERS:
                    return text, "length"
    finally:
        if use is not None:
            trace.use = trace.use + use
            facts["use"] = use.model_dump()
            trace.tokens += use.input_tokens + use.output_tokens
        else:
            trace.tokens += (len(request.system) + len(request.user) + len(text)) // CHARACTERS_PER_TOKEN
    return text, finish


def may_be_shown(text: str) -> bool:
    """Not while the text may still turn out to be the word for 'no answer'."""
    start = text.lstrip()
    return bool(start) and not NO_ANSWER.startswith(start[: len(NO_ANSWER)])
