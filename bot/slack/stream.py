"""The first message of a reply while it is being written: Slack's native stream, or edits where it fails.

Every call runs in a task of its own: a caller that is cancelled never leaves a post behind that nobody
knows of, and `close` waits for what is under way.
"""

from __future__ import annotations

import asyncio
from typing import Literal

import structlog

from bot.adapter import (
    AdapterError,
    Delivery,
    OnPosted,
    RateLimitedError,
    Rendered,
    UnauthorizedError,
    UnavailableError,
)
from bot.slack.api import SlackApi
from bot.slack.posting import post_message, update_message
from bot.slack.render import metadata_of, render_partial, safe_partial, tail_of, text_of

APPEND_INTERVAL_SECONDS = 1.0
EDIT_INTERVAL_SECONDS = 1.0

log = structlog.get_logger(__name__)

Phase = Literal["unposted", "streaming", "editing"]
_LAST_CALL: dict[Phase, str] = {
    "unposted": "chat.postMessage",
    "streaming": "chat.stopStream",
    "editing": "chat.update",
}


class SlackStream:
    """A ReplyStream. `unposted` until the first accepted call, then `streaming`, or `editing` for good."""

    def __init__(self, api: SlackApi, delivery: Delivery, on_posted: OnPosted) -> None:
        self._api = api
        self._delivery = delivery
        self._on_posted = on_posted
        self._channel = delivery.target.thread.channel
        self._phase: Phase = "unposted"
        self._native = True
        self._ts = ""
        self._latest = ""
        self._shown = ""
        self._not_before = 0.0
        self._work: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    async def write(self, text_so_far: str) -> None:
        self._latest = text_so_far
        if self._delivery.target.only_author_sees:
            return
        if self._work is not None and not self._work.done():
            self._show_later()
            return
        self._raise_failure()
        if self._now() < self._not_before:
            self._show_later()
            return
        await asyncio.shield(self._begin_work())

    async def close(self, rendered: Rendered) -> str:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._work is not None:
            await asyncio.wait({self._work})
            self._raise_failure()
        # Outside of what is shielded: who is cancelled while waiting for a turn has sent nothing.
        await self._api.turn(self._channel, _LAST_CALL[self._phase])
        await asyncio.shield(asyncio.ensure_future(self._finish(rendered)))
        return self._ts

    # --- when -------------------------------------------------------------------------------------

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _begin_work(self) -> asyncio.Task[None]:
        self._work = asyncio.create_task(self._show_latest())
        self._work.add_done_callback(_note_failure)
        return self._work

    def _show_later(self) -> None:
        """Text that came too soon is shown when its time has come, even if no more follows."""
        if self._timer is None and not self._closed:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(self._not_before, loop.time() + 0.05), self._time_has_come)

    def _time_has_come(self) -> None:
        self._timer = None
        if self._closed:
            return
        if self._now() < self._not_before or (self._work is not None and not self._work.done()):
            self._show_later()
        elif self._work is None or self._work.exception() is None:
            self._begin_work()

    def _raise_failure(self) -> None:
        if self._work is not None and self._work.done():
            error = self._work.exception()
            if error is not None:
                raise error

    # --- what -------------------------------------------------------------------------------------

    async def _show_latest(self) -> None:
        shown = safe_partial(self._latest)
        if not shown.strip() or shown == self._shown or not self._takes_turn(shown):
            return
        if self._phase == "unposted":
            await self._post_first(shown)
            return
        try:
            if self._phase == "streaming" and shown.startswith(self._shown):
                await self._append(shown)
            else:
                await self._replace(shown)
        except RateLimitedError as error:
            self._wait(error.retry_after_seconds)
        except AdapterError as error:
            # What stands there stays; `close` shows the whole text, by an edit.
            self._phase = "editing"
            self._not_before = self._now() + EDIT_INTERVAL_SECONDS
            log.info("slack_stream_broke_off", error=str(error))

    def _takes_turn(self, shown: str) -> bool:
        """False: others come first, or Slack asks for patience; the newest text is shown when it may be."""
        wait = self._api.seconds_until_free(self._channel, self._next_call(shown))
        if wait > 0:
            self._wait(wait)
        return wait <= 0

    def _next_call(self, shown: str) -> str:
        if self._phase == "unposted":
            return "chat.startStream" if self._native else "chat.postMessage"
        continues = self._phase == "streaming" and shown.startswith(self._shown)
        return "chat.appendStream" if continues else "chat.update"

    def _wait(self, seconds: float) -> None:
        self._not_before = self._now() + seconds
        self._show_later()

    async def _post_first(self, shown: str) -> None:
        try:
            if self._native and await self._start_native(shown):
                self._phase, interval = "streaming", APPEND_INTERVAL_SECONDS
            else:
                self._ts = await post_message(self._api, self._delivery, render_partial(shown))
                self._phase, interval = "editing", EDIT_INTERVAL_SECONDS
        except RateLimitedError as error:
            self._wait(error.retry_after_seconds)
            return
        self._shown = shown
        self._not_before = self._now() + interval
        await self._on_posted(self._ts)

    async def _start_native(self, shown: str) -> bool:
        """False: this workspace or place has no native streams, and nothing was posted."""
        target = self._delivery.target
        body: dict[str, object] = {
            "channel": self._channel.id,
            "thread_ts": target.thread.id,
            "recipient_team_id": target.reply_handle or self._channel.workspace,
            "recipient_user_id": target.asker.id,
            "markdown_text": shown,
        }
        try:
            answer = await self._call("chat.startStream", body)
        except (UnavailableError, UnauthorizedError, RateLimitedError):
            raise
        except AdapterError as error:
            self._native = False
            log.info("slack_stream_refused", error=str(error))
            return False
        self._ts = str(answer["ts"])
        return True

    async def _append(self, shown: str) -> None:
        rest = shown[len(self._shown) :]
        await self._call(
            "chat.appendStream", {"channel": self._channel.id, "ts": self._ts, "markdown_text": rest}
        )
        self._shown = shown
        self._not_before = self._now() + APPEND_INTERVAL_SECONDS

    async def _replace(self, shown: str) -> None:
        await self._leave_native()
        await update_message(self._api, self._delivery, render_partial(shown), self._ts)
        self._shown = shown
        self._not_before = self._now() + EDIT_INTERVAL_SECONDS

    async def _leave_native(self) -> None:
        if self._phase != "streaming":
            return
        self._phase = "editing"
        try:
            await self._call("chat.stopStream", {"channel": self._channel.id, "ts": self._ts})
        except AdapterError as error:
            log.info("slack_stream_broke_off", error=str(error))

    async def _finish(self, rendered: Rendered) -> None:
        if self._phase == "unposted":
            self._ts = await post_message(self._api, self._delivery, rendered)
            await self._on_posted(self._ts)
            return
        text = text_of(rendered)
        if self._phase == "streaming" and text.startswith(self._shown):
            try:
                await self._stop(text[len(self._shown) :], rendered)
            except RateLimitedError:
                raise  # patience, not another call
            except AdapterError as error:
                log.info("slack_stream_broke_off", error=str(error))
                self._phase = "editing"
            else:
                return
        await self._leave_native()
        await update_message(self._api, self._delivery, rendered, self._ts)

    async def _stop(self, rest: str, rendered: Rendered) -> None:
        body: dict[str, object] = {
            "channel": self._channel.id,
            "ts": self._ts,
            "metadata": metadata_of(self._delivery),
        }
        if rest:
            body["markdown_text"] = rest
        if tail_of(rendered):
            body["blocks"] = tail_of(rendered)
        await self._call("chat.stopStream", body)

    async def _call(self, method: str, body: dict[str, object]) -> dict[str, object]:
        return dict(await self._api.post(self._channel.workspace, method, body))


def _note_failure(task: asyncio.Task[None]) -> None:
    """Marks the failure as seen: the next `write` or `close` raises it."""
    if not task.cancelled():
        task.exception()
