"""The one door of the core: a question comes in, a finished turn comes out, whatever happens between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from core import notices
from core.answers import Answer, Memory, Outcome, Turn, trace_id_for
from core.errors import ModelError, SearchImpairedError, StorageUnavailableError, ThreadloreError
from core.graph.state import (
    STEPS_LIMIT,
    NothingToQuoteError,
    QuoteReason,
    Search,
    TurnContext,
    TurnState,
    TurnTrace,
)
from core.knowledge.first_reading import FirstReading
from core.memory import ThreadMemory
from core.messages import Author, Frozen, Message, Payer, Thread
from core.ports import ChatModel

if TYPE_CHECKING:
    from core.graph.build import TurnGraph

PASSAGES_PER_ANSWER = 8
"""How many passages a model gets to answer from."""
PAUSES_SECONDS = (0.2, 0.4, 0.8, 1.6, 3.2)
"""Before the database is asked again: six seconds in all, longer than it takes to start again after a crash."""

log = structlog.get_logger(__name__)


class Question(Frozen):
    """What is asked, by whom, where. `earlier`: what was said in the thread before we were summoned."""

    turn_id: UUID
    message_id: str
    thread: Thread
    author: Author
    text: str
    asked_at: datetime
    earlier: tuple[Message, ...] = ()

    @property
    def begins_thread(self) -> bool:
        """Nothing was said in the thread before: it is named after this very message."""
        return self.message_id == self.thread.id


class Assistant:
    """Answers questions. Holds no state between turns; one serves all threads at once.

    `stand_in` quotes the documents when none of the models can write an answer. `first_reading` tells while
    documents have not been read yet, so that whoever asks learns of it.
    """

    def __init__(
        self,
        graph: TurnGraph,
        models: Sequence[ChatModel],
        search: Search,
        memory: ThreadMemory,
        *,
        turn_timeout_seconds: float,
        max_question_characters: int,
        stand_in: ChatModel | None = None,
        first_reading: FirstReading | None = None,
    ) -> None:
        self._graph = graph
        self._models = models
        self._stand_in = stand_in
        self._first_reading = first_reading
        self._search = search
        self._memory = memory
        self._timeout_seconds = turn_timeout_seconds
        self._max_question_characters = max_question_characters

    async def answer(self, question: Question, on_text: Callable[[str], None] = lambda text: None) -> Turn:
        """The turn, finished: answered, abstained, failed (with a notice for the asker) or refused.

        `on_text` is told the text as it grows; a text that does not continue the one before replaces
        it. Ends within the turn's time limit and raises nothing but cancellation.
        """
        trace = TurnTrace()
        if not question.text.strip():
            return self._turn(question, trace, refusal(notices.NOTHING_ASKED, "empty"), "refused")
        if len(question.text) > self._max_question_characters:
            notice = notices.too_long(self._max_question_characters)
            return self._turn(question, trace, refusal(notice, "too_long"), "refused")
        state: TurnState = {}
        try:
            async with asyncio.timeout(self._timeout_seconds):
                state = await self._run(question, trace, on_text)
            remarks = await self._remarks(question, state)
            answer = introduce(state["answer"], state.get("quoted_because"), remarks)
            outcome: Outcome = "abstained" if answer.abstained else "answered"
        except TimeoutError:
            log.warning("turn_timed_out", after_seconds=self._timeout_seconds)
            answer, outcome = refusal(notices.TIMED_OUT, "timed_out"), "failed"
        except NothingToQuoteError as error:
            answer, outcome = unable(error.because)
        except ModelError as error:
            log.error("turn_failed", error=type(error).__name__, detail=str(error)[:300])
            answer, outcome = refusal(notices.MODEL_FAILED, "model_failed"), "failed"
        except SearchImpairedError:
            log.error("turn_failed", error="SearchImpairedError")
            answer, outcome = refusal(notices.SEARCH_IMPAIRED, "search_impaired"), "failed"
        except ThreadloreError as error:
            log.error("turn_failed", error=type(error).__name__, detail=str(error)[:300])
            answer, outcome = refusal(notices.BROKEN, "broken"), "failed"
        except Exception:
            log.exception("turn_broke")
            answer, outcome = refusal(notices.BROKEN, "broken"), "failed"
        return self._turn(question, trace, answer, outcome, state)

    async def _recall(self, question: Question) -> Memory:
        """What the thread remembers. A database that is away for a moment is asked again."""
        for pause_seconds in PAUSES_SECONDS:
            try:
                return await self._memory.recall(question.thread, question.earlier, without=question.turn_id)
            except StorageUnavailableError as error:
                log.warning("memory_asked_again", after_seconds=pause_seconds, detail=str(error)[:300])
                await asyncio.sleep(pause_seconds)
        return await self._memory.recall(question.thread, question.earlier, without=question.turn_id)

    async def _run(self, question: Question, trace: TurnTrace, on_text: Callable[[str], None]) -> TurnState:
        with trace.span("remember") as facts:
            memory = Memory()
            if question.earlier or not question.begins_thread:
                memory = await self._recall(question)
            facts.update(turns=len(memory.turns), summary=bool(memory.summary), earlier=len(memory.earlier))
        context = TurnContext(
            models=self._models,
            stand_in=self._stand_in,
            payer=payer_of(question),
            search=self._search,
            on_text=on_text,
            trace=trace,
            deadline=asyncio.get_running_loop().time() + self._timeout_seconds,
        )
        return await self._graph.ainvoke(  # type: ignore[return-value]
            initial_state(question, memory), {"recursion_limit": STEPS_LIMIT}, context=context
        )

    async def _remarks(self, question: Question, state: TurnState) -> list[str]:
        """What may be missing in the answer, in plain words."""
        remarks = [notices.BY_WORDS_ALONE] if state.get("by_words_alone") else []
        if self._first_reading is not None:
            read = await self._first_reading.so_far(question.thread.audience)
            if read is not None:
                remarks.append(notices.still_reading(read.done, read.total))
        return remarks

    def refuse(self, question: Question, notice: str, reason: str) -> Turn:
        """The turn of a question that is not answered, with the notice for its asker."""
        return self._turn(question, TurnTrace(), refusal(notice, reason), "refused")

    async def remember(self, thread: Thread) -> None:
        """Off the path, after a turn was recorded: fold what no longer fits into the thread's summary."""
        await self._memory.summarise(thread)

    def _turn(
        self,
        question: Question,
        trace: TurnTrace,
        answer: Answer,
        outcome: Outcome,
        state: TurnState | None = None,
    ) -> Turn:
        state = state or {}
        writer = self._models[state.get("model_index", 0)]
        if state.get("quoted_because") and self._stand_in is not None:
            writer = self._stand_in
        return Turn(
            id=question.turn_id,
            trace_id=trace_id_for(question.turn_id),
            thread=question.thread,
            question_message_id=question.message_id,
            author=question.author,
            question=question.text,
            query=state.get("query", question.text),
            answer=answer,
            outcome=outcome,
            passages=state.get("passages", ()),
            model=writer.name,
            prompts=tuple(trace.prompts),
            use=trace.use,
            spans=tuple(trace.spans),
            asked_at=question.asked_at,
            answered_at=datetime.now(UTC),
        )


