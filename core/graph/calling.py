"""One call of a chat model inside a node: streamed, traced, bounded, whole or not at all."""

from __future__ import annotations

import time
from collections.abc import Sequence

from core.errors import ModelPermanentError, ModelTransientError
from core.graph.prompts import load_prompt
from core.graph.state import OnText, TurnTrace
from core.messages import Memory, Passage
from core.ports import NO_ANSWER, ChatModel, ModelRequest, Task

MAX_ANSWER_CHARACTERS = 40_000
"""Where a runaway answer is cut off; far beyond what anybody reads in a chat."""


class IncompleteAnswerError(ModelTransientError):
    """The stream ended before the model had finished, or with nothing said."""


class RefusedAnswerError(ModelPermanentError):
    """The model would not answer; another one may."""


def build_request(
    task: Task, *, question: str, memory: Memory, passages: Sequence[Passage] = (), query: str = ""
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
    )
    return request, prompt.id


async def call_model(
    model: ChatModel, request: ModelRequest, prompt_id: str, trace: TurnTrace, on_text: OnText | None = None
) -> str:
    """The whole text of one call. Raises ModelError; a text that was cut off counts as a failure."""
    trace.note_prompt(prompt_id)
    with trace.span(f"model:{request.task}", model=model.name, prompt=prompt_id) as facts:
        text, finish = "", None
        async for delta in model.stream(request):
            if delta.text:
                if not text:
                    facts["first_token_seconds"] = round(time.perf_counter() - trace.began, 6)
                text += delta.text.replace("\x00", "")
                if on_text is not None and may_be_shown(text):
                    on_text(text)
            if delta.use is not None:
                trace.use = trace.use + delta.use
                facts["use"] = delta.use.model_dump()
            finish = delta.finish or finish
            if len(text) > MAX_ANSWER_CHARACTERS:
                finish = "length"
                break
        facts["finish"] = finish
        if finish is None or not text.strip():
            raise IncompleteAnswerError("the stream ended early or empty")
        if finish == "refusal":
            raise RefusedAnswerError(f"{model.name} refused to answer")
        if finish == "length" and request.task == "answer":
            text = (
                text[:MAX_ANSWER_CHARACTERS].rstrip()
                + "\n\n*(The answer was longer than the model may write.)*"
            )
        return text.strip()


def may_be_shown(text: str) -> bool:
    """Not while the text may still turn out to be the word for 'no answer'."""
    start = text.lstrip()
    return bool(start) and not NO_ANSWER.startswith(start[: len(NO_ANSWER)])
