"""`threadlore serve`: HTTP, platforms, workers and the upkeep of knowledge in one process, until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Iterator
from typing import Literal, Protocol, runtime_checkable

import structlog
import uvicorn

from bot.about import build_about, describe
from bot.adapter import Adapter, AdapterError
from bot.bootstrap import Application, open_application
from bot.channel_upkeep import ChannelUpkeep
from bot.intake import Intake
from bot.pulse import watch_event_loop
from bot.readiness import find_readiness
from bot.upkeep import EmbeddingUpkeep, KnowledgeUpkeep
from bot.watching import Watching
from bot.web.adapter import WebAdapter
from bot.web.app import Endpoint, SlackEndpoints, build_http
from bot.web.models import EmbeddingOut
from bot.web.settings import HttpSettings, read_http_settings
from core.errors import ModelError, SettingsError, StorageError

Role = Literal["all", "ingress", "worker"]
DRAIN_SECONDS = 20.0
FIRST_SYNC_SECONDS = 60.0
LONGEST_RECONNECT_SECONDS = 60.0

log = structlog.get_logger(__name__)


class Endpoints(Protocol):
    """What a platform calls over HTTP."""

    @property
    def events(self) -> Endpoint: ...
    @property
    def install(self) -> Endpoint | None: ...
    @property
    def oauth_redirect(self) -> Endpoint | None: ...


@runtime_checkable
class CallsOverHttp(Protocol):
    """An adapter whose platform may call us over HTTP."""

    def http_endpoints(self) -> Endpoints | None: ...


class HttpServer(uvicorn.Server):
    """uvicorn without signal handlers of its own: stopping is decided in one place."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(role: Role) -> None:
    """Serve until SIGTERM or SIGINT. Raises SettingsError before anything has started."""
    http_settings = read_http_settings()
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with open_application() as app:
        server = Server(app, role, http_settings)
        try:
            await server.start()
            gc.freeze()  # what is here now is here to stay
            await stop.wait()
            log.info("stopping")
        finally:
            await server.stop()


