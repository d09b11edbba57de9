"""Places that refuse us, and platforms that refuse our token: they are left alone for a while.

Platforms count calls that they refuse, and shut out who makes too many. One process keeps this for itself:
every other one finds out by the same few calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog
from prometheus_client import Gauge

from bot.adapter import AdapterError, ForbiddenError, ThreadClosedError, UnauthorizedError
from bot.metrics import Metrics
from core.messages import Channel

REFUSALS_BEFORE_REST = 3
REST_SECONDS = 600.0
MOST_PLACES = 10_000

Key = TypeVar("Key", bound=tuple[str, ...])

log = structlog.get_logger(__name__)


@dataclass
class _Standing:
    """How often a place has refused us in a row, and until when it is left alone."""

    refusals: int = 0
    rests_until: float = 0.0


class Refusals:
    """Remembers what was refused. A place rests after so many refusals in a row, a token after the first;
    when the rest is over one more refusal is enough for the next."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        refusals_before_rest: int = REFUSALS_BEFORE_REST,
        rest_seconds: float = REST_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._refusals_before_rest = refusals_before_rest
        self._rest_seconds = rest_seconds
        self._clock = clock
        self._places_left_alone = Gauge(
            "threadlore_places_left_alone",
            "Channels that refused us so often that nothing is sent there for a while",
            ("platform",),
            registry=metrics.registry,
        )
        self._tokens_refused = Gauge(
            "threadlore_tokens_refused",
            "Tokens that the platform refuses, with which nothing is sent for a while",
            ("platform",),
            registry=metrics.registry,
        )
        self._places: dict[tuple[str, str, str], _Standing] = {}
        self._tokens: dict[tuple[str, str], _Standing] = {}

    def note(self, channel: Channel, token: str, error: AdapterError) -> None:
        """A call about the channel failed. `token` names what the token serves: "" for a whole platform."""
        if isinstance(error, UnauthorizedError):
            self._note(self._tokens, (channel.platform, token), enough=1)
        elif isinstance(error, ForbiddenError) and not isinstance(error, ThreadClosedError):
            self._note(
                self._places,
                (channel.platform, channel.workspace, channel.id),
                enough=self._refusals_before_rest,
            )

    def note_success(self, channel: Channel, token: str) -> None:
        """A call about the channel worked."""
        self._places.pop((channel.platform, channel.workspace, channel.id), None)
        self._tokens.pop((channel.platform, token), None)
        self._show(channel.platform)

    def rests(self, channel: Channel) -> bool:
        """Whether the place is left alone."""
        return self._seconds_left(self._places.get((channel.platform, channel.workspace, channel.id))) > 0

    def token_rests_seconds(self, platform: str, token: str) -> float:
        """How long nothing is sent with the token; 0 when it serves, as far as we know."""
        return self._seconds_left(self._tokens.get((platform, token)))

    def stopped(self, platform: str) -> bool:
        """Whether a token of the platform was refused, so that nothing is sent with it."""
        self._show(platform)
        return any(self._seconds_left(s) > 0 for (of, _), s in self._tokens.items() if of == platform)

    def _note(self, standings: dict[Key, _Standing], key: Key, *, enough: int) -> None:
        standing = standings.setdefault(key, _Standing())
        standing.refusals += 1
        if standing.refusals >= enough:
            standing.rests_until = self._clock() + self._rest_seconds
            log.error("left_alone", platform=key[0], place=key[1:], refusals=standing.refusals)
        while len(standings) > MOST_PLACES:
            del standings[next(iter(standings))]
        self._show(key[0])

    def _seconds_left(self, standing: _Standing | None) -> float:
        return 0.0 if standing is None else max(0.0, standing.rests_until - self._clock())

    def _show(self, platform: str) -> None:
        places = sum(self._seconds_left(s) > 0 for (of, _, _), s in self._places.items() if of == platform)
        tokens = sum(self._seconds_left(s) > 0 for (of, _), s in self._tokens.items() if of == platform)
        self._places_left_alone.labels(platform).set(places)
        self._tokens_refused.labels(platform).set(tokens)
