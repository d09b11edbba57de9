"""What Slack's channels hold of a time in which we were not told: read back, however strict its limits are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from bot.adapter import ForbiddenError, RateLimitedError, UnavailableError
from bot.slack.api import SlackApi
from bot.slack.payloads import PLATFORM, Payload, time_of
from core.messages import Channel

_KINDS = "public_channel,private_channel,mpim,im"

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class CatchUpLimits:
    """How much is read back, and how patiently.

    Questions older than `oldest_seconds` are counted and not answered; gaps are looked into for
    `look_back_seconds` at most, and `overlap_seconds` before they began. Slack may bring a page of less than
    `page` messages; a channel is read for `pages` of them and given up after `attempts` failed calls. An
    event that arrives `late_seconds` after it happened shows that we could not be reached.
    """

    oldest_seconds: float = 3600.0
    look_back_seconds: float = 24 * 3600.0
    overlap_seconds: float = 30.0
    page: int = 200
    pages: int = 20
    attempts: int = 3
    retry_seconds: float = 2.0
    late_seconds: float = 90.0
    recent_threads: int = 100
    note_every_seconds: float = 10.0
    lock_poll_seconds: float = 2.0


@dataclass
class Missed:
    """What a channel holds of the gap, as event payloads, oldest first. `cut_short`: there is more."""

    payloads: list[Payload] = field(default_factory=list)
    cut_short: bool = False


class MissedMessages:
    """Reads channels and threads, one call at a time, and waits as long as Slack says."""

    def __init__(self, api: SlackApi, limits: CatchUpLimits) -> None:
        self._api = api
        self._limits = limits

    async def channels(self, workspace: str) -> list[Channel]:
        """Every channel that the bot is in. Raises AdapterError."""
        found: list[Channel] = []
        pages = self._pages(
            workspace, "users.conversations", "channels", types=_KINDS, exclude_archived="true"
        )
        async for page in pages:
            for place in page:
                private = bool(place.get("is_private") or place.get("is_im") or place.get("is_mpim"))
                found.append(
                    Channel(
                        platform=PLATFORM,
                        workspace=workspace,
                        id=str(place["id"]),
                        private=private,
                        outsiders=bool(place.get("is_ext_shared")),
                    )
                )
        return found

    async def of_channel(self, channel: Channel, threads: Collection[str], since: datetime) -> Missed:
        """What was posted after `since` in the channel, in threads that show in its recent history, and in
        `threads` (by the id of their first message). Raises AdapterError."""
        missed, found, seen = Missed(), dict[str, Payload](), set[str]()
        lively = set(threads)
        pages = self._pages(channel.workspace, "conversations.history", "messages", channel=channel.id)
        read = 0
        async for page in pages:
            read += 1
            for message in page:
                ts = str(message["ts"])
                seen.add(ts)
                if time_of(ts) > since:
                    found[ts] = message
                latest = message.get("latest_reply")
                if latest is not None and time_of(str(latest)) > since:
                    lively.add(ts)
                elif latest is not None or message.get("thread_ts") in (None, ts):
                    lively.discard(ts)  # the history says that nothing new is in it
            if not page or min(time_of(str(message["ts"])) for message in page) <= since:
                break
            if read >= self._limits.pages:
                missed.cut_short = True
                break
        for root in sorted(lively, reverse=True):
            found |= await self._of_thread(channel, root, since)
        missed.payloads = [build_payload(channel, message) for _, message in sorted(found.items())]
        return missed

    async def _of_thread(self, channel: Channel, root: str, since: datetime) -> dict[str, Payload]:
        found = dict[str, Payload]()
        oldest = f"{since.timestamp():.6f}"
        pages = self._pages(
            channel.workspace,
            "conversations.replies",
            "messages",
            channel=channel.id,
            ts=root,
            oldest=oldest,
            inclusive="false",
        )
        try:
            async for page in pages:
                for reply in page:
                    if time_of(str(reply["ts"])) > since:
                        found[str(reply["ts"])] = {**reply, "thread_ts": root}
        except ForbiddenError:
            log.info("slack_thread_gone", channel=channel.id)
        return found

    async def _pages(
        self, workspace: str, method: str, name: str, **arguments: str
    ) -> AsyncIterator[list[Payload]]:
        cursor = ""
        while True:
            with_cursor = {"cursor": cursor} if cursor else {}
            answer = await self._read(workspace, method, **arguments, **with_cursor)
            yield list(answer.get(name) or ())
            cursor = (answer.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return

    async def _read(self, workspace: str, method: str, **arguments: str) -> Payload:
        failures = 0
        while True:
            try:
                return await self._api.read(workspace, method, limit=self._limits.page, **arguments)
            except RateLimitedError as error:
                log.info("slack_history_waits", method=method, seconds=error.retry_after_seconds)
                await asyncio.sleep(error.retry_after_seconds)
            except UnavailableError:
                failures += 1
                if failures >= self._limits.attempts:
                    raise
                await asyncio.sleep(self._limits.retry_seconds * failures)


def build_payload(channel: Channel, message: Payload) -> Payload:
    """The message as the event that Slack would have sent: it takes the road of every other."""
    kind = "im" if channel.id.startswith("D") else "group" if channel.private else "channel"
    return {
        "type": "event_callback",
        "event_id": f"history:{channel.id}:{message['ts']}",
        "team_id": channel.workspace,
        "authorizations": [{"team_id": channel.workspace}],
        "is_ext_shared_channel": channel.outsiders,
        "event": {"type": "message", **message, "channel": channel.id, "channel_type": kind},
    }
