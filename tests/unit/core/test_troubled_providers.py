"""Providers that fail in every way they do, through the real client libraries, against loopback servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from core import notices
from core.answers import Memory, Passage, Turn
from core.assistant import Assistant, Question
from core.graph.build import build_graph
from core.graph.calling import build_request
from core.graph.state import Search
from core.limits import Caps
from core.memory import ThreadMemory
from core.messages import Audience, Author, Channel, Message, Thread
from core.ports import ChatModel, ModelRequest
from core.providers.breaker import CircuitBreaker
from core.providers.extractive import ExtractiveAnswerer
from core.providers.guarded import GuardedChatModel
from core.providers.hosted import build_chat_model
from core.providers.paying import PayingChatModel
from core.providers.prices import Price
from core.providers.settings import ProviderSettings
from core.providers.terms import Terms
from core.storage.budget import PostgresBudget
from core.storage.database import Database
from core.testing.budget import InMemoryBudget
from core.testing.feedback import InMemoryFeedbackStore
from core.testing.inbox import InMemoryInbox
from core.testing.model_server import Fault, ModelServer
from core.testing.outbox import InMemoryOutbox
from core.testing.turns import InMemoryTurnStore

FACT = "Backups are kept for thirty days in the second region, and for a year in the vault below the office."
PASSAGE = Passage(
    chunk_id=7,
    document_id=3,
    title="Backups",
    uri="https://docs.example.org/backups",
    text=FACT,
    rank=1,
    score=0.9,
    similarity=0.9,
    coverage=1.0,
)
FIRST_SAYS = f"The backups, in short: {FACT[:-1]} [1]."
SECOND_SAYS = f"{FACT[:-1]} [1]."
THREAD = Thread(channel=Channel(platform="memory", workspace="W", id="C"), id="T")


EXTRACTIVE = ExtractiveAnswerer()


class Providers:
    """Two providers of different dialects and the assistant that asks them in this order."""

    def __init__(self, first: ModelServer, second: ModelServer) -> None:
        self.first, self.second = first, second
        first.reply = lambda messages: FIRST_SAYS
        second.reply = lambda messages: SECOND_SAYS
        self.shown: list[str] = []

    def models(self, silence_seconds: float, terms: Terms | None = None) -> list[ChatModel]:
        given: dict[str, Any] = {
            "openai_api_key": "sk-1",
            "openai_base_url": self.first.openai_url,
            "anthropic_api_key": "sk-2",
            "anthropic_base_url": self.second.url,
        }
        specs = ("openai:gpt-4o-mini", "anthropic:claude-sonnet-5-5")
        return [
            GuardedChatModel(
                build_chat_model(spec, ProviderSettings(**given), terms=terms),
                CircuitBreaker(spec),
                silence_seconds=silence_seconds,
            )
            for spec in specs
        ]

    def make_assistant(self, *, silence_seconds: float = 20.0, turn_seconds: float = 20.0) -> Assistant:
        return make_assistant(self.models(silence_seconds), turn_seconds=turn_seconds)

    async def ask(
        self, assistant: Assistant, *earlier: str, text: str = "How long are backups kept?"
    ) -> Turn:
        author = Author(id="U1", name="Ada")
        said = [Message(id=t, thread=THREAD, author=author, text=t, at=datetime.now(UTC)) for t in earlier]
        question = Question(
            turn_id=uuid4(),
            message_id="M1",
            thread=THREAD,
            author=author,
            text=text,
            asked_at=datetime.now(UTC),
            earlier=tuple(said),
        )
        return await assistant.answer(question, self.shown.append)


async def find_backups(query: str, *, audience: Audience, context: str = "") -> list[Passage]:
    return [PASSAGE]


def make_assistant(
    models: Sequence[ChatModel],
    *,
    turn_seconds: float = 20.0,
    search: Search = find_backups,
    stand_in: ChatModel | None = EXTRACTIVE,
) -> Assistant:
    inbox = InMemoryInbox()
    turns = InMemoryTurnStore(inbox, InMemoryOutbox(inbox), InMemoryFeedbackStore())
    return Assistant(
        build_graph(),
        models,
        search,
        ThreadMemory(turns, models[0], budget_tokens=2000),
        turn_timeout_seconds=turn_seconds,
        max_question_characters=12_000,
        stand_in=stand_in,
    )


@asynccontextmanager
async def two_providers() -> AsyncIterator[Providers]:
    async with ModelServer() as first, ModelServer() as second:
        yield Providers(first, second)


@pytest.fixture
async def providers() -> AsyncIterator[Providers]:
    async with two_providers() as providers:
        yield providers


def assert_written_by_the_second(turn: Turn, shown: Sequence[str]) -> None:
    """The whole answer of one model, and nothing of the other's."""
    assert (turn.outcome, turn.model) == ("answered", "anthropic:claude-sonnet-5-5")
    assert turn.answer.text == SECOND_SAYS
    assert shown[-1] == SECOND_SAYS


