"""One item of the inbox: handed to the room that knows what to do, and how it ended noted.

What is tried again, how often and after what, is decided here and nowhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from bot.adapter import AdapterError, RateLimitedError
from bot.answering import Answering
from bot.delivery import DeliveryPostponedError
from bot.endings import Ended, TurnNotRecordedYetError
from bot.forgetting import Forgetting
from bot.giving_up import GivingUp
from bot.lease_guard import ItemLease, LeaseRanOutError
from bot.metrics import Metrics
from bot.rating import Rating
from bot.recording import Recording
from bot.trace_upkeep import TraceUpkeep
from core.errors import LeaseLostError, StorageError
from core.inbox import CRASHES_BEFORE_PARKING, Claim, Inbox
from core.logs import bind
from core.messages import Event, MessageDeleted, MessageEdited, MessageHeard, MessagePosted, channel_of

MOST_ATTEMPTS = 8
"""After so many failed deliveries an item ends as failed; crashes are counted apart, by the inbox."""
SECONDS_UNTIL_RECORDED = 3.0

log = structlog.get_logger(__name__)


class Handling:
    """Knows the rooms. `recording` takes down what is said in channels that are sources; without it nobody does."""

    def __init__(
        self,
        inbox: Inbox,
        answering: Answering,
        rating: Rating,
        forgetting: Forgetting,
        giving_up: GivingUp,
        traces: TraceUpkeep,
        metrics: Metrics,
        *,
        recording: Recording | None = None,
        lease_seconds: float = 30.0,
    ) -> None:
        self._inbox = inbox
        self._answering = answering
        self._rating = rating
        self._forgetting = forgetting
        self._giving_up = giving_up
        self._traces = traces
        self._metrics = metrics
        self._recording = recording
        self._pause_seconds = lease_seconds / 6

    async def take(self, claim: Claim, lease: ItemLease) -> bool:
        """Work on the item until it has ended, or is put back. True: more waits in its thread."""
        platform = channel_of(claim.event).platform
        with bind(event_kind=claim.event.kind, inbox_id=claim.id, attempt=claim.attempts):
            try:
                if claim.crashes >= CRASHES_BEFORE_PARKING:
                    await self._park(claim, lease)
                    return False
                end, reason = await self._hand_on(claim, claim.event, lease)
                more = await self._inbox.finish(claim, end, reason)
                self._metrics.ended.labels(platform, end).inc()
                return more
            except LeaseRanOutError:
                # By our own clock only, as after a while without the database: it knows whether we still own it.
                await self._again(claim, lease, 0.0, "the lease ran out")
            except LeaseLostError:
                await self.note_lost([claim])
            except TurnNotRecordedYetError:
                await self._again(claim, lease, SECONDS_UNTIL_RECORDED, "the turn is not recorded yet")
            except DeliveryPostponedError as error:
                await self._again(claim, lease, error.after_seconds, str(error))
            except RateLimitedError as error:
                await self._again(claim, lease, error.retry_after_seconds, type(error).__name__)
            except (AdapterError, StorageError) as error:
                await self._again(claim, lease, min(60.0, 2.0**claim.attempts), type(error).__name__)
            except Exception as error:
                log.exception("event_not_handled")
                await self._again(claim, lease, min(60.0, 2.0**claim.attempts), type(error).__name__)
        return False

    async def note_lost(self, claims: Sequence[Claim]) -> None:
        """Others took us for dead. That we live is said, so that nobody takes the items for what killed us."""
        if not claims:
            return
        self._metrics.leases_lost.inc(len(claims))
        log.warning("leases_lost", items=[claim.id for claim in claims])
        try:
            await self._inbox.excuse(claims)
        except StorageError as error:
            log.warning("leases_not_excused", error=type(error).__name__)

    async def aclose(self) -> None:
        """Leave nothing behind that runs on its own."""
        await self._answering.aclose()

    # --- inside -------------------------------------------------------------------------------------

    async def _hand_on(self, claim: Claim, event: Event, lease: ItemLease) -> Ended:
        if self._recording is not None:
            await self._recording.take_down(event)
        if isinstance(event, MessageHeard):
            return "recorded", "said in a channel"
        if isinstance(event, MessagePosted):
            return await self._answering.take_posted(claim, event, lease)
        if isinstance(event, MessageEdited):
            return await self._answering.take_edited(claim, event, lease)
        if isinstance(event, MessageDeleted):
            ended = await self._forgetting.take(claim, event)
        else:
            ended = await self._rating.take(claim, event)
        self._traces.note_news()
        return ended

    async def _park(self, claim: Claim, lease: ItemLease) -> None:
        """Whoever worked on it has died of it: tell the asker instead, and leave it to operators."""
        platform = channel_of(claim.event).platform
        await self._tell(claim, lease)
        await self._inbox.park(claim, f"crashed its worker {claim.crashes} times")
        self._metrics.parked.labels(platform).inc()
        log.error("item_parked", platform=platform, crashes=claim.crashes)

    async def _tell(self, claim: Claim, lease: ItemLease) -> None:
        """Say that there will be no answer; what cannot be said is counted."""
        try:
            await self._giving_up.tell(claim, lease)
        except StorageError:
            raise
        except Exception as error:
            self._metrics.silent_endings.labels(channel_of(claim.event).platform).inc()
            log.error("asker_not_told", error=type(error).__name__)

    async def _again(self, claim: Claim, lease: ItemLease, after_seconds: float, reason: str) -> None:
        """Put the item back, or end it as failed after too many tries. While the database is away the item
        stays ours and its lease is renewed: left alone it would run out, and count as a crash."""
        while True:
            try:
                await self._put_back(claim, lease, after_seconds, reason)
                return
            except LeaseRanOutError:
                log.warning("event_waits_for_its_lease")
                await asyncio.sleep(self._pause_seconds)
            except LeaseLostError:
                await self.note_lost([claim])
                return
            except StorageError as error:
                log.warning("event_waits_to_be_put_back", error=type(error).__name__)
                await asyncio.sleep(self._pause_seconds)

    async def _put_back(self, claim: Claim, lease: ItemLease, after_seconds: float, reason: str) -> None:
        if claim.attempts >= MOST_ATTEMPTS:
            log.error("event_given_up", reason=reason, attempts=claim.attempts)
            await self._tell(claim, lease)
            await self._inbox.finish(claim, "failed", reason)
            self._metrics.ended.labels(channel_of(claim.event).platform, "failed").inc()
        else:
            log.warning("event_postponed", reason=reason, after_seconds=after_seconds)
            await self._inbox.retry(claim, after_seconds=after_seconds, reason=reason)
