"""What can be made to go wrong in the loopback REST API, and the record of what was called."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

BODY = web.RequestKey("body", dict[str, Any])
"""Where a request keeps its parsed JSON."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Call:
    """One request as it arrived; `path` is without the API's prefix, `at` the loop's time in seconds."""

    method: str
    path: str
    body: Any
    at: float


@dataclass
class Fault:
    """What happens to the next `times` requests whose "METHOD /path" matches `route`, a regular expression,
    and whose JSON matches `body`, another one.

    `status` None cuts the connection. `accepted`: the request is carried out first, only its answer is lost.
    `held`: the request is carried out, and its answer kept back until this is set.
    """

    route: str
    status: int | None = 502
    times: int = 1
    accepted: bool = False
    retry_after_seconds: float = 0.0
    code: int = 0
    delay_seconds: float = 0.0
    held: asyncio.Event | None = None
    body: str = ""


class Faults:
    """A middleware: records every call, and plays the faults that were asked for."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._faults: list[Fault] = []
        self.calls: list[Call] = []

    def add(self, fault: Fault) -> None:
        self._faults.append(fault)

    def clear(self) -> None:
        self._faults.clear()

    async def handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.path.removeprefix(self._prefix)
        body: Any = json.loads(await request.read() or "{}") if request.can_read_body else {}
        self.calls.append(Call(request.method, path, body, asyncio.get_running_loop().time()))
        request[BODY] = body
        fault = self._take(f"{request.method} {path}", json.dumps(body))
        if fault is None:
            return await handler(request)
        if fault.delay_seconds:
            await asyncio.sleep(fault.delay_seconds)
        if fault.held is not None:
            answered = await handler(request)
            await fault.held.wait()
            return answered
        if fault.accepted:
            await handler(request)
        return _outcome(fault, request)

    def _take(self, route: str, body: str) -> Fault | None:
        for fault in self._faults:
            if re.search(fault.route, route) and re.search(fault.body, body):
                fault.times -= 1
                if fault.times <= 0:
                    self._faults.remove(fault)
                return fault
        return None


def _outcome(fault: Fault, request: web.Request) -> web.Response:
    if fault.status is None:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)
    if fault.status == 429:
        return rate_limited(fault.retry_after_seconds)
    return error(fault.status, fault.code, "made to fail")


def answer(data: Any, status: int = 200) -> web.Response:
    """JSON whose content type is exactly application/json, as Discord sends it."""
    return web.Response(status=status, body=json.dumps(data).encode(), content_type="application/json")


def error(status: int, code: int, message: str) -> web.Response:
    return answer({"code": code, "message": message}, status)


def rate_limited(retry_after_seconds: float) -> web.Response:
    body = {"message": "You are being rate limited.", "retry_after": retry_after_seconds, "global": False}
    response = answer(body, 429)
    response.headers.update({"Via": "1.1 loopback", "Retry-After": str(retry_after_seconds)})
    return response
