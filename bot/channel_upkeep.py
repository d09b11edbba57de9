"""Keeps channels in sync while the server runs: takes in what was heard in them, and reads on in their history, one
call at a time and as slowly as the platform asks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import structlog

from bot.adapter import (
    Adapter,
    AdapterError,
    ForbiddenError,
    HistoryPage,
    RateLimitedError,
    UnauthorizedError,
)
from bot.upkeep import PAUSE_AFTER_FAILURE_SECONDS
from core.errors import StorageError
from core.knowledge.channel_keeping import ChannelKeeper
from core.knowledge.channel_messages import ChannelHistory
from core.leases import Exclusive
from core.messages import Channel

POLL_SECONDS = 5.0
PAGES_A_ROUND = 10
RETRY_SECONDS = 300.0
"""After a failure that will hardly have gone away in a minute."""
AWAY_SECONDS = 20.0
SHARE_OF_ALLOWANCE = 0.5
"""Reading history leaves as much of what a platform allows to the answers, which read threads too."""
PRIVACY_SECONDS = 30.0
"""How often it is looked whether a channel is still public."""

log = structlog.get_logger(__name__)


class ChannelUpkeep:
    """Takes the channels of the settings over at start. One process at a time is at it."""

    def __init__(
        self,
        keeper: ChannelKeeper,
        adapters: Mapping[str, Adapter],
        exclusive: Exclusive,
        *,
        poll_seconds: float = POLL_SECONDS,
        privacy_seconds: float = PRIVACY_SECONDS,
        share_of_allowance: float = SHARE_OF_ALLOWANCE,
    ) -> None:
        self._keeper = keeper
        self._adapters = adapters
        self._exclusive = exclusive
        self._poll_seconds = poll_seconds
        self._privacy_seconds = privacy_seconds
        self._share_of_allowance = share_of_allowance
        self._privacy_at = 0.0
        self._adopted = False

    async def run(self) -> None:
        """Goes on until cancelled; a failure is logged, and the next round comes."""
        while True:
            pause_seconds = self._poll_seconds
            try:
                await self.work()
            except Exception as error:
                if isinstance(error, StorageError):
                    log.warning("channels_not_synced", error=type(error).__name__)
                else:
                    log.exception("channels_not_synced")
                pause_seconds = max(pause_seconds, PAUSE_AFTER_FAILURE_SECONDS)
            await asyncio.sleep(pause_seconds)

    async def work(self) -> None:
        """One round, unless another process is at it, which then does our share too."""
        look_closely = time.monotonic() - self._privacy_at >= self._privacy_seconds
        if self._adopted and not look_closely and not await self._keeper.is_any_due():
            return
        async with self._exclusive.exclusively("channel-sync") as ours:
            if not ours:
                return
            if not self._adopted:
                await self._keeper.adopt()
                self._adopted = True
            if look_closely:
                await self._check_privacy()
                self._privacy_at = time.monotonic()
            for history in await self._keeper.said.histories(due=True):
                await self._read_on(history)
            await self._keeper.sync_due()

    async def _check_privacy(self) -> None:
        """A channel that we can no longer see counts as private."""
        for history in await self._keeper.said.histories():
            adapter = self._adapters.get(history.channel.platform)
            if history.channel.private or adapter is None:
                continue
            try:
                private = (await adapter.describe_channel(_place(history))).private
            except ForbiddenError:
                private = True
            except AdapterError:
                continue
            if private:
                log.warning("channel_became_private", uri=history.channel.uri)
                await self._keeper.note_privacy(history, private=True)

    # --- history ----------------------------------------------------------------------------------

    async def _read_on(self, history: ChannelHistory) -> None:
        adapter = self._adapters.get(history.channel.platform)
        if adapter is None or not adapter.capabilities.channel_history:
            await self._note_error(
                history, "No such platform is set up here, or its channels cannot be read."
            )
            return
        try:
            if history.cursor is None:
                history = await self._begin_walk(adapter, history)
            for _ in range(PAGES_A_ROUND):
                page = await adapter.read_history(_place(history), history.cursor, history.until)
                await self._keeper.said.record(page.messages)
                history = await self._note_page(history, page)
                if history.cursor is None:
                    return
        except RateLimitedError as error:
            pause_seconds = error.retry_after_seconds / self._share_of_allowance
            await self._keeper.said.note_history(history, next_read_seconds=pause_seconds)
        except ForbiddenError:
            reason = (
                "The bot cannot read this channel: invite it, and check the ids of workspace and channel."
            )
            await self._note_error(history, reason)
        except UnauthorizedError:
            await self._note_error(history, "The platform refuses our token.")
        except AdapterError as error:
            log.warning("channel_not_read", uri=history.channel.uri, error=type(error).__name__)
            await self._note_error(history, "The platform could not be reached.", AWAY_SECONDS)

    async def _begin_walk(self, adapter: Adapter, history: ChannelHistory) -> ChannelHistory:
        facts = await adapter.describe_channel(_place(history))
        news = {"name": facts.name, "address": facts.address, "newest": None}
        return await self._keeper.note_privacy(history.model_copy(update=news), private=facts.private)

    async def _note_page(self, history: ChannelHistory, page: HistoryPage) -> ChannelHistory:
        """After its messages are kept: a process that dies in between reads the page again."""
        news: dict[str, object] = {"cursor": page.cursor, "error": None}
        news["newest"] = newest = page.newest or history.newest
        next_read_seconds = 0.0
        if page.cursor is None:
            news |= {"until": newest or history.until, "newest": None, "is_whole": True}
            next_read_seconds = self._keeper.every_seconds
            log.info("channel_read", uri=history.channel.uri)
        history = history.model_copy(update=news)
        await self._keeper.note_history(history, next_read_seconds=next_read_seconds)
        return history

    async def _note_error(
        self, history: ChannelHistory, reason: str, retry_seconds: float = RETRY_SECONDS
    ) -> None:
        """Shown with the source."""
        log.warning("channel_not_readable", uri=history.channel.uri, reason=reason)
        failed = history.model_copy(update={"error": reason})
        await self._keeper.note_history(failed, next_read_seconds=retry_seconds)


def _place(history: ChannelHistory) -> Channel:
    channel = history.channel
    return Channel(
        platform=channel.platform, workspace=channel.workspace, id=channel.channel, private=channel.private
    )
