"""All shards of this process: which there are, what each needs, and what is true of all of them together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog
from pydantic import SecretStr

from bot.adapter import Sink
from bot.discord.ban_guard import BanGuard, BanLimits
from bot.discord.catching_up import CatchingUp, CatchUpLimits
from bot.discord.events import PLATFORM
from bot.discord.gateway import DiscordClient
from bot.discord.hearing import Hearing
from bot.discord.identifying import IdentifyGate, IdentifyLimits
from bot.discord.interacting import InteractionReceiver
from bot.discord.receiving import EventReceiver
from bot.discord.rest import ChannelCalls
from bot.discord.shards import Shard, token_refused
from bot.gaps import record_gap
from bot.leasing import LeaseKeeper
from bot.metrics import Metrics
from core.leases import Allowances, Leases
from core.listening import ChannelPositions
from core.messages import Channel, Rating

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Coordination:
    """What the processes of one token share."""

    leases: Leases
    allowances: Allowances
    positions: ChannelPositions


@dataclass(frozen=True)
class DiscordLimits:
    """`lease_seconds`: a shard whose owner has died is taken over within this and a quarter of it.
    `longest_silence_seconds`: how much later than a heartbeat the gateway may speak and still count as alive."""

    lease_seconds: float = 15.0
    note_every_seconds: float = 5.0
    longest_silence_seconds: float = 15.0
    identify: IdentifyLimits = field(default_factory=IdentifyLimits)
    catch_up: CatchUpLimits = field(default_factory=CatchUpLimits)
    bans: BanLimits = field(default_factory=BanLimits)


class Listening:
    """Competes for every shard of the bot, and listens to those that it owns. `client` is logged in."""

    def __init__(
        self,
        client: DiscordClient,
        calls: ChannelCalls,
        coordination: Coordination,
        limits: DiscordLimits,
        metrics: Metrics,
        ban_guard: BanGuard,
        *,
        token: SecretStr,
        ratings: Mapping[str, Rating],
    ) -> None:
        self._client = client
        self._calls = calls
        self._shared = coordination
        self._limits = limits
        self._metrics = metrics
        self._ban_guard = ban_guard
        ban_guard.on_unauthorized = self._stop
        self._token = token
        self._ratings = ratings
        self._shards: list[Shard] = []
        self._interactors: list[InteractionReceiver] = []
        self._running: list[asyncio.Task[None]] = []

    async def start(self, sink: Sink, self_id: str) -> None:
        """Returns once it is clear for every shard how it stands. Raises SettingsError when Discord refuses
        for good or has no sessions left, AdapterError when it cannot be asked for the number of shards."""
        count = (await self._calls.fetch_gateway_limits()).shards
        gate = IdentifyGate(
            self._calls.fetch_gateway_limits,
            self._shared.allowances,
            self._limits.identify,
            application_id=self_id,
            shards=count,
        )
        self._shards = [self._build_shard(number, count, gate, sink, self_id) for number in range(count)]
        self._running = [asyncio.create_task(shard.run()) for shard in self._shards]
        await asyncio.gather(*(shard.settled.wait() for shard in self._shards))
        for shard in self._shards:
            if shard.error is not None:
                raise shard.error

    def is_receiving(self) -> bool:
        return bool(self._shards) and all(
            shard.is_receiving(self._limits.longest_silence_seconds) for shard in self._shards
        )

    def why_deaf(self) -> str:
        """The reason of the first shard that has one; "" when all hear, or nothing is known."""
        return next((shard.reason for shard in self._shards if shard.reason), "")

    def standing_by(self) -> str:
        """A sentence for the operator while other processes own shards; "" while this one owns all."""
        waiting = sum(shard.state == "standby" for shard in self._shards)
        if not waiting:
            return ""
        return f"Standing by for {waiting} of {len(self._shards)} shards: another process listens."

    async def aclose(self, drain_seconds: float) -> None:
        for interactor in self._interactors:
            await interactor.settle(drain_seconds)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _stop(self) -> None:
        for shard in self._shards:
            shard.stop_for_good(token_refused())

    # --- one shard --------------------------------------------------------------------------------

    def _build_shard(self, number: int, count: int, gate: IdentifyGate, sink: Sink, self_id: str) -> Shard:
        # The number of shards is part of the name: processes that differ in it share no shard.
        name = f"discord {self_id} shard {number} of {count}"
        hearing = Hearing(
            self._shared.positions,
            name,
            lambda channel: shard_of(channel, count) == number,
            note_every_seconds=self._limits.note_every_seconds,
        )
        receiver = EventReceiver(self._client, self._calls, hearing, sink, self_id, self._ratings)
        interactor = InteractionReceiver(sink, self_id)
        self._interactors.append(interactor)
        catching_up = CatchingUp(
            hearing,
            receiver,
            self._calls,
            self._limits.catch_up,
            self._ban_guard,
            lambda gap: record_gap(PLATFORM, gap, self._metrics, shard=name),
            with_direct_channels=number == 0,
        )
        receiver.on_place = catching_up.take_place

        def build_client(shard: Shard) -> DiscordClient:
            client = DiscordClient(self._ban_guard.build_trace(), (number, count))
            client.frames, client.interactions, client.session = receiver, interactor, shard
            return client

        keeper = LeaseKeeper(self._shared.leases, name, lease_seconds=self._limits.lease_seconds)
        return Shard(keeper, receiver, hearing, catching_up, gate, build_client, self._token)


def shard_of(channel: Channel, count: int) -> int:
    """The shard that tells of a channel: a server's by its id, a direct message's the first."""
    return 0 if channel.workspace.startswith("dm:") else (int(channel.workspace) >> 22) % count
