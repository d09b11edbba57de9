"""Rewriting runs with a model that fails on some turns."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

from core.errors import ModelPermanentError
from core.evaluation.collection import Progress
from core.evaluation.datasets import read_queries
from core.evaluation.rewriting_runs import run_rewriting
from core.ports import ModelDelta, ModelRequest

BEFORE = [{"role": "user", "text": "When do ferries leave?"}]
TURNS = [
    {"id": "q1", "text": "When do ferries leave?", "rewrite": "When do ferries leave?"},
    {"id": "q2", "text": "And buses?", "history": BEFORE, "rewrite": "When do buses leave?"},
    {"id": "q3", "text": "And trains?", "history": BEFORE, "rewrite": "When do trains leave?"},
]


class Rewriter:
    """A chat model that rewrites the question about buses alone."""

    name = "test:rewriter"

    async def prepare(self) -> None: ...

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelDelta]:
        if "buses" not in request.question:
            raise ModelPermanentError("not this one")
        yield ModelDelta(text="When do buses leave?")
        yield ModelDelta(finish="stop")


async def test_a_turn_that_the_model_could_not_rewrite_stays_and_is_counted(tmp_path: Path) -> None:
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(turn) + "\n" for turn in TURNS))
    seen: list[Progress] = []

    result = await run_rewriting(read_queries(tmp_path), Rewriter(), concurrency=2, on_progress=seen.append)

    assert (result.rewriter, result.asked, result.failed) == ("test:rewriter", 2, 1)
    # and, trains / when, do, trains, leave: 1 in common
    assert result.values["token F1"] == {"q1": 1.0, "q2": 1.0, "q3": 2 * 1 / (2 + 4)}
    assert result.values["changed"] == {"q2": 1.0, "q3": 0.0}
    assert result.values["left alone"] == {"q1": 1.0}
    figures = result.all
    assert (figures.reference_changed, figures.changed_too, figures.left_too) == (2, 1, 1)
    assert result.parts == {}
    assert seen[-1] == Progress(step="ask", done=3, total=3)
