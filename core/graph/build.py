"""The graph of one turn, as the diagram in docs/architecture.md shows it.

                            quote ─┐
                              ↑    ↓
    [rewrite →] search ─┬→ answer ─┬→ check ─┬→ (end)
                        │   ↻ next │         │
                        └──────────┴─────────┴→ abstain → (end)

The first question of a thread needs no rewrite; a model that fails hands over to the next, and the last
one to the stand-in, which quotes.

No checkpointer: a run is short, the inbox repeats it after a crash, the Turn is the record. Nodes are
run at least once, so nothing in here posts, spends a budget or remembers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import RetryPolicy

from core.errors import ModelTransientError, StorageUnavailableError
from core.graph.abstain import abstain
from core.graph.answer import MAX_ATTEMPTS_PER_MODEL, answer, hand_over
from core.graph.check import check
from core.graph.quote import quote
from core.graph.rewrite import rewrite
from core.graph.search import search
from core.graph.state import TurnContext, TurnState

TurnGraph = CompiledStateGraph[TurnState, TurnContext, TurnState, TurnState]


def build_graph() -> TurnGraph:
    """Compile the graph; one serves all turns."""
    graph = StateGraph(TurnState, context_schema=TurnContext)
    graph.add_node("rewrite", rewrite)
    graph.add_node(
        "search",
        search,
        retry_policy=RetryPolicy(
            # Patient for six seconds in all, as with the memory: a database starts again after a crash.
            max_attempts=6,
            initial_interval=0.2,
            backoff_factor=2.0,
            retry_on=StorageUnavailableError,
            jitter=False,
        ),
    )
    graph.add_node(
        "answer",
        answer,
        # The node itself waits as long as the provider asks, so the policy adds next to nothing.
        retry_policy=RetryPolicy(
            max_attempts=MAX_ATTEMPTS_PER_MODEL,
            initial_interval=0.01,
            backoff_factor=1.0,
            jitter=False,
            retry_on=ModelTransientError,
        ),
        error_handler=hand_over,
    )
    graph.add_node("quote", quote)
    graph.add_node("check", check)
    graph.add_node("abstain", abstain)

    graph.add_conditional_edges(START, where_to_begin, ["rewrite", "search"])
    graph.add_edge("rewrite", "search")
    graph.add_conditional_edges("search", or_abstain("answer"), ["answer", "abstain"])
    graph.add_conditional_edges("answer", or_abstain("check"), ["check", "abstain"])
    graph.add_edge("quote", "check")
    graph.add_conditional_edges("check", or_abstain(END), [END, "abstain"])
    graph.add_edge("abstain", END)
    return graph.compile()


async def where_to_begin(state: TurnState) -> str:
    """The first question of a thread stands on its own."""
    return "search" if state["memory"].is_empty else "rewrite"


def or_abstain(following: str) -> Callable[[TurnState], Awaitable[str]]:
    """The next node, unless a reason to abstain has come up. Async, so that no thread is woken for it."""

    async def choose(state: TurnState) -> str:
        return "abstain" if state.get("abstain_because") else following

    return choose
