"""A query of a data set as it would be asked in a thread: with the turns before it in memory."""

from __future__ import annotations

from uuid import UUID

from core.answers import Memory
from core.errors import ModelError
from core.evaluation.datasets import Query
from core.memory import fit
from core.ports import ChatModel

MEMORY_TOKENS = 2000
"""What a thread remembers word for word, unless the settings say otherwise."""
NO_TURN = UUID(int=0)


def memory_of(query: Query, memory_tokens: int = MEMORY_TOKENS) -> Memory:
    """The turns before a query, as a thread without a summary remembers them: the newest that fit."""
    turns: list[tuple[str, str]] = []
    for said in query.history:
        if said.role == "user" or not turns:
            turns.append((said.text, "") if said.role == "user" else ("", said.text))
        else:
            question, answer = turns[-1]
            turns[-1] = (question, f"{answer}\n{said.text}".strip())
    kept = fit([(NO_TURN, question, answer) for question, answer in turns], memory_tokens)
    return Memory(turns=tuple(turns[len(turns) - kept :]))


async def rewrite_with_history(query: Query, rewriter: ChatModel) -> str:
    """The query as the assistant would search for it in its thread; unchanged if the model fails."""
    from core.graph.calling import build_request
    from core.graph.rewrite import one_line

    memory = memory_of(query)
    if memory.is_empty:
        return query.text
    request, _ = build_request("rewrite", question=query.text, memory=memory)
    try:
        written = "".join([delta.text async for delta in rewriter.stream(request)])
    except ModelError:
        return query.text
    return one_line(written) or query.text
