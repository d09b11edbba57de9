"""Traces of turns and scores from feedback, to Langfuse, off the path of every answer."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

import structlog

from core.answers import Feedback, Turn, trace_id_for
from core.providers.masking import mask_text

if TYPE_CHECKING:
    from langfuse.api import AsyncLangfuseAPI

log = structlog.get_logger(__name__)

TURNS_WAITING = 1000
TURNS_PER_BATCH = 50
TURNS_REMEMBERED_AS_FORGOTTEN = 10_000
GATHERING_SECONDS = 0.3
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
SCORE_NAME = "user_feedback"
QUIET_LOGGERS = ("langfuse", "opentelemetry.exporter.otlp.proto.http", "opentelemetry.sdk")
"""They repeat themselves with every failed request; we say it once ourselves."""


class NullTracer:
    """Implements core.traces.Tracer where no tracing system is set: the turn's own record is the trace."""

    @property
    def enabled(self) -> bool:
        return False

    def record_turn(self, turn: Turn) -> None:
        """Nothing to do."""

    async def deliver_feedback(self, feedback: Sequence[Feedback]) -> list[Feedback]:
        return []

    async def forget_turns(self, turn_ids: Collection[UUID]) -> bool:
        return True

    async def aclose(self, timeout_seconds: float) -> None:
        """Nothing to do."""


class LangfuseTracer:
    """Implements core.traces.Tracer. Turns wait in memory, at most 1,000, the oldest dropped first;
    a thread sends them and keeps those that did not arrive. `dropped` counts what was given up.
    """

    def __init__(self, *, public_key: str, secret_key: str, base_url: str) -> None:
        from core.providers.langfuse_export import TurnExporter

        for name in QUIET_LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._exporter = TurnExporter(public_key=public_key, secret_key=secret_key, base_url=base_url)
        self._waiting: deque[Turn] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._unfinished = 0
        self._forgotten: OrderedDict[UUID, None] = OrderedDict()
        self.dropped = 0
        self._sender = threading.Thread(target=self._send_all, name="langfuse", daemon=True)
        self._sender.start()

    @property
    def enabled(self) -> bool:
        return True

    @property
    def waiting(self) -> int:
        """How many turns have not arrived yet."""
        with self._changed:
            return len(self._waiting) + self._unfinished

    def record_turn(self, turn: Turn) -> None:
        with self._changed:
            if turn.id in self._forgotten:
                return
            self._waiting.append(turn)
            self._drop_surplus()
            self._changed.notify()

    async def deliver_feedback(self, feedback: Sequence[Feedback]) -> list[Feedback]:
        api = self._exporter.client.async_api
        arrived: list[Feedback] = []
        for item in feedback:
            try:
                if item.withdrawn_at is None:
                    await _put_score(api, item)
                else:
                    await _delete_score(api, item)
            except Exception as error:
                if not _is_hopeless(error):
                    log.warning(
                        "feedback_not_delivered",
                        error=type(error).__name__,
                        left=len(feedback) - len(arrived),
                    )
                    break
                # Would be refused for ever, and hold up what comes after it.
                log.warning("feedback_refused", error=type(error).__name__, turn_id=str(item.turn_id))
            arrived.append(item)
        return arrived

    async def forget_turns(self, turn_ids: Collection[UUID]) -> bool:
        if not turn_ids:
            return True
        self._drop_forgotten(turn_ids)
        try:
            await self._exporter.client.async_api.trace.delete_multiple(
                trace_ids=[trace_id_for(turn_id) for turn_id in turn_ids], request_options=_OPTIONS
            )
        except Exception as error:
            if not _is_hopeless(error):
                log.warning("traces_not_removed", error=type(error).__name__, left=len(turn_ids))
                return False
            # Would be refused for ever, and hold up what comes after it.
            log.error("trace_removal_refused", error=type(error).__name__, turn_ids=list(map(str, turn_ids)))
        return True

    def _drop_forgotten(self, turn_ids: Collection[UUID]) -> None:
        """What waits is not sent; what is under way just now is removed the next time."""
        with self._changed:
            self._forgotten.update(dict.fromkeys(turn_ids))
            while len(self._forgotten) > TURNS_REMEMBERED_AS_FORGOTTEN:
                self._forgotten.popitem(last=False)
            self._waiting = deque(turn for turn in self._waiting if turn.id not in self._forgotten)

    async def aclose(self, timeout_seconds: float) -> None:
        """Send what waits, for at most that long; what is left then is lost, and counted."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        await asyncio.to_thread(self._sender.join, timeout_seconds)
        if left := self.waiting:
            log.warning("traces_lost", turns=left)

    def _send_all(self) -> None:
        """The sender's life: a batch at a time; after a failure a growing pause, then one turn to try with.

        To write fifty turns takes a fifth of a second of computing, which those who ask just then would miss.
        """
        pause_seconds, most = FIRST_PAUSE_SECONDS, TURNS_PER_BATCH
        while batch := self._next_batch(most):
            if self._sent(batch):
                pause_seconds, most = FIRST_PAUSE_SECONDS, TURNS_PER_BATCH
                continue
            self._put_back(batch)
            log.warning("traces_not_delivered", turns=self.waiting, again_in_seconds=pause_seconds)
            most = 1
            with self._changed:
                if self._closing or self._changed.wait_for(lambda: self._closing, pause_seconds):
                    break
            pause_seconds = min(pause_seconds * 2, LONGEST_PAUSE_SECONDS)
        self._exporter.shut_down()

    def _next_batch(self, most: int) -> list[Turn]:
        """Waits for turns; empty when there are none left and we are closing."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            self._changed.wait_for(lambda: len(self._waiting) >= most or self._closing, GATHERING_SECONDS)
            batch = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
            self._unfinished = len(batch)
            return batch

    def _sent(self, batch: list[Turn]) -> bool:
        try:
            arrived = self._exporter.send(batch)
        except Exception as error:  # a turn that cannot be written would otherwise end the thread
            log.exception("traces_not_written", error=type(error).__name__)
            self.dropped += len(batch)
            arrived = True
        if arrived:
            with self._changed:
                self._unfinished = 0
        return arrived

    def _put_back(self, batch: list[Turn]) -> None:
        with self._changed:
            self._unfinished = 0
            self._waiting.extendleft(turn for turn in reversed(batch) if turn.id not in self._forgotten)
            self._drop_surplus()

    def _drop_surplus(self) -> None:
        while self._waiting and len(self._waiting) + self._unfinished > TURNS_WAITING:
            self._waiting.popleft()
            self.dropped += 1


