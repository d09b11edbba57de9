"""A chat model whose every call is paid from a budget: set aside before it, settled after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from uuid import UUID

import structlog

from core.errors import BudgetSpentError, ModelError, StorageError
from core.limits import Budget
from core.ports import ChatModel, ModelDelta, ModelRequest
from core.providers.guarded import SilentModelError
from core.providers.terms import Terms

SETTLING_SECONDS = 3.0
SECONDS_BETWEEN_ATTEMPTS = 2.0
SECONDS_BEFORE_EXPIRY = 10.0
TOKENS_AROUND_THE_PROMPT = 100
"""What a provider adds to the two messages of a request, and more."""

log = structlog.get_logger(__name__)


class PayingChatModel:
    """Implements core.ports.ChatModel around another that is called on these terms.

    What is set aside is what the call can cost at most. Where the provider reports no use, because the call
    broke off after it had begun, all of it counts as spent: the cap holds, whatever the provider bills.
    """

    def __init__(
        self,
        model: ChatModel,
        budget: Budget,
        terms: Terms,
        *,
        on_spent: Callable[[str, float], None] = lambda model, usd: None,
        on_refused: Callable[[str], None] = lambda scope: None,
        settling_seconds: float = SETTLING_SECONDS,
    ) -> None:
        self._model = model
        self._budget = budget
        if terms.price is None or terms.output_tokens is None:
            raise ValueError("only what has a price and a limit can be paid for")
        self._price, self._output_tokens = terms.price, terms.output_tokens
        self._on_spent = on_spent
        self._on_refused = on_refused
        self._settling_seconds = settling_seconds
        self._settling: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        return self._model.name

    async def prepare(self) -> None:
        await self._model.prepare()

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelDelta]:
        if request.payer is None:  # a check or an evaluation that the operator started
            async with aclosing(self._model.stream(request)) as unpaid:  # type: ignore[type-var]
                async for piece in unpaid:
                    yield piece
            return
        most = self._most_usd(request)
        try:
            reservation = await self._budget.reserve(request.payer, most)
        except BudgetSpentError as error:
            log.warning("budget_spent", scope=error.scope, model=self.name)
            self._on_refused(error.scope)
            raise
        cost, begun = most, False
        deadline = asyncio.get_running_loop().time() + self._budget.reserved_seconds - SECONDS_BEFORE_EXPIRY
        try:
            async with aclosing(self._model.stream(request)) as deltas:  # type: ignore[type-var]
                while (delta := await self._next(deltas, deadline)) is not None:
                    begun = True
                    if delta.use is not None and delta.use.cost_usd is not None:
                        cost = delta.use.cost_usd
                    yield delta
        except SilentModelError:
            raise
        except ModelError:
            cost = cost if begun else 0.0
            raise
        finally:
            await self._settle(reservation, cost)

    def _most_usd(self, request: ModelRequest) -> float:
        """No token is shorter than a byte."""
        prompt = len(request.system.encode()) + len(request.user.encode()) + TOKENS_AROUND_THE_PROMPT
        return self._price.cost_usd(prompt, self._output_tokens)

    async def _next(self, deltas: AsyncIterator[ModelDelta], deadline: float) -> ModelDelta | None:
        """No call outlives its reservation."""
        try:
            async with asyncio.timeout_at(deadline):
                return await anext(deltas, None)
        except TimeoutError:
            raise SilentModelError(f"{self.name} takes longer than its money is set aside") from None

    async def _settle(self, reservation: UUID, usd: float) -> None:
        """Whoever waits for the answer waits a moment for this; then it goes on alone."""
        self._on_spent(self.name, usd)
        settling = asyncio.create_task(self._settle_while_it_stands(reservation, usd))
        self._settling.add(settling)
        settling.add_done_callback(self._settling.discard)
        await asyncio.wait({settling}, timeout=self._settling_seconds)

    async def _settle_while_it_stands(self, reservation: UUID, usd: float) -> None:
        """The database may be busy or away; what is set aside is remembered for a while."""
        deadline = asyncio.get_running_loop().time() + self._budget.reserved_seconds
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    try:
                        return await self._budget.settle(reservation, usd)
                    except StorageError as error:
                        log.warning("spending_not_settled_yet", error=type(error).__name__, usd=usd)
                        await asyncio.sleep(SECONDS_BETWEEN_ATTEMPTS)
        except TimeoutError:
            # From now on the cap does not know of this call.
            log.error("spending_not_settled", usd=usd)
