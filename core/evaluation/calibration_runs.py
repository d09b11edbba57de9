"""Asks a data set's questions of its own documents and of nobody: searches, reads, and hands the signs of an answer
to core.evaluation.calibrating."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from core.answers import Passage
from core.evaluation.answer_runs import answer_questions
from core.evaluation.calibrating import SIGNALS, WORD_SIGNALS, Calibration, JudgedQuestion, calibrate
from core.evaluation.collection import (
    Progress,
    RunCollection,
    Workbench,
    open_run_collection,
)
from core.evaluation.datasets import Dataset, Query
from core.knowledge.evidence import measure_signals, read_passages
from core.knowledge.search import Knowledge
from core.messages import Frozen

PASSAGES_READ = 8
"""As many as an answer is written from."""
MOST_OFF_TOPIC = 100
"""Questions of each other set that are asked."""


class CalibrationResult(Frozen):
    """The judgement that reads similarities of this embedder, and the one by words alone."""

    dataset: str
    embedder: str
    with_similarity: Calibration
    by_words: Calibration


async def run_calibration(
    dataset: Dataset,
    bench: Workbench,
    *,
    off_topic: Sequence[Dataset] = (),
    split: str | None = None,
    every: int = 1,
) -> CalibrationResult:
    """Fit and measure. `off_topic`: sets whose questions the documents cannot answer, so that what is far away
    is learned too; `every`: ask only every so-manieth question. Raises DatasetError if the set does not say which questions can be answered."""
    questions = answer_questions(dataset, split, sample=False)[::every]
    groups = {entry.id: entry.title or entry.id for entry in dataset.corpus()}
    foreign = [query for other in off_topic for query in _spread(other.queries())]
    knowledge = Knowledge(bench.store, bench.embedder)
    judged: list[JudgedQuestion] = []
    async with open_run_collection(dataset, bench) as run:
        own = [(query, groups.get(query.source or "", query.id)) for query in questions]
        for query, group in [*own, *((query, None) for query in foreign)]:
            judged.append(await _judge(query, group, knowledge, run))
            bench.on_progress(Progress(step="ask", done=len(judged), total=len(questions) + len(foreign)))
    name = f"half of {dataset.name} ({len(questions)} questions)"
    if off_topic:
        name += f" and {len(foreign)} questions of {', '.join(other.name for other in off_topic)}"
    return CalibrationResult(
        dataset=dataset.name,
        embedder=bench.embedder.name,
        with_similarity=calibrate(judged, SIGNALS, name),
        by_words=calibrate(judged, WORD_SIGNALS, name),
    )


async def _judge(query: Query, group: str | None, knowledge: Knowledge, run: RunCollection) -> JudgedQuestion:
    text = query.rewrite or query.text
    passages: Sequence[Passage] = await knowledge.read(
        text, audience=run.audience, limit=PASSAGES_READ, collections=[run.name]
    )
    return JudgedQuestion(
        id=query.id,
        group=group,
        answerable=bool(query.answerable) and group is not None,
        signals=measure_signals(text, passages, read_passages(text, passages)),
    )


def _spread(queries: Sequence[Query]) -> Iterator[Query]:
    """A fixed selection from the whole list."""
    step = max(1, len(queries) // MOST_OFF_TOPIC)
    yield from queries[::step][:MOST_OFF_TOPIC]
