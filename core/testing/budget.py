"""A budget and question counts in memory, for tests: the same rules as in Postgres, one process alone."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID, uuid4

from core.errors import BudgetSpentError
from core.limits import Caps
from core.messages import Payer

Scope = tuple[str, str, str, str]
"""Platform, workspace, kind, id."""


@dataclass
class Reservation:
    payer: Payer
    usd: float
    expires_at: float


class InMemoryBudget:
    """Implements core.limits.Budget for one day that never ends. `spent` is what was settled, by scope."""

    def __init__(
        self, caps: Caps, *, reserved_seconds: float = 300.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._caps = caps
        self._reserved_seconds = reserved_seconds
        self._clock = clock
        self._open: dict[UUID, Reservation] = {}
        self.spent: defaultdict[Scope, float] = defaultdict(float)

    @property
    def reserved_seconds(self) -> float:
        return self._reserved_seconds

    async def reserve(self, payer: Payer, usd: float) -> UUID:
        held: defaultdict[Scope, float] = defaultdict(float)
        for reservation in self._open.values():
            if reservation.expires_at > self._clock():
                for _, scope in _scopes_of(reservation.payer):
                    held[scope] += reservation.usd
        for kind, scope in _scopes_of(payer):
            cap = getattr(self._caps, f"{kind}_usd")
            if cap is not None and round(usd + self.spent[scope] + held[scope], 9) > cap:
                raise BudgetSpentError(kind)
        id = uuid4()
        self._open[id] = Reservation(payer, usd, self._clock() + self._reserved_seconds)
        return id

    async def settle(self, reservation: UUID, usd: float) -> None:
        settled = self._open.pop(reservation, None)
        if settled is not None:
            for _, scope in _scopes_of(settled.payer):
                self.spent[scope] += usd


def _scopes_of(payer: Payer) -> list[tuple[str, Scope]]:
    """Narrowest first."""
    scopes = [("person", payer.person), ("channel", payer.channel), ("workspace", "")]
    return [
        (kind, (payer.platform, payer.workspace, kind, id))
        for kind, id in scopes
        if kind != "person" or payer.person
    ]
