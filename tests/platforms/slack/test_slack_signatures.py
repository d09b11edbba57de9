"""HTTP mode believes only what Slack has signed, lately and byte for byte."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.slack.adapter import SlackAdapter
from bot.testing.slack import SlackServer
from tests.contracts.adapter_harness import EventLog
from tests.platforms.slack.harness import receiving

JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def adapter(slack: SlackServer, log: EventLog) -> AsyncIterator[SlackAdapter]:
    async with receiving(slack, "http", log) as started:
        yield started


def body_of(text: str = "hello") -> str:
    event = {
        "type": "message",
        "channel": "DU1",
        "channel_type": "im",
        "user": "U1",
        "text": text,
        "ts": "1700000000.000100",
    }
    envelope = {
        "type": "event_callback",
        "team_id": "T0LOOP",
        "event": event,
        "event_id": f"Ev{uuid4().hex}",
        "authorizations": [{"team_id": "T0LOOP", "user_id": "U0BOT", "is_bot": True}],
    }
    return json.dumps(envelope)


async def test_what_is_signed_is_taken(slack: SlackServer, adapter: SlackAdapter, log: EventLog) -> None:
    body = body_of()
    assert await slack.deliverer.send(body, {**JSON, **slack.deliverer.signed(body)}) == 200
    assert len(log.events) == 1


@pytest.mark.parametrize(
    ("age", "status"), [(301, 401), (-302, 401), (299, 200), (-299, 200), (100_000, 401)]
)
async def test_a_signature_is_good_for_five_minutes(
    slack: SlackServer, adapter: SlackAdapter, log: EventLog, age: int, status: int
) -> None:
    body = body_of()
    headers = slack.deliverer.signed(body, at=time.time() - age)
    assert await slack.deliverer.send(body, {**JSON, **headers}) == status
    assert len(log.events) == (status == 200)


async def test_no_signature_wrong_secret_or_nonsense_is_refused(
    slack: SlackServer, adapter: SlackAdapter, log: EventLog
) -> None:
    body = body_of()
    good = slack.deliverer.signed(body)
    slack.deliverer.signing_secret = "another secret"
    forged = slack.deliverer.signed(body)
    attempts = [
        {},
        forged,
        {"X-Slack-Signature": good["X-Slack-Signature"]},
        {"X-Slack-Request-Timestamp": good["X-Slack-Request-Timestamp"]},
        {**good, "X-Slack-Signature": ""},
        {**good, "X-Slack-Signature": "v0="},
        {**good, "X-Slack-Signature": good["X-Slack-Signature"].upper()},
        {**good, "X-Slack-Request-Timestamp": "yesterday"},
        {**good, "X-Slack-Request-Timestamp": "-1"},
        {**good, "X-Slack-Request-Timestamp": "1e9"},
    ]
    for headers in attempts:
        assert await slack.deliverer.send(body, {**JSON, **headers}) == 401, headers
    assert log.events == []


async def test_a_body_that_was_serialised_again_is_refused(
    slack: SlackServer, adapter: SlackAdapter, log: EventLog
) -> None:
    body = body_of()
    headers = slack.deliverer.signed(body)
    again = json.dumps(json.loads(body), separators=(",", ":"))
    assert await slack.deliverer.send(again, {**JSON, **headers}) == 401
    assert log.events == []


async def test_bytes_that_are_no_text_are_refused(
    slack: SlackServer, adapter: SlackAdapter, log: EventLog
) -> None:
    headers = slack.deliverer.signed("x")
    assert await slack.deliverer.send(b"\xff\xfe{}", {**JSON, **headers}) == 401
    assert log.events == []


async def test_a_replay_is_the_same_delivery(
    slack: SlackServer, adapter: SlackAdapter, log: EventLog
) -> None:
    body = body_of()
    headers = {**JSON, **slack.deliverer.signed(body)}
    for _ in range(3):
        assert await slack.deliverer.send(body, headers) == 200
    assert len({event.delivery_id for event in log.events}) == 1


async def test_the_url_verification_is_answered(slack: SlackServer, adapter: SlackAdapter) -> None:
    body = json.dumps({"type": "url_verification", "challenge": "abc", "token": "x"})
    assert await slack.deliverer.send(body, {**JSON, **slack.deliverer.signed(body)}) == 200


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    secret=st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda s: s != "loopback-signing-secret"),
    shift=st.integers(-10_000, 10_000),
    flip=st.integers(0, 63),
)
async def test_no_forgery_gets_through(
    slack: SlackServer, adapter: SlackAdapter, log: EventLog, secret: str, shift: int, flip: int
) -> None:
    body = body_of()
    real = slack.deliverer.signed(body)
    slack.deliverer.signing_secret, kept = secret, slack.deliverer.signing_secret
    forged = slack.deliverer.signed(body, at=time.time() + shift)
    slack.deliverer.signing_secret = kept
    digit = real["X-Slack-Signature"][3 + flip]
    flipped = (
        real["X-Slack-Signature"][: 3 + flip]
        + ("0" if digit != "0" else "1")
        + real["X-Slack-Signature"][4 + flip :]
    )
    assert await slack.deliverer.send(body, {**JSON, **forged}) == 401
    assert await slack.deliverer.send(body, {**JSON, **real, "X-Slack-Signature": flipped}) == 401
    assert log.events == []
