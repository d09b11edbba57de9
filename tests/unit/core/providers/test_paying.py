"""What calls are charged, through the real client libraries, against the loopback server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from core.errors import BudgetSpentError, ModelError, StorageUnavailableError
from core.limits import Caps
from core.messages import Payer
from core.ports import ChatModel, ModelRequest
from core.providers.breaker import CircuitBreaker
from core.providers.guarded import GuardedChatModel
from core.providers.hosted import build_chat_model
from core.providers.paying import PayingChatModel
from core.providers.prices import Price
from core.providers.settings import ProviderSettings
from core.providers.terms import Terms
from core.testing.budget import InMemoryBudget
from core.testing.model_server import Fault, ModelServer

TERMS = Terms(price=Price(input=1.0, output=10.0), output_tokens=500)
ADA = Payer(platform="slack", workspace="W1", channel="C1", person="ada")
REQUEST = ModelRequest(
    task="answer", system="Answer.", user="How long, and in which café?", question="?", payer=ADA
)
MOST = (len((REQUEST.system + REQUEST.user).encode()) + 100 + 500 * 10) / 1e6
"""Every byte a token, a hundred tokens around them, and as many written as may be."""


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with ModelServer() as server:
        server.reply = lambda messages: "Thirty days. " * 10
        yield server


@pytest.fixture(params=["openai:gpt-4o-mini", "anthropic:claude-sonnet-5-5"])
def hosted(request: pytest.FixtureRequest, server: ModelServer) -> ChatModel:
    given: dict[str, Any] = {
        "openai_api_key": "sk-1",
        "openai_base_url": server.openai_url,
        "anthropic_api_key": "sk-2",
        "anthropic_base_url": server.url,
    }
    return build_chat_model(request.param, ProviderSettings(**given), terms=TERMS)


class Ground:
    """A model that is paid for from a budget in memory."""

    def __init__(self, hosted: ChatModel, cap: float = 1.0, silence_seconds: float = 20.0) -> None:
        self.budget = InMemoryBudget(Caps(workspace_usd=cap))
        self.charged: list[float] = []
        self.refused: list[str] = []
        self.model = PayingChatModel(
            GuardedChatModel(hosted, CircuitBreaker(hosted.name), silence_seconds=silence_seconds),
            self.budget,
            TERMS,
            on_spent=lambda model, usd: self.charged.append(usd),
            on_refused=self.refused.append,
        )

    async def call(self, request: ModelRequest = REQUEST) -> float:
        """What the workspace has spent afterwards."""
        _ = [delta async for delta in self.model.stream(request)]
        return self.spent

    @property
    def spent(self) -> float:
        return self.budget.spent["slack", "W1", "workspace", ""]


async def test_a_whole_call_is_charged_what_the_provider_reports(
    hosted: ChatModel, server: ModelServer
) -> None:
    ground = Ground(hosted)
    spent = await ground.call()
    input_tokens = -(-len(REQUEST.system) // 4) + -(-len(REQUEST.user) // 4)
    assert spent == pytest.approx((input_tokens + 33 * 10) / 1e6)
    assert ground.charged == [pytest.approx(spent)]
    limit = server.requests[-1].body
    assert limit.get("max_completion_tokens", limit.get("max_tokens")) == 500


async def test_what_was_refused_before_it_began_costs_nothing(hosted: ChatModel, server: ModelServer) -> None:
    server.break_all(Fault(kind="status", status=500))
    ground = Ground(hosted)
    with pytest.raises(ModelError):
        await ground.call()
    assert ground.spent == 0


@pytest.mark.parametrize("kind", ["cut", "malformed", "ends_early"])
async def test_what_broke_off_is_charged_as_if_it_had_cost_the_most(
    hosted: ChatModel, server: ModelServer, kind: Any
) -> None:
    server.break_all(Fault(kind=kind))
    ground = Ground(hosted)
    try:
        await ground.call()
    except ModelError:
        assert kind != "ends_early"
    assert ground.spent == pytest.approx(MOST)


async def test_a_silent_call_and_one_that_is_called_off_are_charged_too(
    hosted: ChatModel, server: ModelServer
) -> None:
    server.break_all(Fault(kind="black_hole"))
    ground = Ground(hosted, silence_seconds=0.3)
    with pytest.raises(ModelError):
        await ground.call()
    assert ground.spent == pytest.approx(MOST)
    patient = Ground(hosted)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await patient.call()
    assert patient.spent == pytest.approx(MOST)


class BusyBudget(InMemoryBudget):
    """Is away at the first attempt to settle, and takes its time for the second one."""

    def __init__(self, caps: Caps) -> None:
        super().__init__(caps)
        self.attempts = 0
        self.free = asyncio.Event()

    async def settle(self, reservation: UUID, usd: float) -> None:
        self.attempts += 1
        if self.attempts == 1:
            raise StorageUnavailableError("the database is away")
        await self.free.wait()
        await super().settle(reservation, usd)


async def test_what_cannot_be_settled_for_now_holds_up_nobody_and_is_charged_later(
    hosted: ChatModel,
) -> None:
    budget = BusyBudget(Caps(workspace_usd=1.0))
    model = PayingChatModel(hosted, budget, TERMS, settling_seconds=0.01)
    async with asyncio.timeout(60):
        _ = [delta async for delta in model.stream(REQUEST)]
        assert not any(budget.spent.values())
        budget.free.set()
        while not any(budget.spent.values()):  # noqa: ASYNC110 - it goes on by itself
            await asyncio.sleep(0.01)
    assert budget.attempts == 2


async def test_without_the_money_for_the_whole_call_none_is_made(
    hosted: ChatModel, server: ModelServer
) -> None:
    ground = Ground(hosted, cap=MOST * 0.99)
    with pytest.raises(BudgetSpentError):
        await ground.call()
    assert (server.count, ground.refused) == (0, ["workspace"])


async def test_what_the_operator_started_is_not_charged(hosted: ChatModel, server: ModelServer) -> None:
    ground = Ground(hosted, cap=1e-9)
    assert await ground.call(REQUEST.model_copy(update={"payer": None})) == 0
    assert server.count == 1


async def test_a_call_does_not_outlive_what_was_set_aside_for_it(
    hosted: ChatModel, server: ModelServer
) -> None:
    server.break_all(Fault(kind="black_hole"))
    ground = Ground(hosted)
    ground.budget._reserved_seconds = 10.2  # of which the last ten are kept for settling
    with pytest.raises(ModelError):
        await ground.call()
    assert ground.spent == pytest.approx(MOST)