@pytest.mark.parametrize("kind", ["cut", "malformed", "error_event", "ends_early"])
async def test_a_stream_that_breaks_is_never_shown_as_the_answer(providers: Providers, kind: Any) -> None:
    providers.first.break_all(Fault(kind=kind, after_characters=len(FIRST_SAYS) * 2 // 3))
    turn = await providers.ask(providers.make_assistant())
    assert_written_by_the_second(turn, providers.shown)
    assert (providers.first.count, providers.second.count) == (3, 1)
    assert any(text and FIRST_SAYS.startswith(text) for text in providers.shown), "some of it was seen before"


@pytest.mark.parametrize(
    "fault",
    [Fault(kind="black_hole"), Fault(kind="stall", after_characters=80)],
    ids=["never answers", "falls silent"],
)
async def test_a_silent_model_is_given_up_on_while_there_is_time(providers: Providers, fault: Fault) -> None:
    providers.first.break_all(fault)
    turn = await providers.ask(providers.make_assistant(silence_seconds=1.5))
    assert_written_by_the_second(turn, providers.shown)
    assert (providers.first.count, providers.second.count) == (1, 1)


async def test_a_model_that_drips_leaves_time_for_the_next(providers: Providers) -> None:
    providers.first.break_all(Fault(kind="drip", interval_seconds=0.1))
    turn = await providers.ask(providers.make_assistant(turn_seconds=4.0))
    assert_written_by_the_second(turn, providers.shown)
    assert (providers.first.count, providers.second.count) == (1, 1)


@pytest.mark.parametrize(
    "fault",
    [Fault(kind="black_hole"), Fault(kind="drip", interval_seconds=0.2)],
    ids=["never answer", "drip"],
)
async def test_when_all_of_them_hang_the_documents_are_quoted_by_the_deadline(
    providers: Providers, fault: Fault
) -> None:
    providers.first.break_all(fault)
    providers.second.break_all(fault)
    began = time.monotonic()
    turn = await providers.ask(providers.make_assistant(turn_seconds=8.0))  # a quarter is left to quote in
    assert time.monotonic() - began < 8.0 + 20  # a slow machine; the models hang for ever
    assert (turn.outcome, turn.model, turn.answer.reason) == ("answered", "extractive", "model_failed")
    assert turn.answer.text.startswith(f"*{notices.QUOTED['model_failed']}*")
    assert FACT[:-1] in turn.answer.text
    assert (providers.first.count, providers.second.count) == (1, 1)


async def test_what_the_provider_asks_for_is_waited_for(providers: Providers) -> None:
    providers.first.break_next(
        Fault(kind="status", status=429, retry_after_seconds=1),
        Fault(kind="status", status=529, retry_after_seconds=0.5),
    )
    turn = await providers.ask(providers.make_assistant())
    assert (turn.model, turn.answer.text) == ("openai:gpt-4o-mini", FIRST_SAYS)
    first, second, third = [call.at for call in providers.first.requests]
    assert second - first >= 1
    assert third - second >= 0.5


async def test_three_attempts_are_the_most(providers: Providers) -> None:
    providers.first.break_all(Fault(kind="status", status=500))
    turn = await providers.ask(providers.make_assistant())
    assert_written_by_the_second(turn, providers.shown)
    assert (providers.first.count, providers.second.count) == (3, 1)


async def test_a_wait_that_would_leave_no_time_is_not_waited_for(providers: Providers) -> None:
    providers.first.break_all(Fault(kind="status", status=429, retry_after_seconds=4))
    turn = await providers.ask(providers.make_assistant(turn_seconds=5.0))
    assert_written_by_the_second(turn, providers.shown)
    assert providers.first.count == 1


async def test_a_provider_that_is_down_is_left_alone_and_costs_nobody_time(providers: Providers) -> None:
    providers.first.break_all(Fault(kind="status", status=503))
    providers.second.break_all(Fault(kind="status", status=503))
    assistant = providers.make_assistant()
    turns = [await providers.ask(assistant) for _ in range(8)]
    assert {turn.answer.reason for turn in turns} == {"model_failed"}
    assert (providers.first.count, providers.second.count) == (5, 5)
    assert (turns[-1].answered_at - turns[-1].asked_at).total_seconds() < 20


@pytest.mark.parametrize("kind", ["empty", "refusal"])
async def test_an_empty_answer_and_a_refusal_are_no_answers(providers: Providers, kind: Any) -> None:
    providers.first.break_all(Fault(kind=kind))
    turn = await providers.ask(providers.make_assistant())
    assert_written_by_the_second(turn, providers.shown)
    assert providers.first.count == (1 if kind == "refusal" else 3)


async def test_an_answer_that_reached_the_limit_of_tokens_says_so(providers: Providers) -> None:
    providers.first.break_all(Fault(kind="length"))
    turn = await providers.ask(providers.make_assistant())
    assert turn.answer.text.startswith(FIRST_SAYS)
    assert turn.answer.text.endswith("*(The answer was longer than the model may write.)*")
    assert providers.first.count == 1


async def test_two_hundred_kilobytes_are_cut_and_said_to_be(providers: Providers) -> None:
    providers.first.piece_characters = 2000
    providers.first.reply = lambda messages: f"{FIRST_SAYS}\n\n" * 2000
    turn = await providers.ask(providers.make_assistant())
    assert turn.outcome == "answered"
    assert 30_000 < len(turn.answer.text) < 50_000
    assert turn.answer.text.endswith("*(The answer was longer than the model may write.)*")
    assert providers.first.count == 1


@pytest.mark.parametrize("written", ['{"query": "how long', "", "x" * 200_000, "\n\n\n"])
async def test_a_rewrite_that_is_no_question_costs_neither_the_answer_nor_a_loop(
    providers: Providers, written: str
) -> None:
    rewritten = iter([written])
    providers.first.reply = lambda messages: next(rewritten, FIRST_SAYS)
    turn = await providers.ask(providers.make_assistant(), "We moved the backups.")
    assert turn.answer.text == FIRST_SAYS
    assert providers.first.count == 2


async def test_one_turn_makes_at_most_eight_calls() -> None:
    async with two_providers() as providers:
        providers.first.break_all(Fault(kind="empty"))
        providers.second.break_all(Fault(kind="empty"))
        models = [model for _ in range(2) for model in providers.models(20.0)]
        turn = await providers.ask(make_assistant(models, stand_in=None))
    assert (turn.outcome, turn.answer.text) == ("failed", notices.MODEL_FAILED)
    assert providers.first.count + providers.second.count == 8


async def test_one_turn_uses_at_most_sixty_thousand_tokens(providers: Providers) -> None:
    many = PASSAGE.model_copy(update={"text": FACT * 1200})  # about 30,000 tokens

    async def find_much(query: str, *, audience: Audience, context: str = "") -> list[Passage]:
        return [many]

    providers.first.break_all(Fault(kind="cut"))
    assistant = make_assistant(providers.models(20.0), search=find_much, stand_in=None)
    turn = await providers.ask(assistant)
    assert turn.outcome == "failed"
    assert (providers.first.count, providers.second.count) == (2, 0)


async def test_fifty_turns_at_once_spend_no_more_than_there_is_on_three_processes(
    database: Database, providers: Providers
) -> None:
    """Each call may write 300 tokens and writes them all, so that what is set aside is what is spent."""
    providers.first.reply = lambda messages: f"{FIRST_SAYS} ".ljust(1200, "!")
    terms = Terms(price=Price(input=0.0, output=10.0), output_tokens=300)
    caps = Caps(workspace_usd=5 * 300 * 10 / 1e6)
    url = database.url.render_as_string(hide_password=False)
    databases = [Database(url, worker_connections=4) for _ in range(3)]
    models = [
        PayingChatModel(providers.models(60.0, terms)[0], PostgresBudget(one, caps), terms)
        for one in databases
    ]
    assistants = [make_assistant([model], turn_seconds=60.0) for model in models]
    try:
        turns = await asyncio.gather(*(providers.ask(assistants[n % 3]) for n in range(50)))
        async with asyncio.timeout(60):  # on a busy machine the last calls are settled after their answers
            while await spent_by_workspaces(database) != pytest.approx(caps.workspace_usd):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        for one in databases:
            await one.aclose()
    written = [turn for turn in turns if turn.answer.reason is None]
    quoted = [turn for turn in turns if turn.answer.reason == "budget_spent"]
    assert (len(written), len(quoted), providers.first.count) == (5, 45, 5)
    assert {turn.model for turn in written} == {"openai:gpt-4o-mini"}
    assert all(FACT[:-1] in turn.answer.text for turn in quoted)
    assert all(turn.answer.text.startswith(f"*{notices.QUOTED['budget_spent']}*") for turn in quoted)


async def spent_by_workspaces(database: Database) -> float:
    (row,) = await database.run(text("select sum(usd) as usd from spending where scope = 'workspace'"))
    return float(row.usd or 0.0)


async def test_without_money_and_without_a_quote_the_asker_is_told(providers: Providers) -> None:
    budget = InMemoryBudget(Caps(person_usd=1e-9))
    terms = Terms(price=Price(input=1.0, output=1.0), output_tokens=300)
    paying = PayingChatModel(providers.models(20.0, terms)[0], budget, terms)
    turn = await providers.ask(make_assistant([paying]), text="Who paints the fence purple?")
    assert (turn.outcome, turn.answer.reason) == ("refused", "budget_spent")
    assert turn.answer.text == notices.BUDGET_SPENT
    assert providers.first.count == 0


async def test_a_turn_that_is_called_off_says_nothing_about_the_model(providers: Providers) -> None:
    providers.first.break_all(Fault(kind="black_hole"))
    breaker = CircuitBreaker("openai:gpt-4o-mini")
    (inner, _) = providers.models(20.0)
    model = GuardedChatModel(inner, breaker, silence_seconds=20.0)
    request = make_request()
    for _ in range(6):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                _ = [delta async for delta in model.stream(request)]
    assert not breaker.is_open


def make_request() -> ModelRequest:
    return build_request("answer", question="How long?", memory=Memory(), passages=[PASSAGE])[0]
