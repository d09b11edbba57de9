"""From the core's values to what goes over HTTP. Pure."""

from __future__ import annotations

from fastapi.sse import format_sse_event
from pydantic import BaseModel

from bot.asking import Answered
from bot.web.models import AnswerOut, CitationOut, PassageOut
from core.answers import Passage


def render_answered(answered: Answered, *, include_passages: bool) -> AnswerOut:
    """The answer as other programs read it."""
    answer = answered.answer
    return AnswerOut(
        answer=answer.text,
        citations=[
            CitationOut(n=citation.n, title=citation.title, uri=citation.uri, quote=citation.quote)
            for citation in answer.citations
        ],
        abstained=answer.abstained,
        reason=answer.reason,
        outcome=answered.outcome,
        turn_id=answered.turn_id,
        trace_id=answered.trace_id,
        thread=answered.thread,
        passages=[render_passage(passage) for passage in answered.passages] if include_passages else None,
    )


def render_passage(passage: Passage) -> PassageOut:
    """One retrieved passage with its scores."""
    return PassageOut(
        rank=passage.rank,
        score=passage.score,
        similarity=passage.similarity,
        coverage=passage.coverage,
        dense_rank=passage.dense_rank,
        lexical_rank=passage.lexical_rank,
        document_id=passage.document_id,
        title=passage.title,
        uri=passage.uri,
        author=passage.author,
        heading_path=list(passage.heading_path),
        text=passage.text,
    )


class Text(BaseModel):
    """The data of the events `status` and `text`."""

    text: str


class Passages(BaseModel):
    """The data of the event `passages`."""

    passages: list[PassageOut]


def render_event(name: str, data: BaseModel) -> bytes:
    """One server-sent event."""
    return format_sse_event(event=name, data_str=data.model_dump_json())
