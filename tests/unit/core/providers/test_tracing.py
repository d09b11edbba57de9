"""What Langfuse gets to see of a turn, and what happens when it cannot be reached."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from core.answers import Answer, Citation, Feedback, Span, TokenUse, Turn
from core.answers import trace_id_for as trace_id
from core.messages import Author, Channel, Thread
from core.providers import tracing
from core.providers.masking import mask_secrets, mask_text
from core.providers.tracing import LangfuseTracer, NullTracer
from core.testing.langfuse_server import LangfuseServer

AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
SLACK_TOKEN = "xoxb-1234567890-abcdefghijkl"


def make_turn(turn_id: UUID | None = None, question: str = f"Why is {SLACK_TOKEN} refused?") -> Turn:
    turn_id = turn_id or uuid4()
    use = TokenUse(input_tokens=900, output_tokens=60, cost_usd=0.002)
    passages = [{"rank": 1, "chunk_id": 7, "score": 0.03, "similarity": 0.71}]
    return Turn(
        id=turn_id,
        trace_id=trace_id(turn_id),
        thread=Thread(channel=Channel(platform="slack", workspace="T1", id="C1"), id="17.5"),
        question_message_id="17.6",
        author=Author(id="U1", name="Ada"),
        question=question,
        query="Why is the Slack token refused?",
        answer=Answer(
            text="It lacks a scope. [1]",
            citations=(Citation(n=1, chunk_id=7, document_id=3, title="Slack", uri="slack.md", quote="q"),),
        ),
        outcome="answered",
        model="openai:gpt-4o-mini",
        prompts=("rewrite@1-aa", "answer@1-bb"),
        use=use,
        spans=(
            Span(name="rewrite", started_seconds=0.0, ended_seconds=0.4, facts={"changed": True}),
            Span(
                name="search",
                started_seconds=0.4,
                ended_seconds=0.45,
                facts={"query": "Why is the Slack token refused?", "passages": passages},
            ),
            Span(
                name="model:answer",
                started_seconds=0.45,
                ended_seconds=2.0,
                facts={
                    "model": "openai:gpt-4o-mini",
                    "prompt": "answer@1-bb",
                    "first_token_seconds": 0.9,
                    "use": use.model_dump(),
                    "finish": "stop",
                },
            ),
            Span(name="check", started_seconds=2.0, ended_seconds=2.01, facts={"error": "ValueError"}),
        ),
        asked_at=AT,
        answered_at=AT + timedelta(seconds=2.5),
    )


@pytest_asyncio.fixture
async def server() -> AsyncIterator[LangfuseServer]:
    async with LangfuseServer() as server:
        yield server


@pytest_asyncio.fixture
async def tracer(server: LangfuseServer) -> AsyncIterator[LangfuseTracer]:
    tracer = LangfuseTracer(public_key=f"pk-lf-{uuid4()}", secret_key="sk-lf-secret", base_url=server.url)
    yield tracer
    await tracer.aclose(1)  # its SDK may still rest after a failure, for longer


async def arrived(server: LangfuseServer, turn: Turn) -> None:
    await server.wait_for(lambda: len(server.trace(turn.trace_id)) == 1 + len(turn.spans))


async def test_a_turn_is_one_trace_with_an_observation_per_step(
    server: LangfuseServer, tracer: LangfuseTracer
) -> None:
    turn = make_turn()
    tracer.record_turn(turn)
    await arrived(server, turn)
    root, *steps = server.trace(turn.trace_id)
    assert (root.name, root.parent_id, root.kind) == ("turn", None, "span")
    assert [(step.name, step.kind) for step in steps] == [
        ("rewrite", "span"), ("search", "retriever"), ("model:answer", "generation"), ("check", "span")
    ]  # fmt: skip
    assert {step.parent_id for step in steps} == {root.id}
    assert (root.began, root.ended) == (turn.asked_at, turn.answered_at)
    assert steps[1].began == AT + timedelta(seconds=0.4)
    assert steps[1].ended == AT + timedelta(seconds=0.45)


async def test_the_root_holds_who_asked_what_was_answered_and_what_it_took(
    server: LangfuseServer, tracer: LangfuseTracer
) -> None:
    turn = make_turn()
    tracer.record_turn(turn)
    await arrived(server, turn)
    root = server.trace(turn.trace_id)[0]
    assert root.attributes["observation.output"] == turn.answer.text
    assert root.attributes["user.id"] == "slack:T1:U1"
    assert root.attributes["session.id"] == "slack:T1:C1:17.5"
    assert sorted(root.attributes["trace.tags"]) == ["answered", "slack"]
    assert root.metadata["prompts"] == ["rewrite@1-aa", "answer@1-bb"]
    assert root.metadata["model"] == "openai:gpt-4o-mini"
    assert root.metadata["cost_usd"] == 0.002
    assert root.metadata["seconds"] == 2.5
    assert root.metadata["citations"][0]["uri"] == "slack.md"


async def test_model_and_search_steps_hold_their_facts(
    server: LangfuseServer, tracer: LangfuseTracer
) -> None:
    turn = make_turn()
    tracer.record_turn(turn)
    await arrived(server, turn)
    _, _, search, model, check = server.trace(turn.trace_id)
    assert search.attributes["observation.output"][0]["similarity"] == 0.71
    assert model.attributes["observation.model.name"] == "openai:gpt-4o-mini"
    assert model.attributes["observation.usage_details"] == {"input": 900, "output": 60}
    assert model.attributes["observation.cost_details"] == {"total": 0.002}
    assert "2026-11-20T09:30:00.9" in model.attributes["observation.completion_start_time"]
    assert model.metadata == {"prompt": "answer@1-bb", "finish": "stop"}
    assert check.attributes["observation.level"] == "ERROR"
    assert check.attributes["observation.status_message"] == "ValueError"


async def test_a_turn_recorded_again_replaces_its_trace(
    server: LangfuseServer, tracer: LangfuseTracer
) -> None:
    turn = make_turn()
    tracer.record_turn(turn)
    await arrived(server, turn)
    tracer.record_turn(turn.model_copy(update={"answer": Answer(text="Better.")}))
    await server.wait_for(
        lambda: server.trace(turn.trace_id)[0].attributes["observation.output"] == "Better."
    )
    assert len(server.trace(turn.trace_id)) == 1 + len(turn.spans)


@pytest.mark.parametrize("text", ["[1] says so.", "{{ name }} is a placeholder."])
async def test_an_answer_that_begins_as_json_does_is_a_text_all_the_same(
    server: LangfuseServer, tracer: LangfuseTracer, text: str
) -> None:
    turn = make_turn().model_copy(update={"answer": Answer(text=text)})
    tracer.record_turn(turn)
    await arrived(server, turn)
    assert server.trace(turn.trace_id)[0].attributes["observation.output"] == text


async def test_no_secret_leaves(server: LangfuseServer, tracer: LangfuseTracer) -> None:
    turn = make_turn()
    tracer.record_turn(turn)
    comment = Feedback(
        turn_id=turn.id, platform="slack", workspace="T1", author="U1", rating=-1, via="button",
        comment=f"my key is {SLACK_TOKEN}", at=AT,
    )  # fmt: skip
    await tracer.deliver_feedback([comment])
    await arrived(server, turn)
    assert server.bodies
    assert not any(SLACK_TOKEN.encode() in body or b"sk-lf-secret" in body for body in server.bodies)


async def test_turns_wait_for_a_langfuse_that_comes_back(
    server: LangfuseServer, tracer: LangfuseTracer
) -> None:
    server.break_with = 404  # not one that the SDK's exporter tries again by itself
    turns = [make_turn(question=f"question {number}") for number in range(5)]
    for turn in turns:
        tracer.record_turn(turn)
    await server.wait_for(lambda: server.requests.get("otel", 0) >= 1)
    server.break_with = None
    for turn in turns:
        await arrived(server, turn)
    assert tracer.dropped == 0


async def test_after_a_failure_one_turn_is_tried_before_the_others(
    server: LangfuseServer, tracer: LangfuseTracer
) -> None:
    server.break_with = 404
    turns = [make_turn(question=f"question {number}") for number in range(5)]
    for turn in turns:
        tracer.record_turn(turn)
    await server.wait_for(lambda: server.requests.get("otel", 0) >= 1)
    server.break_with = None
    for turn in turns:
        await arrived(server, turn)
    first, *rest = server.bodies
    assert [bytes.fromhex(turn.trace_id) in first for turn in turns] == [True, False, False, False, False]
    assert all(any(bytes.fromhex(turn.trace_id) in body for body in rest) for turn in turns[1:])


@pytest.mark.parametrize("status", [404, None], ids=["refuses", "is slow"])
async def test_more_than_a_thousand_waiting_turns_drop_the_oldest(
    server: LangfuseServer, tracer: LangfuseTracer, status: int | None
) -> None:
    server.break_with, server.delay_seconds = status, 0.0 if status else 30.0
    turns = [make_turn(question=f"question {number}") for number in range(tracing.TURNS_WAITING + 200)]
    for turn in turns:
        tracer.record_turn(turn)
        assert tracer.waiting <= tracing.TURNS_WAITING
    assert tracer.dropped == 200


async def test_a_score_is_updated_under_the_time_it_was_first_set(
    server: LangfuseServer, tracer: LangfuseTracer
) -> None:
    first = Feedback(
        turn_id=uuid4(), platform="slack", workspace="T1", author="U1", rating=1, via="reaction", at=AT
    )
    await tracer.deliver_feedback([first])
    later = first.model_copy(update={"rating": -1, "comment": "wrong page", "at": AT + timedelta(days=2)})
    await tracer.deliver_feedback([later])
    [score] = server.scores.values()
    assert (score["value"], score["comment"], score["name"]) == (-1, "wrong page", "user_feedback")
    assert score["traceId"] == trace_id(first.turn_id)
    assert datetime.fromisoformat(score["timestamp"]) == AT


async def test_a_score_that_langfuse_refuses_does_not_hold_up_the_others(
    server: LangfuseServer, tracer: LangfuseTracer
) -> None:
    feedback = [
        Feedback(turn_id=uuid4(), platform="web", workspace="", author="U", rating=1, via="button", at=AT)
        for _ in range(2)
    ]
    server.break_with = 400
    assert await tracer.deliver_feedback(feedback) == feedback
    server.break_with = 401
    assert await tracer.deliver_feedback(feedback) == []


async def test_the_null_tracer_is_off(server: LangfuseServer) -> None:
    tracer = NullTracer()
    tracer.record_turn(make_turn())
    assert not tracer.enabled
    assert await tracer.deliver_feedback([]) == []
    await tracer.aclose(1)


def test_known_forms_of_secrets_are_masked_and_ordinary_text_is_not() -> None:
    for secret in (
        SLACK_TOKEN,
        "xapp-1-A0B1C2-1234567-abcdef",
        "sk-proj-abcdefghijklmnop",
        "sk-lf-01234567-89ab",
        "ghp_0123456789abcdefghij",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijklmnop",
    ):
        assert secret not in mask_text(f"it is {secret}, I think")
    assert mask_text("postgresql://ada:hunter2@db/x") == "postgresql://***@db/x"
    plain = "Set SLACK_BOT_TOKEN (xoxb-…) and ask risk-averse people about https://example.com/sk-12."
    assert mask_text(plain) == plain
    assert mask_secrets({"a": ["b", SLACK_TOKEN], "n": 1}) == {"a": ["b", "***"], "n": 1}