class Server:
    """The parts of one serving process and the order in which they start and stop."""

    def __init__(self, app: Application, role: Role, http_settings: HttpSettings) -> None:
        self._app = app
        self._role = role
        self._http_settings = http_settings
        self._watching = Watching(app.library.channels.said)
        self._intake = Intake(app.stores.inbox, self._watching, app.metrics)
        self._tasks: list[asyncio.Task[None]] = []
        self._http: HttpServer | None = None
        self._http_task: asyncio.Task[None] | None = None
        self._working = False
        self._address = ""

    async def start(self) -> None:
        """Documents first, then the platforms, then the workers: what waited for us is answered only once
        there is something to read and somewhere to answer. HTTP comes last.

        Raises SettingsError for a database that only looks like one, and for a port that is taken."""
        app = self._app
        await app.stores.database.require_whole_session()
        self._tasks.append(asyncio.create_task(watch_event_loop(app.metrics.event_loop_lag.observe)))
        listening = open_socket(self._http_settings)
        self._address = address_of(self._http_settings.http_host, listening)
        if self._role != "ingress":
            await self._keep_knowledge_up()
        if self._role != "worker":
            with contextlib.suppress(StorageError):
                await self._watching.load()
            self._tasks.append(asyncio.create_task(self._watching.run()))
        for adapter in app.adapters.values():
            await self._open(adapter)
        if self._role != "ingress":
            channels = ChannelUpkeep(app.library.channels, app.adapters, app.stores.exclusive)
            self._tasks.append(asyncio.create_task(channels.run()))
            app.dispatcher.start()
            self._working = True
        self._start_http(listening)
        print(describe(app, self._role, self._address), flush=True)  # noqa: T201 - what `serve` is asked for
        log.info("ready", role=self._role, platforms=sorted(app.adapters), address=self._address)
        if self._role != "ingress":
            self._tasks.append(asyncio.create_task(self._prepare_models()))

    async def _keep_knowledge_up(self) -> None:
        """In the background; only a first start waits a while, because it would have no answers yet."""
        app = self._app
        upkeep = KnowledgeUpkeep(app.library.keeper, app.stores.exclusive)
        first_start = not await app.stores.knowledge_store.sources()
        embeddings = EmbeddingUpkeep(app.library.reembedding, app.stores.exclusive)
        self._tasks += [asyncio.create_task(upkeep.run()), asyncio.create_task(embeddings.run())]
        if first_start:
            log.info("reading_documents", wait_at_most_seconds=FIRST_SYNC_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FIRST_SYNC_SECONDS):
                    await upkeep.first_round.wait()

    async def _prepare_models(self) -> None:
        """What calls a provider takes a second or two to load: after everything that can be had sooner."""
        for model in self._app.models:
            try:
                await model.prepare()
            except ModelError as error:
                log.error("model_not_prepared", model=model.name, error=str(error))

    async def stop(self) -> None:
        """Nothing new comes in, what is under way is finished or handed over, then the rest ends."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._working:
            await self._app.dispatcher.stop(DRAIN_SECONDS)
        if self._http is not None and self._http_task is not None:
            self._http.should_exit = True
            await asyncio.wait({self._http_task}, timeout=5.0)

    # --- the ways in ------------------------------------------------------------------------------

    async def _open(self, adapter: Adapter) -> None:
        """A platform that cannot be reached right now is tried again in the background."""
        try:
            await self._receive(adapter)
        except AdapterError as error:
            log.warning("platform_not_reached", platform=adapter.platform, error=type(error).__name__)
            self._tasks.append(asyncio.create_task(self._keep_trying(adapter)))

    async def _receive(self, adapter: Adapter) -> None:
        await adapter.open()
        if self._role != "worker":
            await adapter.start(self._intake.take_in)

    async def _keep_trying(self, adapter: Adapter) -> None:
        wait = 1.0
        while True:
            await asyncio.sleep(wait)
            try:
                await self._receive(adapter)
                log.info("platform_reached", platform=adapter.platform)
                return
            except AdapterError:
                wait = min(wait * 2, LONGEST_RECONNECT_SECONDS)

    # --- HTTP -------------------------------------------------------------------------------------

    def _start_http(self, listening: socket.socket) -> None:
        app = self._app
        web = app.adapters["web"]
        assert isinstance(web, WebAdapter)  # noqa: S101 - bootstrap builds it
        http = build_http(
            settings=self._http_settings,
            adapter=web,
            outbox=app.stores.outbox,
            turns=app.stores.turns,
            sources=app.stores.knowledge_store,
            embedding=self._describe_embedding,
            readiness=lambda: find_readiness(app, receiving=self._role != "worker", working=self._working),
            stuck_loops=lambda: app.dispatcher.stuck_loops() if self._working else [],
            about=lambda: build_about(app),
            registry=app.metrics.registry,
            answer_timeout_seconds=app.settings.turn_timeout_seconds + 30.0,
            slack=self._slack_endpoints(),
        )
        config = uvicorn.Config(
            http, log_config=None, access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=3
        )
        self._http = HttpServer(config)
        self._http_task = asyncio.create_task(self._http.serve(sockets=[listening]))

    def _slack_endpoints(self) -> SlackEndpoints | None:
        """Slack's routes, where an adapter has any."""
        for adapter in self._app.adapters.values():
            if self._role != "worker" and isinstance(adapter, CallsOverHttp):
                endpoints = adapter.http_endpoints()
                if endpoints is not None:
                    return SlackEndpoints(endpoints.events, endpoints.install, endpoints.oauth_redirect)
        return None

    async def _describe_embedding(self) -> EmbeddingOut:
        reembedding = self._app.library.reembedding
        filling = await reembedding.progress()
        return EmbeddingOut(
            serving=reembedding.serving, wanted=filling.embedder, done=filling.done, total=filling.total
        )


def open_socket(settings: HttpSettings) -> socket.socket:
    """Listen where the settings say. Raises SettingsError when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in settings.http_host else socket.AF_INET
    try:
        listening = socket.create_server(
            (settings.http_host, settings.http_port), family=family, backlog=2048
        )
    except OSError as error:
        raise SettingsError(
            "HTTP_PORT",
            f"cannot listen on {settings.http_host}:{settings.http_port} ({error.strerror}).",
            "Stop what listens there (another Threadlore, perhaps), or set HTTP_PORT or HTTP_HOST to another value.",
        ) from error
    # Connections inherit it; asyncio sets it only for sockets that it opens itself, and without it the
    # last bytes of every response wait 40 ms for the reader's acknowledgement.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def address_of(host: str, listening: socket.socket) -> str:
    """What to open in a browser on this machine."""
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{listening.getsockname()[1]}"
