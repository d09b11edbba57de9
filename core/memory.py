"""A thread's memory: its turns, newest word for word, older ones as a summary made off the path."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import structlog

from core.answers import Memory
from core.errors import ModelError, StorageError
from core.graph.calling import build_request, call_model
from core.graph.state import TurnTrace
from core.messages import Message, Payer, Thread
from core.ports import ChatModel, Recollection, TurnStore

SHARE_BEFORE_SUMMARY = 0.75
"""A summary is begun while everything still fits, so that no turn is missing until it is written."""
MOST_TURNS = 40
"""How many turns are read at once; more than fit any sensible budget."""
SUMMARY_SECONDS = 60.0

log = structlog.get_logger(__name__)


def count_tokens(text: str) -> int:
    """A cheap estimate, on the safe side for English and code: four characters a token."""
    return len(text) // 4 + 1


def fit(turns: Sequence[tuple[UUID, str, str]], budget_tokens: int) -> int:
    """How many of the newest turns fit the budget; the newest one always counts as fitting."""
    left, kept = budget_tokens, 0
    for _, question, answer in reversed(turns):
        left -= count_tokens(question) + count_tokens(answer)
        if left < 0 and kept:
            break
        kept += 1
    return kept


class ThreadMemory:
    """Reads what a thread remembers and keeps its summary up to date. One for all threads."""

    def __init__(self, turns: TurnStore, model: ChatModel, *, budget_tokens: int) -> None:
        self._turns = turns
        self._model = model
        self._budget_tokens = budget_tokens
        self._filling: set[tuple[str, str, str, str]] = set()
        self._summarising: set[tuple[str, str, str, str]] = set()

    async def recall(
        self, thread: Thread, earlier: Sequence[Message] = (), *, without: UUID | None = None
    ) -> Memory:
        """What to tell the model; `earlier` are messages from before we were summoned, `without` a turn
        that is being answered anew."""
        stored = await self._turns.recall(thread, limit=MOST_TURNS)
        turns = [turn for turn in stored.turns if turn[0] != without]
        if fit(turns, self._comfortable_tokens) < len(turns):
            self._filling.add(thread.key)
        newest = turns[len(turns) - fit(turns, self._budget_tokens) :]
        return Memory(
            summary=stored.summary,
            turns=tuple((question, _cut(answer, self._budget_tokens)) for _, question, answer in newest),
            earlier=tuple(_fit_messages(earlier, self._budget_tokens)),
        )

    async def summarise(self, thread: Thread) -> bool:
        """Fold turns that no longer fit into the summary. Off the path: True if it was renewed.

        A failure is logged and tried again after the next turn; nothing is lost meanwhile.
        """
        if thread.key in self._summarising or thread.key not in self._filling:
            return False
        self._filling.discard(thread.key)
        self._summarising.add(thread.key)
        try:
            stored = await self._turns.recall(thread, limit=MOST_TURNS)
            old = stored.turns[: len(stored.turns) - fit(stored.turns, self._comfortable_tokens)]
            if not old:
                return False
            summary = await self._write_summary(thread, stored, old)
            # What was erased while the summary was written must not come back in it.
            kept = await self._turns.remember_summary(thread, summary, through=old[-1][0], base=stored)
            log.info("thread_summarised", turns=len(old), kept=kept)
            return kept
        except (ModelError, StorageError, TimeoutError) as error:
            log.warning("summary_failed", error=type(error).__name__)
            return False
        finally:
            self._summarising.discard(thread.key)

    @property
    def _comfortable_tokens(self) -> int:
        return int(self._budget_tokens * SHARE_BEFORE_SUMMARY)

    async def _write_summary(
        self, thread: Thread, stored: Recollection, old: Sequence[tuple[UUID, str, str]]
    ) -> str:
        memory = Memory(
            summary=stored.summary, turns=tuple((question, answer) for _, question, answer in old)
        )
        channel = thread.channel
        payer = Payer(platform=channel.platform, workspace=channel.workspace, channel=channel.id)
        request, prompt_id = build_request("summarise", question="", memory=memory, payer=payer)
        async with asyncio.timeout(SUMMARY_SECONDS):
            text = await call_model(self._model, request, prompt_id, TurnTrace())
        return _cut(text, self._budget_tokens)


def _fit_messages(messages: Sequence[Message], budget_tokens: int) -> list[Message]:
    kept: list[Message] = []
    left = budget_tokens
    for message in reversed(messages):
        left -= count_tokens(message.text)
        if left < 0:
            break
        kept.append(message)
    return kept[::-1]


def _cut(text: str, budget_tokens: int) -> str:
    most = budget_tokens * 4
    return text if len(text) <= most else text[: most - 1] + "…"
