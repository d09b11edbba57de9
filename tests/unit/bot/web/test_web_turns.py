"""Asking and rating over HTTP."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from core.answers import Answer
from core.messages import Channel, FeedbackGiven, FeedbackWithdrawn, MessagePosted, Thread
from tests.unit.bot.web.web_ground import ANSWER, open_ground, read_events

XSS = '<script>alert(1)</script><img src=x onerror="alert(2)">'


async def test_a_question_gets_its_answer_with_citations_and_the_ids_to_follow_it() -> None:
    async with open_ground() as ground:
        response = await ground.ask()
        assert response.status_code == 200
        body = response.json()
        assert body["answer"] == ANSWER.text
        assert body["citations"] == [
            {"n": 1, "title": "Start", "uri": "docs/start.md", "quote": "Run threadlore serve."}
        ]
        assert body["abstained"] is False
        assert body["reason"] is None
        assert body["outcome"] == "answered"
        assert body["trace_id"] == UUID(body["turn_id"]).hex
        assert body["passages"] is None


async def test_the_question_goes_through_the_sink_like_every_other_event() -> None:
    async with open_ground() as ground:
        await ground.ask("  What is new?  ", author="intranet:42")
        (event,) = ground.worker.events
        assert isinstance(event, MessagePosted)
        assert event.addressing == "direct"
        assert event.message.text == "What is new?"
        assert event.message.author.id == "intranet:42"
        assert event.message.thread.channel.platform == "web"


async def test_a_thread_is_gone_on_with_when_it_is_named() -> None:
    async with open_ground() as ground:
        first = (await ground.ask()).json()
        second = (await ground.ask("And then?", thread=first["thread"])).json()
        third = (await ground.ask("Something else")).json()
        assert second["thread"] == first["thread"]
        assert third["thread"] != first["thread"]
        assert len({first["turn_id"], second["turn_id"], third["turn_id"]}) == 3


async def test_passages_come_with_scores_when_asked_for() -> None:
    async with open_ground() as ground:
        (passage,) = (await ground.ask(include_passages=True)).json()["passages"]
        assert passage["rank"] == 1
        assert passage["score"] == pytest.approx(0.03)
        assert (passage["similarity"], passage["dense_rank"], passage["lexical_rank"]) == (0.8, 1, 2)
        assert (passage["coverage"], passage["author"]) == (0.6, "Ada")
        assert passage["heading_path"] == ["Start", "Server"]


async def test_an_answer_by_a_worker_in_another_process_is_found_in_the_stores() -> None:
    async with open_ground() as ground:
        ground.worker.elsewhere = True
        body = (await ground.ask(include_passages=True)).json()
        assert body["answer"] == ANSWER.text
        assert len(body["passages"]) == 1


@pytest.mark.parametrize("asked_by", ["accept", "body"])
async def test_a_stream_tells_status_text_passages_and_the_answer_in_this_order(asked_by: str) -> None:
    async with open_ground() as ground:
        ground.worker.drafts = ["Run", "Run `threadlore", "Run `threadlore serve`"]
        response = await ground.http.post(
            "/v1/turns",
            json={"text": "How?", "include_passages": True, "stream": asked_by == "body"},
            headers={"Accept": "text/event-stream"} if asked_by == "accept" else {},
        )
        assert response.headers["content-type"].startswith("text/event-stream")
        events = read_events(response.text)
        names = [name for name, _ in events]
        assert names[0] == "status"
        assert names[-2:] == ["passages", "answer"]
        assert set(names[1:-2]) == {"text"}
        texts = [data["text"] for name, data in events if name == "text"]
        assert texts == sorted(texts, key=len)
        assert events[-2][1]["passages"] == events[-1][1]["passages"]
        assert events[-1][1]["answer"] == ANSWER.text


async def test_the_stream_and_the_plain_answer_have_the_same_shape() -> None:
    async with open_ground() as ground:
        plain = (await ground.ask()).json()
        streamed = read_events((await ground.ask(stream=True)).text)[-1][1]
        assert plain.keys() == streamed.keys()


async def test_an_abstention_says_so_with_its_reason() -> None:
    async with open_ground() as ground:
        ground.worker.answer = Answer(
            text="The documents do not say.", abstained=True, reason="weak_evidence"
        )
        ground.worker.outcome = "abstained"
        body = (await ground.ask()).json()
        assert (body["abstained"], body["reason"], body["outcome"]) == (True, "weak_evidence", "abstained")


async def test_a_notice_is_told_as_what_it_is() -> None:
    async with open_ground() as ground:
        ground.worker.answer = Answer(text="Sorry, not now.", abstained=True, reason="model_failed")
        ground.worker.outcome = "failed"
        body = (await ground.ask()).json()
        assert (body["answer"], body["outcome"], body["reason"]) == (
            "Sorry, not now.",
            "failed",
            "model_failed",
        )


async def test_without_an_answer_in_time_the_request_ends_with_504() -> None:
    async with open_ground(timeout_seconds=0.3) as ground:
        ground.worker.silent = True
        response = await ground.ask()
        assert response.status_code == 504
        assert response.json()["error"]["code"] == "not_answered_in_time"
        streamed = await ground.ask(stream=True)
        assert read_events(streamed.text)[-1][0] == "error"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_question_that_cannot_be_stored_is_refused_and_tells_nothing_of_our_insides(
    stream: bool,
) -> None:
    async with open_ground() as ground:
        ground.worker.storage_is_down = True
        response = await ground.ask(stream=stream)
        assert response.status_code == 503
        assert response.headers["retry-after"]
        assert "secret-host" not in response.text


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": ""},
        {"text": "   "},
        {"text": 5},
        {"text": "x", "thread": "with spaces"},
        {"text": "x", "thread": ""},
        {"text": "x", "author": "x" * 300},
        {"text": "x", "unknown": 1},
        {"text": "x" * 100_001},
    ],
)
async def test_a_body_of_the_wrong_shape_is_refused_with_the_place(body: dict[str, object]) -> None:
    async with open_ground() as ground:
        response = await ground.http.post("/v1/turns", json=body)
        assert response.status_code == 422
        assert response.json()["error"]["code"] == "invalid_request"
        assert ground.worker.events == []


async def test_a_body_that_is_too_large_is_not_read() -> None:
    async with open_ground() as ground:
        response = await ground.http.post(
            "/v1/turns",
            content=b'{"text": "' + b"x" * 1_100_000,
            headers={"Content-Type": "application/json"},
        )
        assert response.status_code == 413
        assert response.json()["error"]["code"] == "too_large"


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
async def test_only_json_is_taken_so_that_no_foreign_form_can_ask(content_type: str | None) -> None:
    async with open_ground() as ground:
        headers = {"Content-Type": content_type} if content_type else {}
        response = await ground.http.post("/v1/turns", content=b'{"text": "hi"}', headers=headers)
        assert response.status_code in (415, 422)
        assert ground.worker.events == []


async def test_text_goes_through_as_data_and_never_as_a_page() -> None:
    async with open_ground() as ground:
        ground.worker.answer = Answer(text=XSS)
        response = await ground.ask(XSS)
        assert response.json()["answer"] == XSS
        assert response.headers["content-type"] == "application/json"
        assert response.headers["x-content-type-options"] == "nosniff"


async def test_links_to_places_that_no_source_lives_at_do_not_leave() -> None:
    async with open_ground() as ground:
        ground.worker.answer = Answer(text="See [here](https://evil.example/?q=secret).")
        ground.worker.drafts = ["See [here](https://evil.example/?q=secret)"]
        body = (await ground.ask(stream=True)).text
        assert "https://evil.example" not in body


async def test_a_rating_becomes_feedback_of_the_turn() -> None:
    async with open_ground() as ground:
        turn_id = (await ground.ask()).json()["turn_id"]
        response = await ground.http.post(
            f"/v1/turns/{turn_id}/feedback",
            json={"rating": -1, "comment": " too short ", "author": "web:1"},
        )
        assert response.status_code == 202
        event = ground.worker.events[-1]
        assert isinstance(event, FeedbackGiven)
        assert (str(event.turn_id), event.rating, event.comment) == (turn_id, -1, "too short")
        assert (event.via, event.symbol, event.author.id) == ("button", "button", "web:1")


async def test_a_rating_of_null_takes_the_rating_back() -> None:
    async with open_ground() as ground:
        turn_id = (await ground.ask()).json()["turn_id"]
        for rating in (1, None):
            await ground.http.post(f"/v1/turns/{turn_id}/feedback", json={"rating": rating})
        given, withdrawn = ground.worker.events[-2:]
        assert isinstance(given, FeedbackGiven)
        assert isinstance(withdrawn, FeedbackWithdrawn)
        assert given.delivery_id != withdrawn.delivery_id
        assert (given.author, given.symbol) == (withdrawn.author, withdrawn.symbol)


@pytest.mark.parametrize("body", [{}, {"rating": 0}, {"rating": 2}, {"rating": "1"}])
async def test_only_ratings_that_exist_are_taken(body: dict[str, object]) -> None:
    async with open_ground() as ground:
        turn_id = (await ground.ask()).json()["turn_id"]
        response = await ground.http.post(f"/v1/turns/{turn_id}/feedback", json=body)
        assert response.status_code == 422
        assert len(ground.worker.events) == 1


async def test_a_turn_of_another_platform_looks_as_if_it_were_not_there() -> None:
    async with open_ground() as ground:
        turn_id = UUID((await ground.ask()).json()["turn_id"])
        channel = Channel(platform="slack", workspace="T1", id="C1", private=True)
        turn = ground.records.turns[turn_id]
        ground.records.turns[turn_id] = turn.model_copy(update={"thread": Thread(channel=channel, id="1")})
        foreign = await ground.http.post(f"/v1/turns/{turn_id}/feedback", json={"rating": 1})
        unknown = await ground.http.post(f"/v1/turns/{uuid4()}/feedback", json={"rating": 1})
        nonsense = await ground.http.post("/v1/turns/nonsense/feedback", json={"rating": 1})
        assert [foreign.status_code, unknown.status_code, nonsense.status_code] == [404, 404, 404]
        assert foreign.json() == unknown.json() == nonsense.json()
        assert len(ground.worker.events) == 1
