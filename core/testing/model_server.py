"""A provider of models on the loopback address: real client libraries talk to it in tests and benchmarks.

Speaks OpenAI's chat completions and embeddings and Anthropic's messages, streamed or whole, answers at
once unless told otherwise, and fails on demand in every way that providers fail.

    async with ModelServer() as server:
        OPENAI_BASE_URL = server.openai_url
        server.break_next(Fault(kind="status", status=429, retry_after_seconds=2))
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal

from aiohttp import web

from core.messages import Frozen
from core.testing import model_wire as wire
from core.testing.loopback import LoopbackServer, never

PASSAGE = re.compile(r"<passage number=1[^>]*>\n(?:[^\w\n]*\n|[`~]{3}.*\n)*(.+)")
"""The first line of the first passage that says something."""
LAST_QUESTION = re.compile(r"question:\s*(.+)\s*\Z", re.IGNORECASE)
REQUESTS_KEPT = 10_000
EMBEDDINGS = "/v1/embeddings"
EMBEDDING_DIMENSIONS = 64

FaultKind = Literal[
    "status",  # answers with `status`, and Retry-After when given
    "black_hole",  # takes the request and never says a word
    "stall",  # falls silent after `after_characters`
    "drip",  # one character every `interval_seconds`
    "cut",  # resets the connection after `after_characters`
    "ends_early",  # ends the stream properly after `after_characters`, without a finish reason
    "malformed",  # sends an event that is no JSON after `after_characters`
    "error_event",  # reports an error inside the stream after `after_characters`
    "empty",  # a proper answer with no text
    "length",  # stops at its limit of tokens
    "refusal",  # stopped by the provider's filter
]


class Fault(Frozen):
    """One way to fail. `code` is the provider's word for the error, where the kind is `status`."""

    kind: FaultKind
    status: int = 500
    code: str | None = None
    retry_after_seconds: float | None = None
    after_characters: int = 20
    interval_seconds: float = 1.0


class ModelCall(Frozen):
    """A request as it arrived. `at` is time.monotonic(), comparable between processes of one machine."""

    path: str
    body: dict[str, Any]
    at: float

    @property
    def text(self) -> str:
        """All that the model was told: system prompt and messages, joined by blank lines."""
        return "\n\n".join(text for _, text in read_messages(self.body))


Reply = Callable[[Sequence[tuple[str, str]]], str]
"""Gives the answer for the messages of a request, each (role, text)."""


def reply_with_first_passage(messages: Sequence[tuple[str, str]]) -> str:
    """The default: quotes the first passage of the prompt and cites it; repeats a question alone."""
    text = messages[-1][1] if messages else ""
    if passage := PASSAGE.search(text):
        return f"{passage[1].lstrip('#>*- ').strip()} [1]"
    if question := LAST_QUESTION.search(text):
        return question[1].strip()
    return "They talked about what their documents say."


