"""The routes for asking and rating: POST /v1/turns and POST /v1/turns/{id}/feedback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import APIRouter, Header, HTTPException, Request, Response
from fastapi.responses import StreamingResponse

from bot.asking import Answered, Asker, NotAnsweredInTimeError, PostedEffects, Progress, RecordedTurns
from bot.mailbox import StatusShown, TextWritten
from bot.web.adapter import WEB_CHANNEL, WebAdapter
from bot.web.events import parse_question, parse_rating
from bot.web.models import Accepted, AnswerOut, Failure, Problem, Question, Rating
from bot.web.render import Passages, Text, render_answered, render_event

log = structlog.get_logger(__name__)

MOST_WAITING = 1000
"""Questions that may wait for their answer in one process at the same time."""

STREAM_RESPONSES: dict[int | str, dict[str, object]] = {
    200: {
        "description": "The answer; or, when asked for, the events `status` {text}, `text` {text: all of it "
        "so far}, `passages` {passages}, then `answer` (as below) or `error` {code, message}.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
    503: {"model": Failure, "description": "Too many questions are waiting, or the database is away."},
    504: {"model": Failure, "description": "No answer came in time."},
}


class TurnRoutes:
    """Asks through the web adapter and follows the answer."""

    def __init__(
        self, adapter: WebAdapter, *, outbox: PostedEffects, turns: RecordedTurns, timeout_seconds: float
    ) -> None:
        self._adapter = adapter
        self._outbox = outbox
        self._turns = turns
        self._asker = Asker(adapter, outbox=outbox, turns=turns, timeout_seconds=timeout_seconds)
        self._waiting = 0

    def build_router(self) -> APIRouter:
        router = APIRouter(prefix="/v1/turns", tags=["turns"])
        router.add_api_route(
            "",
            self.ask,
            methods=["POST"],
            response_model=AnswerOut,
            response_model_exclude_unset=False,
            responses=STREAM_RESPONSES,
            summary="Ask a question",
        )
        router.add_api_route(
            "/{turn_id}/feedback",
            self.rate,
            methods=["POST"],
            status_code=202,
            response_model=Accepted,
            responses={404: {"model": Failure, "description": "There is no such turn here."}},
            summary="Rate an answer, or take the rating back",
        )
        return router

    async def ask(
        self, request: Request, body: Question, accept: Annotated[str, Header()] = ""
    ) -> Response | AnswerOut:
        """Ask Threadlore; the answer cites its sources, or says honestly that there are none.

        A `thread` remembers: ask a follow-up with the `thread` of the answer before.
        """
        require_json(request)
        if self._waiting >= MOST_WAITING:
            raise HTTPException(503, "Too many questions are waiting. Try again in a moment.")
        progress = await self._asker.ask(parse_question(body), with_passages=body.include_passages)
        counted = self._count(progress)
        if body.stream or "text/event-stream" in accept:
            return StreamingResponse(
                _stream(counted, body),
                media_type="text/event-stream",
                headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
            )
        async for step in counted:
            if isinstance(step, Answered):
                return render_answered(step, include_passages=body.include_passages)
        raise HTTPException(504, "No answer came.")  # pragma: no cover - the iterator ends with Answered

    async def rate(self, request: Request, turn_id: UUID, body: Rating) -> Accepted:
        """One rating per author and answer: a later one replaces it, null takes it back."""
        require_json(request)
        if not await self._is_ours(turn_id):
            raise HTTPException(404, "There is no such turn here.")
        await self._adapter.receive(parse_rating(turn_id, body))
        return Accepted()

    async def _is_ours(self, turn_id: UUID) -> bool:
        """Only what was answered over HTTP is rated over HTTP; other turns look as if they were not there."""
        turn = await self._turns.get(turn_id)
        if turn is not None:
            return turn.thread.channel.platform == WEB_CHANNEL.platform
        effects = await self._outbox.of_turn(turn_id)
        return any(effect.channel.platform == WEB_CHANNEL.platform for effect in effects)

    async def _count(self, progress: AsyncIterator[Progress]) -> AsyncIterator[Progress]:
        self._waiting += 1
        try:
            async for step in progress:
                yield step
        finally:
            self._waiting -= 1


async def _stream(progress: AsyncIterator[Progress], body: Question) -> AsyncIterator[bytes]:
    try:
        async for step in progress:
            if isinstance(step, StatusShown):
                yield render_event("status", Text(text=step.text))
            elif isinstance(step, TextWritten):
                yield render_event("text", Text(text=step.text_so_far))
            else:
                answer = render_answered(step, include_passages=body.include_passages)
                if answer.passages is not None:
                    yield render_event("passages", Passages(passages=answer.passages))
                yield render_event("answer", answer)
    except NotAnsweredInTimeError:
        yield render_event("error", Problem(code="not_answered_in_time", message="No answer came in time."))
    except Exception:
        # The status line is long gone: the reader must learn of the end from the stream itself.
        log.exception("http_stream_failed")
        yield render_event("error", Problem(code="internal", message="Something went wrong on our side."))


def require_json(request: Request) -> None:
    """Only application/json: a form on another site cannot send it without asking first."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "Send JSON with Content-Type: application/json.")
