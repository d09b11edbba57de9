"""Runs a data set's questions through the assistant and measures the answers: whether it was right to
answer or to abstain, whether the expected answer is in the text, whether the right document is cited."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterable, Sequence
from typing import Protocol

from pydantic import Field

from core.answers import Answer, Memory, Passage, TokenUse
from core.errors import DatasetError
from core.evaluation.answer_metrics import (
    Abstention,
    auroc,
    citation_precision,
    citation_validity,
    contains_gold,
    measure_abstention,
)
from core.evaluation.collection import (
    OnProgress,
    Progress,
    RunCollection,
    Workbench,
    open_run_collection,
)
from core.evaluation.datasets import Dataset, Query
from core.evaluation.follow_ups import memory_of
from core.evaluation.metrics import Interval, bootstrap_interval, mean
from core.messages import Audience, Frozen


class Reply(Frozen):
    """What an assistant made of one question. `evidence` is higher the surer it is that the documents
    hold an answer, None if it found nothing or has no such figure. `failed`: there is no answer for technical reasons."""

    answer: Answer
    passages: tuple[Passage, ...] = ()
    evidence: float | None = None
    use: TokenUse = TokenUse()
    failed: bool = False


class Ask(Protocol):
    """One question, with the turns before it, answered from what the audience may read."""

    async def __call__(self, question: str, *, memory: Memory, audience: Audience) -> Reply: ...


class AnswersResult(Frozen):
    """Shares from 0 to 1. `gold_contained` is over the answerable questions that were answered,
    `gold_contained_of_all` over all answerable ones; `citation_precision` is the share of an answer's
    cited documents that are the question's source, `citation_validity` of markers and quotes that hold.
    None: the set or the assistant has nothing to compute it from. `intervals` are 95%, by name.
    `values` holds what is known question by question, by question id."""

    dataset: str
    split: str | None
    questions: int
    answered: int
    failed: int
    abstention: Abstention
    auroc: float | None
    gold_contained: float | None
    gold_contained_of_all: float | None
    citation_precision: float | None
    citation_validity: float | None
    intervals: dict[str, Interval]
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    seconds_per_question: float
    seconds: float
    values: dict[str, dict[str, float]] = Field(default_factory=dict, exclude=True)


async def run_answers(
    dataset: Dataset,
    ask: Ask,
    bench: Workbench,
    *,
    split: str | None = None,
    sample: bool = False,
    concurrency: int = 4,
) -> AnswersResult:
    """Ask every question that the set calls answerable or not; `sample` asks the flagged ones only.

    The bench takes in the corpus; `ask` must search the same store. Raises DatasetError
    if the set has no such questions.
    """
    began = time.perf_counter()
    questions = answer_questions(dataset, split, sample=sample)
    async with open_run_collection(dataset, bench) as run:
        timed = await _ask_all(questions, ask, run, concurrency, bench.on_progress)
    return measure_replies(
        dataset.name,
        split,
        questions,
        [reply for reply, _ in timed],
        seconds_per_question=mean([seconds for _, seconds in timed]),
        seconds=time.perf_counter() - began,
    )


def answer_questions(dataset: Dataset, split: str | None, *, sample: bool) -> list[Query]:
    """The questions with an `answerable` flag. Raises DatasetError if there is none."""
    questions = [each for each in dataset.queries(split) if each.answerable is not None]
    if sample:
        questions = [each for each in questions if each.sample]
    if not questions:
        raise DatasetError(
            f'{dataset.folder}: no question says whether it can be answered. Add "answerable": true or false'
            + (' and "sample": true to some of them.' if sample else " to the queries.")
        )
    return questions


async def _ask_all(
    questions: Sequence[Query], ask: Ask, run: RunCollection, concurrency: int, on_progress: OnProgress
) -> list[tuple[Reply, float]]:
    """Replies in the order of the questions, each with the seconds that it took."""
    seats = asyncio.Semaphore(concurrency)
    done = 0

    async def reply_to(question: Query) -> tuple[Reply, float]:
        nonlocal done
        async with seats:
            started = time.perf_counter()
            reply = await ask(question.text, memory=memory_of(question), audience=run.audience)
            done += 1
            on_progress(Progress(step="ask", done=done, total=len(questions)))
            return reply, time.perf_counter() - started

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(reply_to(question)) for question in questions]
    return [task.result() for task in tasks]


def measure_replies(
    name: str,
    split: str | None,
    questions: Sequence[Query],
    replies: Sequence[Reply],
    *,
    seconds_per_question: float,
    seconds: float,
) -> AnswersResult:
    """The figures of a run. A failed reply counts as an abstention, and in `failed`."""
    pairs = list(zip(questions, replies, strict=True))
    silent = [reply.answer.abstained or reply.failed for reply in replies]
    answerable = [bool(question.answerable) for question in questions]
    right = [float(gave_up != can) for gave_up, can in zip(silent, answerable, strict=True)]
    spoken = [pair for pair, gave_up in zip(pairs, silent, strict=True) if not gave_up]
    contained = [
        (float(contains_gold(reply.answer.text, question.answers)))
        for question, reply in spoken
        if question.answerable and question.answers
    ]
    expecting = sum(1 for question in questions if question.answerable and question.answers)
    cited = _known(
        citation_precision([citation.uri for citation in reply.answer.citations], [question.source])
        for question, reply in spoken
        if question.answerable and question.source is not None
    )
    valid = _known(citation_validity(reply.answer, reply.passages) for _, reply in spoken)
    use = sum((reply.use for reply in replies), TokenUse())
    evidence = [reply.evidence for reply in replies]
    return AnswersResult(
        dataset=name,
        split=split,
        questions=len(pairs),
        answered=len(spoken),
        failed=sum(reply.failed for reply in replies),
        abstention=measure_abstention(silent, answerable),
        auroc=auroc([-math.inf if value is None else value for value in evidence], answerable)
        if _known(evidence)
        else None,
        gold_contained=mean(contained) if contained else None,
        gold_contained_of_all=sum(contained) / expecting if expecting else None,
        citation_precision=mean(cited) if cited else None,
        citation_validity=mean(valid) if valid else None,
        intervals={
            figure: bootstrap_interval(values)
            for figure, values in (
                ("accuracy", right),
                ("gold_contained", contained),
                ("citation_precision", cited),
            )
            if values
        },
        input_tokens=use.input_tokens,
        output_tokens=use.output_tokens,
        cost_usd=use.cost_usd,
        seconds_per_question=seconds_per_question,
        seconds=seconds,
        values=values_by_question(pairs),
    )


def values_by_question(pairs: Sequence[tuple[Query, Reply]]) -> dict[str, dict[str, float]]:
    """What can be said of single questions: right to answer or to abstain (of all, of the answerable and of the
    unanswerable ones), and what was said where it answered rightly."""
    values: dict[str, dict[str, float]] = {
        name: {}
        for name in ("accuracy", "answered", "abstained", "gold_contained_of_all", "citation_precision")
    }
    for question, reply in pairs:
        silent = reply.answer.abstained or reply.failed
        values["accuracy"][question.id] = float(silent != bool(question.answerable))
        if not question.answerable:
            values["abstained"][question.id] = float(silent)
            continue
        values["answered"][question.id] = float(not silent)
        if question.answers:
            values["gold_contained_of_all"][question.id] = float(
                not silent and contains_gold(reply.answer.text, question.answers)
            )
        if question.source is not None and not silent:
            cited = citation_precision([c.uri for c in reply.answer.citations], [question.source])
            if cited is not None:
                values["citation_precision"][question.id] = cited
    return values


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]
