"""Asks the questions of a data set: the assistant as it is, but with the memory that the set gives."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from core.answers import Memory, Passage
from core.assistant import PASSAGES_PER_ANSWER, Assistant, Question
from core.evaluation.answer_runs import Ask, Reply
from core.graph.build import build_graph
from core.knowledge.evidence import evidence
from core.knowledge.judgement import find_judgement
from core.memory import ThreadMemory
from core.messages import Audience, Author, Channel, Message, Thread
from core.ports import ChatModel

if TYPE_CHECKING:
    from bot.bootstrap import Library


class GivenMemory(ThreadMemory):
    """Recalls what it was given; nothing that is asked is remembered."""

    def __init__(self, memory: Memory) -> None:
        self._given = memory

    async def recall(
        self, thread: Thread, earlier: Sequence[Message] = (), *, without: UUID | None = None
    ) -> Memory:
        return self._given

    async def summarise(self, thread: Thread) -> bool:
        return False


def build_ask(library: Library, models: Sequence[ChatModel]) -> Ask:
    """One question at a time through the whole graph; nothing is posted and no turn is recorded."""
    settings = library.stores.settings
    graph = build_graph()
    judgement = find_judgement(library.embedder.name)

    async def search(query: str, *, audience: Audience, context: str = "") -> list[Passage]:
        return await library.knowledge.read(
            query, audience=audience, limit=PASSAGES_PER_ANSWER, context=context
        )

    async def ask(question: str, *, memory: Memory, audience: Audience) -> Reply:
        assistant = Assistant(
            graph,
            models,
            search,
            GivenMemory(memory),
            turn_timeout_seconds=settings.turn_timeout_seconds,
            max_question_characters=settings.max_question_characters,
        )
        channel = Channel(platform=audience.platform, workspace=audience.workspace, id=audience.channel)
        turn = await assistant.answer(
            Question(
                turn_id=uuid4(),
                message_id=uuid4().hex,
                thread=Thread(channel=channel, id=uuid4().hex),
                author=Author(id="evaluation"),
                text=question,
                asked_at=datetime.now(UTC),
            )
        )
        return Reply(
            answer=turn.answer,
            passages=turn.passages,
            evidence=evidence(turn.query, turn.passages, judgement),
            use=turn.use,
            failed=turn.outcome == "failed",
        )

    return ask