class ModelServer(LoopbackServer):
    """`url` is the server's root, which Anthropic's client wants; `openai_url` is for OpenAI's.

    `delay_seconds` passes before each answer of a chat model begins, `pace_seconds` between its pieces of
    `piece_characters`. `requests` holds the last 10,000 calls and `count` counts all of them.
    """

    def __init__(
        self,
        *,
        reply: Reply = reply_with_first_passage,
        delay_seconds: float = 0.0,
        pace_seconds: float = 0.0,
        piece_characters: int = 24,
        port: int = 0,
    ) -> None:
        super().__init__(port)
        self.reply = reply
        self.delay_seconds = delay_seconds
        self.pace_seconds = pace_seconds
        self.piece_characters = piece_characters
        self.requests: deque[ModelCall] = deque(maxlen=REQUESTS_KEPT)
        self.count = 0
        self._next_faults: deque[Fault | None] = deque()
        self._standing_fault: Fault | None = None
        self._app.router.add_post("/v1/chat/completions", self._openai_chat)
        self._app.router.add_post("/v1/messages", self._anthropic_chat)
        self._app.router.add_post(EMBEDDINGS, self._embeddings)

    @property
    def openai_url(self) -> str:
        return f"{self.url}/v1"

    def break_next(self, *faults: Fault | None) -> None:
        """The next requests fail like this, in this order; None lets one through."""
        self._next_faults.extend(faults)

    def break_all(self, fault: Fault) -> None:
        """Every request fails like this until `heal`."""
        self._standing_fault = fault

    def heal(self) -> None:
        """From now on every request succeeds."""
        self._standing_fault = None
        self._next_faults.clear()

    async def _openai_chat(self, request: web.Request) -> web.StreamResponse:
        body, fault = await self._receive(request)
        if fault is not None and fault.kind == "status":
            return _refused(fault, wire.openai_error(fault.status, fault.code))
        text, finish, input_tokens = self._answer(body, fault)
        model = str(body.get("model", ""))
        if not body.get("stream"):
            return web.json_response(wire.openai_whole(model, text, finish, input_tokens))
        with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        pieces = self._pieces(text, fault)
        events = wire.openai_stream(model, pieces, finish, input_tokens, with_usage)
        return await self._send(request, events, 1, fault, wire.openai_error_event())

    async def _anthropic_chat(self, request: web.Request) -> web.StreamResponse:
        body, fault = await self._receive(request)
        if fault is not None and fault.kind == "status":
            return _refused(fault, wire.anthropic_error(fault.code or "api_error"))
        text, finish, input_tokens = self._answer(body, fault)
        model = str(body.get("model", ""))
        if not body.get("stream"):
            return web.json_response(wire.anthropic_whole(model, text, finish, input_tokens))
        events = wire.anthropic_stream(model, self._pieces(text, fault), finish, input_tokens)
        return await self._send(request, events, 2, fault, wire.anthropic_error_event())

    async def _embeddings(self, request: web.Request) -> web.StreamResponse:
        body, fault = await self._receive(request)
        if fault is not None and fault.kind == "status":
            return _refused(fault, wire.openai_error(fault.status, fault.code))
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": wire.word_vector(text, EMBEDDING_DIMENSIONS),
            }
            for index, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": sum(map(wire.count_tokens, texts)), "total_tokens": 0}
        return web.json_response({"object": "list", "model": body.get("model"), "data": data, "usage": usage})

    async def _receive(self, request: web.Request) -> tuple[dict[str, Any], Fault | None]:
        """Note the request, wait as long as a chat model takes, and say how it is to fail."""
        body = json.loads(await request.read())
        self.count += 1
        self.requests.append(ModelCall(path=request.path, body=body, at=time.monotonic()))
        fault = self._next_faults.popleft() if self._next_faults else self._standing_fault
        if self.delay_seconds and request.path != EMBEDDINGS:
            await asyncio.sleep(self.delay_seconds)
        if fault is not None and fault.kind == "black_hole":
            await never()
        return body, fault

    def _answer(self, body: dict[str, Any], fault: Fault | None) -> tuple[str, wire.Finish, int]:
        messages = read_messages(body)
        input_tokens = sum(wire.count_tokens(text) for _, text in messages)
        if fault is not None and fault.kind in ("empty", "refusal"):
            return "", "refusal" if fault.kind == "refusal" else "stop", input_tokens
        finish: wire.Finish = "length" if fault is not None and fault.kind == "length" else "stop"
        return self.reply(messages), finish, input_tokens

    def _pieces(self, text: str, fault: Fault | None) -> list[str]:
        size = 1 if fault is not None and fault.kind == "drip" else self.piece_characters
        return wire.split_text(text, size)

    async def _send(
        self, request: web.Request, events: list[bytes], preamble: int, fault: Fault | None, error: bytes
    ) -> web.StreamResponse:
        """Send the events, of which the first `preamble` carry no text."""
        if fault is None and not self.pace_seconds:
            return web.Response(body=b"".join(events), content_type="text/event-stream")
        pause = self.pace_seconds
        if fault is not None and fault.kind == "drip":
            pause = fault.interval_seconds
        elif fault is not None and fault.kind not in ("empty", "length", "refusal"):
            events = events[: preamble + max(1, fault.after_characters // self.piece_characters)]
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in events:
            await response.write(event)
            if pause:
                await asyncio.sleep(pause)
        if fault is not None:
            await _break(request, response, fault, error)
        return response


async def _break(request: web.Request, response: web.StreamResponse, fault: Fault, error: bytes) -> None:
    if fault.kind == "stall":
        await never()
    elif fault.kind == "cut" and request.transport is not None:
        request.transport.abort()
    elif fault.kind == "malformed":
        await response.write(wire.MALFORMED_EVENT)
    elif fault.kind == "error_event":
        await response.write(error)


def _refused(fault: Fault, body: dict[str, object]) -> web.Response:
    headers = {}
    if fault.retry_after_seconds is not None:
        headers["Retry-After"] = f"{fault.retry_after_seconds:g}"
    return web.json_response(body, status=fault.status, headers=headers)


def read_messages(body: dict[str, Any]) -> list[tuple[str, str]]:
    """The (role, text) of each message of a request in either dialect, the system prompt first."""
    messages = [("system", _read_content(body["system"]))] if body.get("system") else []
    for message in body.get("messages", ()):
        messages.append((str(message["role"]), _read_content(message["content"])))
    return messages


def _read_content(content: object) -> str:
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content)
    return str(content or "")