def score_id_for(feedback: Feedback) -> str:
    """One score per author and turn, whatever they change their mind to."""
    author = "\x1f".join((feedback.platform, feedback.workspace, feedback.author))
    return uuid5(feedback.turn_id, author).hex


async def _put_score(api: AsyncLangfuseAPI, feedback: Feedback) -> None:
    from langfuse.api import CreateScoreRequest, ScoreDataType

    score_id = score_id_for(feedback)
    request = CreateScoreRequest(
        id=score_id,
        trace_id=trace_id_for(feedback.turn_id),
        name=SCORE_NAME,
        value=float(feedback.rating),
        data_type=ScoreDataType.NUMERIC,
        comment=mask_text(feedback.comment) if feedback.comment else None,
        metadata={"via": feedback.via, "platform": feedback.platform, "author": feedback.author},
        timestamp=await _first_timestamp(api, score_id) or feedback.at,
    )
    response = await api.scores.create(request=[request], request_options=_OPTIONS)
    if getattr(response, "rejected", 0):
        raise ScoreRejectedError


async def _first_timestamp(api: AsyncLangfuseAPI, score_id: str) -> datetime | None:
    """When the score was first set: Langfuse replaces a score only if id and timestamp are the same."""
    from langfuse.api.core import ApiError

    try:
        found = await api.scores.get_many(id=score_id, request_options=_OPTIONS)
    except ApiError as error:
        if error.status_code == 404:  # an older server, which goes by the id alone
            return None
        raise
    return found.data[0].timestamp if found.data else None


async def _delete_score(api: AsyncLangfuseAPI, feedback: Feedback) -> None:
    from langfuse.api.core import ApiError

    try:
        await api.scores.delete(score_id_for(feedback), request_options=_OPTIONS)
    except ApiError as error:
        if error.status_code != 404:  # gone already is as good
            raise


class ScoreRejectedError(Exception):
    """Langfuse took the request and refused the score in it."""


def _is_hopeless(error: Exception) -> bool:
    return isinstance(error, ScoreRejectedError) or getattr(error, "status_code", None) in (400, 422)


_OPTIONS: Any = {"max_retries": 0, "timeout_in_seconds": 5}
