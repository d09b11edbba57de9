"""An event as the inbox stores it."""

from __future__ import annotations

from datetime import UTC, datetime

from core.messages import EVENTS, MessageHeard
from core.storage.inbox_intake import columns_of
from core.testing.making import make_message, make_posted


def test_a_new_word_is_stored_only_where_it_says_something() -> None:
    plain = make_posted(make_message("hello"))
    assert set(columns_of(plain)["event"]["message"]) == {"id", "thread", "author", "text", "at"}
    assert EVENTS.validate_python(columns_of(plain)["event"]) == plain
    facts = {"edited_at": datetime(2026, 11, 22, tzinfo=UTC), "confined": True}
    heard = MessageHeard(delivery_id="d", message=make_message("hello").model_copy(update=facts))
    assert EVENTS.validate_python(columns_of(heard)["event"]) == heard
    assert columns_of(heard)["message_id"] == heard.message.id
