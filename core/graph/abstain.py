"""Node: say honestly that the documents hold no answer, and what was looked at."""

from __future__ import annotations

from langgraph.runtime import Runtime

from core import notices
from core.answers import Answer, Passage
from core.graph.state import TurnContext, TurnState

CLOSEST = 3


async def abstain(state: TurnState, runtime: Runtime[TurnContext]) -> TurnState:
    """Sets `answer` to an abstention. The wording is the same for hidden and for absent documents."""
    reason = state["abstain_because"] or "not_in_documents"
    with runtime.context.trace.span("abstain", reason=reason):
        text = "I could not find an answer to that in the documents I can read here."
        if state["audience"].outsiders:
            text += f" {notices.FOR_OUTSIDERS}"
        closest = closest_documents(state.get("passages", ()))
        if closest:
            text += "\n\nThe closest I found, which does not answer it:\n" + "\n".join(
                f"- {title}" for title in closest
            )
        return {"answer": Answer(text=text, abstained=True, reason=reason)}


def closest_documents(passages: tuple[Passage, ...]) -> list[str]:
    """Title and innermost heading of the best passages, one per document, as Markdown."""
    seen: dict[int, str] = {}
    for passage in passages:
        heading = passage.heading_path[-1] if passage.heading_path else ""
        name = f"{passage.title} – {heading}" if heading and heading != passage.title else passage.title
        linked = f"[{name}]({passage.uri})" if passage.uri.startswith(("http://", "https://")) else name
        seen.setdefault(passage.document_id, linked)
    return list(seen.values())[:CLOSEST]
