"""A turn as Langfuse observations, sent with the real SDK and confirmed. Blocking: runs in a thread.

Trace and observation ids follow from the turn's, so that sending a turn again replaces it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from langfuse import Langfuse, LangfuseGeneration, LangfuseRetriever, LangfuseSpan, propagate_attributes
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator

from core.answers import Span, Turn
from core.providers.masking import mask_secrets

TRACER_NAME = "langfuse-sdk"
"""The SDK takes only spans of this tracer for its own."""

REQUEST_SECONDS = 5
LONGEST_LABEL = 200
"""Langfuse drops user, session and tags that are longer."""


class TurnExporter:
    """Sends turns and says whether they arrived. Nothing global is touched: its own tracer provider."""

    def __init__(self, *, public_key: str, secret_key: str, base_url: str) -> None:
        self._ids = _TurnIds()
        self._exporter = _ConfirmingExporter(
            endpoint=f"{base_url.rstrip('/')}/api/public/otel/v1/traces",
            headers=_headers(public_key, secret_key),
            timeout=REQUEST_SECONDS,
            compression=Compression.Gzip,
        )
        self._provider = TracerProvider(id_generator=self._ids, shutdown_on_exit=False)
        self.client = Langfuse(
            public_key=public_key,
            secret_key=secret_key,
            base_url=base_url,
            timeout=REQUEST_SECONDS,
            mask=_mask,
            tracer_provider=self._provider,
            span_exporter=self._exporter,
        )
        self._tracer = self._provider.get_tracer(TRACER_NAME, attributes={"public_key": public_key})

    def send(self, turns: Sequence[Turn]) -> bool:
        """True when every turn has arrived; otherwise send them all again."""
        self._exporter.failed = False
        for turn in turns:
            self._write(turn)
        self._provider.force_flush()
        return not self._exporter.failed

    def shut_down(self) -> None:
        self.client.shutdown()

    def _write(self, turn: Turn) -> None:
        channel = turn.thread.channel
        self._ids.begin(turn)
        with propagate_attributes(
            user_id=f"{channel.platform}:{channel.workspace}:{turn.author.id}"[:LONGEST_LABEL],
            session_id=":".join(turn.thread.key)[:LONGEST_LABEL],
            tags=[channel.platform, turn.outcome],
            trace_name="turn",
        ):
            root = self._tracer.start_span("turn", start_time=_nanoseconds(turn.asked_at))
            observation = LangfuseSpan(
                otel_span=root,
                langfuse_client=self.client,
                input=turn.question,
                output=turn.answer.text,
                metadata=_describe(turn),
                level="ERROR" if turn.outcome == "failed" else None,
                status_message=turn.answer.reason,
            )
            with trace.use_span(root, end_on_exit=False):
                for span in turn.spans:
                    self._write_step(turn, span)
            observation.end(end_time=_nanoseconds(turn.answered_at))

    def _write_step(self, turn: Turn, span: Span) -> None:
        began = turn.asked_at + timedelta(seconds=span.started_seconds)
        ended = turn.asked_at + timedelta(seconds=max(span.started_seconds, span.ended_seconds))
        otel_span = self._tracer.start_span(span.name, start_time=_nanoseconds(began))
        facts = dict(span.facts)
        error = facts.get("error")
        common: dict[str, Any] = {
            "otel_span": otel_span,
            "langfuse_client": self.client,
            "level": "ERROR" if error else None,
            "status_message": str(error) if error else None,
        }
        observation: LangfuseGeneration | LangfuseRetriever | LangfuseSpan
        if span.name.startswith("model:"):
            observation = LangfuseGeneration(**common, **_generation(turn, span.name, facts))
        elif span.name == "search":
            observation = LangfuseRetriever(
                **common,
                input=facts.pop("query", turn.query),
                output=facts.pop("passages", None),
                metadata=facts,
            )
        else:
            observation = LangfuseSpan(**common, metadata=facts)
        observation.end(end_time=_nanoseconds(ended))


def _describe(turn: Turn) -> dict[str, object]:
    """What the root observation says about the turn, beside question and answer."""
    return {
        "turn_id": str(turn.id),
        "platform": turn.thread.channel.platform,
        "workspace": turn.thread.channel.workspace,
        "channel": turn.thread.channel.id,
        "question_message_id": turn.question_message_id,
        "query": turn.query,
        "outcome": turn.outcome,
        "reason": turn.answer.reason,
        "model": turn.model,
        "prompts": list(turn.prompts),
        "input_tokens": turn.use.input_tokens,
        "output_tokens": turn.use.output_tokens,
        "cost_usd": turn.use.cost_usd,
        "seconds": round((turn.answered_at - turn.asked_at).total_seconds(), 6),
        "citations": [citation.model_dump(mode="json") for citation in turn.answer.citations],
    }


def _generation(turn: Turn, name: str, facts: dict[str, object]) -> dict[str, Any]:
    """Model, tokens, cost and first token of a model span; the rest of the facts become metadata."""
    task = name.partition(":")[2]
    use = facts.pop("use", None)
    first = facts.pop("first_token_seconds", None)
    details: dict[str, Any] = {
        "model": str(facts.pop("model", turn.model)),
        "input": turn.question if task == "rewrite" else turn.query,
        "output": {"rewrite": turn.query, "answer": turn.answer.text}.get(task),
        "metadata": facts,
    }
    if isinstance(first, int | float):
        details["completion_start_time"] = turn.asked_at + timedelta(seconds=first)
    if isinstance(use, Mapping):
        details["usage_details"] = {
            "input": use.get("input_tokens", 0),
            "output": use.get("output_tokens", 0),
        }
        if use.get("cost_usd") is not None:
            details["cost_details"] = {"total": use["cost_usd"]}
    return details


class _TurnIds(IdGenerator):
    """Ids for the observations of one turn after the other: the first is the root's."""

    def __init__(self) -> None:
        self._trace_id = 0
        self._span_ids: Iterator[int] = iter(())

    def begin(self, turn: Turn) -> None:
        self._trace_id = int(turn.trace_id, 16)
        self._span_ids = _span_ids(turn.trace_id)

    def generate_trace_id(self) -> int:
        return self._trace_id

    def generate_span_id(self) -> int:
        return next(self._span_ids)


def _span_ids(trace_id: str) -> Iterator[int]:
    position = 0
    while True:
        digest = hashlib.sha256(f"{trace_id}/{position}".encode()).digest()
        yield int.from_bytes(digest[:8], "big") or 1
        position += 1


class _ConfirmingExporter(OTLPSpanExporter):
    """Remembers whether anything did not arrive."""

    failed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = super().export(spans)
        if result is not SpanExportResult.SUCCESS:
            self.failed = True
        return result


def _headers(public_key: str, secret_key: str) -> dict[str, str]:
    credentials = base64.b64encode(f"{public_key}:{secret_key}".encode()).decode("ascii")
    return {
        "Authorization": f"Basic {credentials}",
        "x-langfuse-sdk-name": "python",
        "x-langfuse-public-key": public_key,
        "x-langfuse-ingestion-version": "4",
    }


def _mask(*, data: Any, **_: Any) -> Any:
    return mask_secrets(data)


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1_000
