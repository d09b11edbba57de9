"""A Langfuse on the loopback address: takes what the real SDK sends, decoded for assertions.

Observations (OTLP, protobuf, gzip) and scores are kept as a Langfuse would show them: the same id
again replaces, deleting removes.

    async with LangfuseServer() as server:
        tracer = LangfuseTracer(public_key="pk-lf-1", secret_key="sk-lf-1", base_url=server.url)
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

from core.messages import Frozen
from core.testing.loopback import LoopbackServer

JSON_ATTRIBUTES = ("input", "output", "usage_details", "cost_details")


class Observation(Frozen):
    """One step of a trace. `attributes` are Langfuse's, without their `langfuse.` prefix; JSON is decoded."""

    trace_id: str
    id: str
    parent_id: str | None
    name: str
    began: datetime
    ended: datetime
    attributes: dict[str, Any]

    @property
    def kind(self) -> str:
        """span, generation, retriever, ..."""
        return str(self.attributes.get("observation.type", "span"))

    @property
    def metadata(self) -> dict[str, Any]:
        prefix = "observation.metadata."
        return {
            key.removeprefix(prefix): json.loads(value)
            for key, value in self.attributes.items()
            if key.startswith(prefix)
        }


class LangfuseServer(LoopbackServer):
    """`observations` by (trace id, id) and `scores` by id, as they stand; `requests` counts by path.

    `break_with` makes every request fail with a status, `delay_seconds` makes it slow; a change of the delay counts
    for requests that wait already.
    """

    def __init__(self, *, public_key: str | None = None, secret_key: str | None = None) -> None:
        super().__init__()
        self.observations: dict[tuple[str, str], Observation] = {}
        self.scores: dict[str, dict[str, Any]] = {}
        self.requests: dict[str, int] = {}
        self.bodies: list[bytes] = []
        self.break_with: int | None = None
        self.delay_seconds = 0.0
        self._credentials = (public_key, secret_key) if public_key and secret_key else None
        self._changed = asyncio.Condition()
        add = self._app.router.add_route
        add("POST", "/api/public/otel/v1/traces", self._guarded(self._take_traces))
        add("POST", "/api/public/scores", self._guarded(self._take_scores))
        add("GET", "/api/public/v3/scores", self._guarded(self._give_scores))
        add("DELETE", "/api/public/scores/{id}", self._guarded(self._delete_score))
        add("DELETE", "/api/public/traces", self._guarded(self._delete_traces))
        add("GET", "/api/public/projects", self._guarded(self._give_projects))
        add("GET", "/api/public/health", self._guarded(self._give_health))

    def trace(self, trace_id: str) -> list[Observation]:
        """The observations of a trace, root first, then by start."""
        found = [item for (trace, _), item in self.observations.items() if trace == trace_id]
        return sorted(found, key=lambda item: (item.parent_id is not None, item.began))

    async def wait_for(self, condition: Callable[[], bool], timeout_seconds: float = 10) -> None:
        """Return as soon as the condition holds, looked at after every request. Raises TimeoutError."""
        async with asyncio.timeout(timeout_seconds), self._changed:
            await self._changed.wait_for(condition)

    def _guarded(
        self, handler: Callable[[web.Request], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            path = request.path.removeprefix("/api/public/").split("/")[0]
            self.requests[path] = self.requests.get(path, 0) + 1
            await self._be_slow()
            if self.break_with is not None:
                response = web.json_response({"message": "made to fail"}, status=self.break_with)
            elif not self._is_allowed(request):
                response = web.json_response({"message": "Invalid credentials"}, status=401)
            else:
                response = await handler(request)
            async with self._changed:
                self._changed.notify_all()
            return response

        return handle

    async def _be_slow(self) -> None:
        began = time.monotonic()
        while (left_seconds := began + self.delay_seconds - time.monotonic()) > 0:  # noqa: ASYNC110 - it may change
            await asyncio.sleep(min(left_seconds, 0.05))

    def _is_allowed(self, request: web.Request) -> bool:
        if self._credentials is None:
            return request.headers.get("Authorization", "").startswith("Basic ")
        expected = base64.b64encode(":".join(self._credentials).encode()).decode()
        return request.headers.get("Authorization") == f"Basic {expected}"

    async def _take_traces(self, request: web.Request) -> web.Response:
        body = await request.read()  # aiohttp has unpacked gzip already
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        self.bodies.append(body)
        sent = ExportTraceServiceRequest.FromString(body)
        for resource in sent.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    observation = read_observation(span)
                    self.observations[observation.trace_id, observation.id] = observation
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf"
        )

    async def _take_scores(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.bodies.append(body)
        for score in json.loads(body):
            self.scores[score["id"]] = score
        return web.json_response({"message": "Accepted"}, status=202)

    async def _give_scores(self, request: web.Request) -> web.Response:
        wanted = request.query.get("id", "").split(",")
        found = [_shown(score) for id_, score in self.scores.items() if id_ in wanted]
        return web.json_response({"data": found, "meta": {"limit": 50}})

    async def _delete_score(self, request: web.Request) -> web.Response:
        if self.scores.pop(request.match_info["id"], None) is None:
            return web.json_response({"message": "Score not found"}, status=404)
        return web.json_response({"message": "Score deletion accepted"}, status=202)

    async def _delete_traces(self, request: web.Request) -> web.Response:
        gone = set(json.loads(await request.read())["traceIds"])
        self.observations = {key: item for key, item in self.observations.items() if key[0] not in gone}
        self.scores = {id_: score for id_, score in self.scores.items() if score["traceId"] not in gone}
        return web.json_response({"message": "Traces deleted successfully"})

    async def _give_projects(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "loopback", "name": "loopback", "metadata": {}}]})

    async def _give_health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "OK", "version": "5.0.0"})


def read_observation(span: OtlpSpan) -> Observation:
    """One OTLP span as Langfuse understands it."""
    attributes = {
        attribute.key.removeprefix("langfuse."): _read_value(attribute.value) for attribute in span.attributes
    }
    for name in JSON_ATTRIBUTES:
        key = f"observation.{name}"
        if isinstance(attributes.get(key), str) and attributes[key][:1] in "[{":
            with suppress(ValueError):  # a text may begin like that too, with a citation for one
                attributes[key] = json.loads(attributes[key])
    return Observation(
        trace_id=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex() or None,
        name=span.name,
        began=datetime.fromtimestamp(span.start_time_unix_nano / 1e9, UTC),
        ended=datetime.fromtimestamp(span.end_time_unix_nano / 1e9, UTC),
        attributes=attributes,
    )


def _read_value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_read_value(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None


def _shown(score: dict[str, Any]) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    return {
        "projectId": "loopback",
        "source": "API",
        "environment": "default",
        "createdAt": now,
        "updatedAt": now,
        "timestamp": score.get("timestamp", now),
        **score,
    }
