"""An event as the inbox stores it."""

from __future__ import annotations

from datetime import UTC, datetime

from core.messages import EVENTS, MessageHeard
from core.storage.inbox_intake import columns_of
from core.testing.making import make_channel, make_deleted, make_message, make_posted, make_thread


def test_a_new_word_is_stored_only_where_it_says_something() -> None:
    plain = make_posted(make_message("hello"))
    assert set(columns_of(plain)["event"]["message"]) == {"id", "thread", "author", "text", "at"}
    assert EVENTS.validate_python(columns_of(plain)["event"]) == plain
    facts = {"edited_at": datetime(2026, 11, 22, tzinfo=UTC), "confined": True}
    heard = MessageHeard(delivery_id="d", message=make_message("hello").model_copy(update=facts))
    assert EVENTS.validate_python(columns_of(heard)["event"]) == heard
    assert columns_of(heard)["message_id"] == heard.message.id


def test_that_outsiders_read_a_channel_is_stored_where_it_is_so() -> None:
    shared = make_channel().model_copy(update={"outsiders": True})
    for channel in (make_channel(), shared):
        message = make_message(thread=make_thread(channel=channel))
        for event in (make_posted(message), make_deleted(message)):
            stored = columns_of(event)["event"]
            assert EVENTS.validate_python(stored) == event
            kept = stored["message"]["thread"]["channel"] if "message" in stored else stored["channel"]
            assert ("outsiders" in kept) == channel.outsiders
