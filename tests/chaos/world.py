"""Everything that a scenario breaks: loopback platforms and a loopback model, a Postgres behind a proxy, and
replicas in processes of their own behind a load balancer."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bot.testing.discord_server import DiscordServer
from bot.testing.slack import SIGNING_SECRET, SlackServer, Timing
from core.storage.database import Database
from core.testing.model_server import PASSAGE, ModelServer, reply_with_first_passage
from tests.acceptance.installation import Installation, Serving, settings_for_discord, settings_for_model
from tests.chaos.postgres import Postgres
from tests.chaos.proxy import Address, Proxy

if TYPE_CHECKING:
    from tests.chaos.crowd import Crowd

LEASE_SECONDS = 3.0
TOKEN = re.compile(r"\(re ([a-z]+)\)\s*\Z")
ROLES = ("all", "all", "worker")
SLACK_TIMING = Timing(ack_seconds=2.0, retry_after_seconds=(0.0, 1.0, 4.0, 8.0, 16.0, 32.0, 64.0))
"""As Slack does it, with its minutes shortened: at once, then later, then later still."""


def reply_by_name(messages: Sequence[tuple[str, str]]) -> str:
    """The model's answers: the first passage, after the name of the question that is being answered, so that
    every visible answer tells whose it is."""
    asked, answer = messages[-1][1] if messages else "", reply_with_first_passage(messages)
    name = TOKEN.search(asked)
    return f"Re {name[1]}.\n\n{answer}" if name and PASSAGE.search(asked) else answer


class Replica:
    """One place for a `serve` process: it may be killed and started again with the same settings."""

    def __init__(self, name: str, role: str, installation: Installation, settings: Mapping[str, str]) -> None:
        self.name = name
        self.role = role
        self._installation = installation
        self._settings = dict(settings)
        self._serving: Serving | None = None
        self._starting: asyncio.Task[None] | None = None

    @property
    def serving(self) -> Serving:
        """The process. Raises LookupError while there is none."""
        if self._serving is None:
            raise LookupError(f"replica {self.name} is not running")
        return self._serving

    @property
    def is_running(self) -> bool:
        return self._serving is not None

    @property
    def has_died(self) -> bool:
        """Whether the process ended without having been told to."""
        return self._serving is not None and self._serving.process.returncode is not None

    @property
    def address(self) -> Address | None:
        """Where its HTTP listens, while it runs and takes events."""
        if self._serving is None or not self._serving.address:
            return None
        host, _, port = self._serving.address.removeprefix("http://").rpartition(":")
        return host, int(port)

    async def start(self) -> None:
        self._serving = await self._installation.start(role=self.role, **self._settings)

    def start_again(self) -> None:
        """Begin to start it; `ready` waits for that."""
        self._starting = asyncio.create_task(self.start(), name=f"start {self.name}")

    async def ready(self) -> None:
        """Return once what was begun to start is ready."""
        if self._starting is not None:
            await self._starting
            self._starting = None

    async def kill(self) -> None:
        """SIGKILL."""
        serving, self._serving = self.serving, None
        await serving.kill()

    async def stop(self) -> float:
        """SIGTERM; seconds until it was gone. Raises AssertionError if it did not end well."""
        serving, self._serving = self.serving, None
        began = time.monotonic()
        await serving.stop()
        return time.monotonic() - began

    def pause(self) -> None:
        """SIGSTOP: it holds all that it has and does nothing."""
        self.serving.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        self.serving.process.send_signal(signal.SIGCONT)


class World:
    """What a scenario is given. `events_url` is the address that a platform calls: the load balancer."""

    def __init__(
        self,
        slack: SlackServer,
        discord: DiscordServer,
        model: ModelServer,
        postgres: Postgres,
        database_proxy: Proxy,
        installation: Installation,
    ) -> None:
        self.slack = slack
        self.discord = discord
        self.model = model
        self.postgres = postgres
        self.database_proxy = database_proxy
        self.installation = installation
        self.replicas: list[Replica] = []
        self.crowds: list[Crowd] = []
        self.balancer = Proxy(self._ways_in)
        # Around the proxy: what the harness asks the database is no part of the experiment.
        folder = Path(postgres.socket).parent
        self.database = Database(f"postgresql+asyncpg://postgres@/postgres?host={folder}")

    def add_replica(self, role: str, **settings: str) -> Replica:
        """One more, with settings of its own; begins to start."""
        replica = Replica("abcdefghijkl"[len(self.replicas) % 12], role, self.installation, settings)
        self.replicas.append(replica)
        replica.start_again()
        return replica

    async def remove_replica(self, replica: Replica) -> None:
        """Stop it, and count on it no longer. Raises AssertionError if it did not end well."""
        self.replicas.remove(replica)
        await replica.stop()

    def ingresses(self) -> list[Replica]:
        """The running replicas that take events; only they say where their HTTP listens."""
        return [replica for replica in self.replicas if replica.address is not None]

    def _ways_in(self) -> list[Address]:
        return [address for replica in self.ingresses() if (address := replica.address) is not None]

    @property
    def events_url(self) -> str:
        return f"http://127.0.0.1:{self.balancer.port}/slack/events"

    def deliver_over(self, way: str) -> None:
        """`http` or `socket`: how Slack brings its events from here on."""
        self.slack.deliverer.url = self.events_url if way == "http" else None

    async def all_ready(self) -> None:
        """Every replica runs and every platform is connected."""
        for replica in self.replicas:
            await replica.ready()
        self.forget_dead_sessions()

    def forget_dead_sessions(self) -> None:
        """A gateway session whose process was killed is never resumed: no events are kept for it."""
        sessions = self.discord.gateway.sessions
        for id_ in [id_ for id_, session in sessions.items() if session.outbox is None]:
            del sessions[id_]

    def calm(self) -> None:
        """No fault is left, and the model is quick."""
        self.model.heal()
        self.model.delay_seconds = self.model.pace_seconds = 0.0
        self.slack.faults.clear()
        self.discord.heal()
        self.database_proxy.mode = self.balancer.mode = "pass"
        self.deliver_over("socket")


@asynccontextmanager
async def open_world(
    folder: Path,
    roles: Sequence[str] = ROLES,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[World]:
    """A world with replicas of these roles, all ready. `settings` go to every replica."""
    async with AsyncExitStack() as stack:
        slack = await stack.enter_async_context(SlackServer(timing=SLACK_TIMING, echoes=False))
        discord = await stack.enter_async_context(DiscordServer())
        discord.rest.session_limit = 1_000_000  # far more processes come and go than in a real day
        model = await stack.enter_async_context(ModelServer(reply=reply_by_name))
        postgres = Postgres(folder / "postgres")
        await postgres.start()
        stack.push_async_callback(postgres.stop, "immediate")
        proxy = await stack.enter_async_context(Proxy(lambda: [postgres.socket]))
        installation = Installation(
            folder / "installation",
            f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres",
            folder / "home",
            {
                **settings_for_model(model),
                # Search is no part of what is shown here, and replicas start faster without a model of their own.
                "EMBEDDING_MODEL": "openai:loopback",
                **slack.environment("socket"),
                "SLACK_SIGNING_SECRET": SIGNING_SECRET,
                **settings_for_discord(discord),
                # An hour's sessions are soon used up where replicas are killed every few seconds.
                "DISCORD_SESSIONS_PER_HOUR": "1000",
                "LEASE_SECONDS": f"{LEASE_SECONDS:g}",
                **(settings or {}),
            },
        )
        stack.push_async_callback(installation.aclose)
        world = World(slack, discord, model, postgres, proxy, installation)
        stack.push_async_callback(world.database.aclose)
        await stack.enter_async_context(world.balancer)
        for number, role in enumerate(roles):
            replica = world.add_replica(role)
            if not number:  # the first one migrates and reads the documents
                await replica.ready()
        await world.all_ready()
        yield world
