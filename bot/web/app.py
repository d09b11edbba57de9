"""The HTTP edge: the page, the interface for other programs, probes, figures and Slack's endpoint."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.exceptions import HTTPException as StarletteHTTPException

from bot.adapter import AdapterError
from bot.asking import NotAnsweredInTimeError, PostedEffects, RecordedTurns
from bot.web.adapter import WebAdapter
from bot.web.guard import Guard, build_failure
from bot.web.models import About, EmbeddingOut, Failure, Liveness, Readiness
from bot.web.settings import HttpSettings, check_http_settings
from bot.web.sources import ListedSources, SourceRoutes
from bot.web.turns import TurnRoutes
from core.errors import StorageError

ASSETS = Path(__file__).parent / "assets"
CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    503: "busy",
}

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class SlackEndpoints:
    """What Slack calls over HTTP; each checks the request itself."""

    events: Endpoint
    install: Endpoint | None = None
    oauth_redirect: Endpoint | None = None


def build_http(
    *,
    settings: HttpSettings,
    adapter: WebAdapter,
    outbox: PostedEffects,
    turns: RecordedTurns,
    sources: ListedSources,
    embedding: Callable[[], Awaitable[EmbeddingOut]],
    readiness: Callable[[], Awaitable[Readiness]],
    about: Callable[[], About],
    registry: CollectorRegistry,
    answer_timeout_seconds: float,
    stuck_loops: Callable[[], Sequence[str]] = tuple,
    slack: SlackEndpoints | None = None,
) -> FastAPI:
    """The whole HTTP application. Raises SettingsError when it would be open to strangers.

    `answer_timeout_seconds` is how long a request waits for its answer, queueing included.
    `stuck_loops` names what of the worker no longer goes round: then only a restart helps.
    """
    check_http_settings(settings)
    app = FastAPI(
        title="Threadlore",
        description="Ask your team's documents; get answers with citations.",
        version=about().version,
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},
        responses={"4XX": {"model": Failure, "description": "What was wrong with the request."}},
    )
    _add_errors(app)
    _add_page(app)
    _add_operations(app, readiness, stuck_loops, about, registry)
    routes = TurnRoutes(adapter, outbox=outbox, turns=turns, timeout_seconds=answer_timeout_seconds)
    app.include_router(routes.build_router())
    app.include_router(SourceRoutes(sources, embedding).build_router())
    if slack is not None:
        _add_slack(app, slack)
    app.add_middleware(Guard, token=settings.http_token, host=settings.http_host)
    return app


def _add_page(app: FastAPI) -> None:
    def send_page(name: str) -> Endpoint:
        async def page(request: Request) -> Response:
            return FileResponse(ASSETS / name)

        return page

    app.add_api_route("/", send_page("playground.html"), include_in_schema=False)
    app.add_api_route("/sources", send_page("sources.html"), include_in_schema=False)
    app.add_api_route("/docs", send_page("docs.html"), include_in_schema=False)
    app.add_api_route("/favicon.ico", send_page("icon.svg"), include_in_schema=False)
    app.mount("/static", StaticFiles(directory=ASSETS), name="static")


def _add_operations(
    app: FastAPI,
    readiness: Callable[[], Awaitable[Readiness]],
    stuck_loops: Callable[[], Sequence[str]],
    about: Callable[[], About],
    registry: CollectorRegistry,
) -> None:
    @app.get(
        "/healthz",
        response_model_exclude_defaults=True,
        tags=["operations"],
        summary="Whether the process is alive",
        responses={503: {"model": Liveness, "description": "The worker is stuck; a restart helps."}},
    )
    async def healthz(response: Response) -> Liveness:
        stuck = list(stuck_loops())
        response.status_code = 503 if stuck else 200
        return Liveness(status="stuck" if stuck else "ok", stuck=stuck)

    @app.get(
        "/readyz",
        tags=["operations"],
        summary="Whether it can take and answer questions",
        responses={503: {"model": Readiness, "description": "Not ready; the checks say why."}},
    )
    async def readyz(response: Response) -> Readiness:
        report = await readiness()
        response.status_code = 200 if report.ready else 503
        return report

    @app.get("/metrics", tags=["operations"], summary="Figures for Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/v1/about", tags=["operations"], summary="What this installation runs on")
    async def tell_about() -> About:
        return about()


def _add_slack(app: FastAPI, slack: SlackEndpoints) -> None:
    app.add_api_route("/slack/events", slack.events, methods=["POST"], include_in_schema=False)
    if slack.install is not None:
        app.add_api_route("/slack/install", slack.install, include_in_schema=False)
    if slack.oauth_redirect is not None:
        app.add_api_route("/slack/oauth_redirect", slack.oauth_redirect, include_in_schema=False)


def _add_errors(app: FastAPI) -> None:
    """Every failure in one shape, and none with anything of our insides."""

    @app.exception_handler(StarletteHTTPException)
    async def refused(request: Request, error: StarletteHTTPException) -> JSONResponse:
        # What a route raises itself is written for readers; the framework's own texts are plain phrases.
        message = str(error.detail)
        headers = dict(error.headers) if error.headers else None
        return build_failure(error.status_code, CODES.get(error.status_code, "failed"), message, headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        if first["loc"][:1] == ("path",):
            kind = "source" if request.url.path.startswith("/v1/sources") else "turn"
            return build_failure(404, "not_found", f"There is no such {kind} here.")
        place = ".".join(str(part) for part in first["loc"] if part != "body")
        return build_failure(422, "invalid_request", f"{place}: {first['msg']}" if place else first["msg"])

    @app.exception_handler(NotAnsweredInTimeError)
    async def late(request: Request, error: NotAnsweredInTimeError) -> JSONResponse:
        return build_failure(504, "not_answered_in_time", "No answer came in time.")

    @app.exception_handler(StorageError)
    @app.exception_handler(AdapterError)
    async def unavailable(request: Request, error: Exception) -> JSONResponse:
        return build_failure(
            503, "unavailable", "The service is not available right now.", {"Retry-After": "5"}
        )

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return build_failure(500, "internal", "Something went wrong on our side.")