def initial_state(question: Question, memory: Memory) -> TurnState:
    """What a run of the graph starts from."""
    return {
        "question": question.text,
        "query": question.text,
        "memory": memory,
        "audience": question.thread.audience,
        "passages": (),
        "model_index": 0,
        "abstain_because": None,
        "quoted_because": None,
    }


def payer_of(question: Question) -> Payer:
    """The asker, in the channel where they ask."""
    channel = question.thread.channel
    return Payer(
        platform=channel.platform,
        workspace=channel.workspace,
        channel=channel.id,
        person=question.author.id,
    )


def unable(because: QuoteReason) -> tuple[Answer, Outcome]:
    """No model could write, and there was nothing to quote either: a notice says which of the two it is."""
    log.error("turn_failed", error="NothingToQuoteError", detail=because)
    if because == "budget_spent":
        return refusal(notices.BUDGET_SPENT, because), "refused"
    return refusal(notices.MODEL_FAILED, because), "failed"


def introduce(answer: Answer, quoted_because: QuoteReason | None, remarks: Sequence[str]) -> Answer:
    """An answer that is quoted because no model could write says so in its first line; what may be missing in it
    stands in its last."""
    text, reason = answer.text, answer.reason
    if quoted_because is not None:
        text, reason = f"*{notices.QUOTED[quoted_because]}*\n\n{text}", reason or quoted_because
    for remark in remarks:
        text = f"{text}\n\n*{remark}*"
    return answer.model_copy(update={"text": text, "reason": reason})


def refusal(notice: str, reason: str) -> Answer:
    """A notice in the place of an answer."""
    return Answer(text=notice, abstained=True, reason=reason)
