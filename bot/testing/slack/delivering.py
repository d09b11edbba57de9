"""How the loopback Slack tells the app something: envelopes over sockets, or signed HTTP; with retries."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlencode
from uuid import uuid4

import aiohttp

from bot.testing.slack.links import Links
from bot.testing.slack.state import Json

Kind = Literal["events_api", "interactive"]


@dataclass
class SlackDelivery:
    """One thing to tell the app, over all attempts. `statuses` are the HTTP answers (200 for a socket's ack),
    `seconds` how long each attempt took; `acked_at` is time.monotonic()."""

    kind: Kind
    payload: Json
    attempts: int = 0
    acked: bool = False
    given_up: bool = False
    statuses: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    acked_at: float | None = None
    retry_reason: str | None = None

    @property
    def is_done(self) -> bool:
        return self.acked or self.given_up


@dataclass
class Timing:
    """Slack's patience, in seconds; the defaults are short so that tests need not wait for minutes."""

    ack_seconds: float = 3.0
    retry_after_seconds: tuple[float, ...] = (0.0, 0.2, 0.6)


class Deliverer:
    """Brings deliveries to the app: over HTTP if it has an address, else over an open socket."""

    def __init__(self, signing_secret: str, timing: Timing, changed: Callable[[], None]) -> None:
        self.signing_secret = signing_secret
        self.timing = timing
        self.url: str | None = None
        self.deliveries: list[SlackDelivery] = []
        self.loses_everything = False
        self.links = Links(changed)
        self._changed = changed
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    def deliver(self, kind: Kind, payload: Json) -> SlackDelivery:
        """Begin to deliver; does not wait. While it `loses_everything`, nobody is told and it is given up."""
        delivery = SlackDelivery(kind, payload, given_up=self.loses_everything)
        self.deliveries.append(delivery)
        if delivery.given_up:
            return delivery
        task = asyncio.create_task(self._carry(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return delivery

    async def _carry(self, delivery: SlackDelivery) -> None:
        retries = self.timing.retry_after_seconds if delivery.kind == "events_api" else ()
        for pause in (None, *retries):
            if pause is not None:
                await asyncio.sleep(pause)
            delivery.attempts += 1
            began = time.monotonic()
            delivered = await (self._over_http(delivery) if self.url else self._over_socket(delivery))
            delivery.seconds.append(time.monotonic() - began)
            if delivered:
                delivery.acked, delivery.acked_at = True, time.monotonic()
                break
        delivery.given_up = not delivery.acked
        self._changed()

    # --- HTTP ---------------------------------------------------------------------------------------

    def signed(self, body: str, *, at: float | None = None) -> dict[str, str]:
        """The headers with which Slack signs a body."""
        timestamp = str(int(time.time() if at is None else at))
        base = f"v0:{timestamp}:{body}".encode()
        signature = hmac.new(self.signing_secret.encode(), base, hashlib.sha256).hexdigest()
        return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": f"v0={signature}"}

    async def _over_http(self, delivery: SlackDelivery) -> bool:
        if delivery.kind == "events_api":
            body, content_type = json.dumps(delivery.payload), "application/json"
        else:
            body = urlencode({"payload": json.dumps(delivery.payload)})
            content_type = "application/x-www-form-urlencoded"
        headers = {"Content-Type": content_type, **self.signed(body)}
        if delivery.attempts > 1:
            headers["X-Slack-Retry-Num"] = str(delivery.attempts - 1)
            headers["X-Slack-Retry-Reason"] = delivery.retry_reason or "http_error"
        status = await self.send(body, headers)
        delivery.statuses.append(status)
        delivery.retry_reason = "http_timeout" if status == 0 else "http_error"
        return status == 200

    async def send(self, body: str | bytes, headers: dict[str, str]) -> int:
        """POST exactly this to the app; the HTTP status, 0 when it did not answer in time."""
        if self.url is None:
            raise ValueError("the app has no address: set events_url")
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=self.timing.ack_seconds)
            self._session = aiohttp.ClientSession(timeout=timeout)
        try:
            async with self._session.post(self.url, data=body, headers=headers) as response:
                await response.read()
                return response.status
        except (aiohttp.ClientError, TimeoutError):
            return 0

    async def _over_socket(self, delivery: SlackDelivery) -> bool:
        envelope: Json = {
            "envelope_id": str(uuid4()),
            "type": delivery.kind,
            "payload": delivery.payload,
            "accepts_response_payload": delivery.kind == "interactive",
        }
        if delivery.kind == "events_api":
            envelope |= {"retry_attempt": delivery.attempts - 1, "retry_reason": delivery.retry_reason or ""}
        try:
            await self.links.send(envelope, self.timing.ack_seconds)
        except (TimeoutError, ConnectionError, RuntimeError):
            delivery.statuses.append(0)
            delivery.retry_reason = "timeout"
            return False
        delivery.statuses.append(200)
        return True

    async def aclose(self) -> None:
        """Stop delivering."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.links.aclose()
        if self._session is not None:
            await self._session.close()
