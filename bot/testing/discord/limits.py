"""How many messages may be posted, and edited, in one channel in a while, as Discord tells its clients."""

from __future__ import annotations

import time
from dataclasses import dataclass

from aiohttp import web

from bot.testing.discord.faults import rate_limited


@dataclass
class Window:
    """One bucket: so many calls until it begins anew."""

    began_at: float
    calls: int = 0


class RateLimits:
    """`calls` per `seconds`, for posts and for edits, in each channel. Off while `calls` is 0."""

    def __init__(self, calls: int = 0, seconds: float = 5.0) -> None:
        self.calls = calls
        self.seconds = seconds
        self.refused = 0
        self._windows: dict[tuple[str, str], Window] = {}

    def take(self, method: str, channel_id: str) -> tuple[dict[str, str], web.Response | None]:
        """Count a call: the headers of its answer, and the refusal where it was one too many."""
        if not self.calls:
            return {}, None
        now = time.monotonic()
        window = self._windows.get((method, channel_id))
        if window is None or now - window.began_at >= self.seconds:
            window = self._windows[method, channel_id] = Window(now)
        window.calls += 1
        reset_after = window.began_at + self.seconds - now
        headers = {
            "X-RateLimit-Bucket": f"{method.lower()}-messages",
            "X-RateLimit-Limit": str(self.calls),
            "X-RateLimit-Remaining": str(max(0, self.calls - window.calls)),
            "X-RateLimit-Reset-After": f"{reset_after:.3f}",
            "X-RateLimit-Reset": f"{time.time() + reset_after:.3f}",
        }
        if window.calls <= self.calls:
            return headers, None
        self.refused += 1
        refusal = rate_limited(reset_after)
        refusal.headers.update(headers)
        return headers, refusal
