"""Gateway payloads become Events: who is addressed, in which Thread, with which text."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.discord.events import (
    Place,
    mentioned_ids,
    parse_deletions,
    parse_edit,
    parse_history,
    parse_message,
    parse_reply_reference,
    parse_root,
    root_to_look_up,
)
from core.messages import MessageHeard, MessagePosted

BOT, ALICE, BOB = "1100000000000000001", "1200000000000000002", "1200000000000000003"
GUILD, CHANNEL, QUESTION, ANSWER = (
    "900000000000000001",
    "910000000000000002",
    "1300000000000000001",
    "1300000000000000002",
)
BOT_USER = {"id": BOT, "username": "threadlore", "discriminator": "0", "avatar": None, "bot": True}
PUBLIC = Place(private=False)
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def payload(content: str = f"<@{BOT}> how do I set it up?", **changes: Any) -> dict[str, Any]:
    """MESSAGE_CREATE as the gateway sends it."""
    return {
        "id": "1300000000000000009",
        "type": 0,
        "channel_id": CHANNEL,
        "channel_type": 0,
        "guild_id": GUILD,
        "content": content,
        "timestamp": "2026-11-22T10:00:00.123000+00:00",
        "edited_timestamp": None,
        "author": {
            "id": ALICE,
            "username": "alice_p",
            "global_name": "Alice",
            "discriminator": "0",
            "avatar": "a1b2",
            "public_flags": 0,
        },
        "member": {
            "nick": None,
            "roles": [],
            "joined_at": "2026-01-01T00:00:00+00:00",
            "deaf": False,
            "mute": False,
        },
        "mentions": [BOT_USER] if BOT in content else [],
        "mention_roles": [],
        "mention_everyone": False,
        "attachments": [],
        "embeds": [],
        "components": [],
        "pinned": False,
        "tts": False,
        "flags": 0,
        "nonce": "1300000000000000000",
    } | changes


def reply_to(answered: dict[str, Any] | None, **changes: Any) -> dict[str, Any]:
    """A reply, without a mention in its text and with the ping switched off."""
    reference = {"type": 0, "message_id": ANSWER, "channel_id": CHANNEL, "guild_id": GUILD}
    return payload("and then?", type=19, message_reference=reference, referenced_message=answered, **changes)


def our_answer(**changes: Any) -> dict[str, Any]:
    return {
        "id": ANSWER,
        "type": 19,
        "channel_id": CHANNEL,
        "author": BOT_USER,
        "content": "Like this.",
        "timestamp": "2026-11-22T09:00:00+00:00",
        "message_reference": {"type": 0, "message_id": QUESTION, "channel_id": CHANNEL, "guild_id": GUILD},
    } | changes


def test_a_mention_begins_a_thread_named_after_its_message() -> None:
    event = parse_message(payload(), PUBLIC, BOT)
    assert isinstance(event, MessagePosted)
    assert event.addressing == "mention"
    assert event.message.text == "how do I set it up?"
    assert event.message.thread.key == ("discord", GUILD, CHANNEL, "1300000000000000009")
    assert event.message.author.name == "Alice"
    assert not event.message.thread.channel.private
    assert not event.summoned_midway
    assert event.message.at == datetime(2026, 11, 22, 10, 0, 0, 123000, tzinfo=UTC)
    assert event.delivery_id == "message/1300000000000000009"


def test_the_nickname_goes_before_the_display_name() -> None:
    event = parse_message(payload(member={"nick": "Al"}), PUBLIC, BOT)
    assert isinstance(event, MessagePosted)
    assert event.message.author.name == "Al"


def test_a_channel_that_nothing_is_known_of_is_private() -> None:
    event = parse_message(payload(), Place(), BOT)
    assert isinstance(event, MessagePosted)
    assert event.message.thread.channel.private


def test_what_is_said_in_a_channel_without_naming_us_is_only_heard() -> None:
    assert isinstance(parse_message(payload("lunch?"), PUBLIC, BOT), MessageHeard)


def test_everyone_being_mentioned_does_not_name_us() -> None:
    assert isinstance(
        parse_message(payload("@everyone lunch?", mention_everyone=True), PUBLIC, BOT), MessageHeard
    )


def test_our_role_names_us_and_leaves_the_text() -> None:
    place = Place(private=False, own_role="77", names={"78": "ops"})
    event = parse_message(payload("<@&77> ask <@&78> too", mention_roles=["77", "78"]), place, BOT)
    assert isinstance(event, MessagePosted)
    assert event.addressing == "mention"
    assert event.message.text == "ask @ops too"


def test_a_dm_is_private_and_a_workspace_of_its_own() -> None:
    direct = payload("hello", guild_id=None, channel_id="555", channel_type=1)
    del direct["guild_id"]
    event = parse_message(direct, PUBLIC, BOT)
    assert isinstance(event, MessagePosted)
    assert event.addressing == "direct"
    assert event.message.thread.key == ("discord", "dm:555", "555", "555")
    assert event.message.thread.channel.private


def test_a_reply_to_our_answer_goes_on_with_its_thread() -> None:
    event = parse_message(reply_to(our_answer()), PUBLIC, BOT)
    assert isinstance(event, MessagePosted)
    assert event.addressing == "mention"
    assert event.message.thread.id == QUESTION
    assert not event.summoned_midway
    assert event.reply_handle is None


def test_a_reply_to_a_post_of_ours_that_refers_to_nothing_is_named_after_that_post() -> None:
    event = parse_message(reply_to(our_answer(type=0, message_reference=None)), PUBLIC, BOT)
    assert isinstance(event, MessagePosted)
    assert event.message.thread.id == ANSWER


def test_a_reply_to_the_answer_to_a_command_goes_on_with_the_command() -> None:
    answered = our_answer(type=20, message_reference=None, interaction_metadata={"id": "42", "type": 2})
    event = parse_message(reply_to(answered), PUBLIC, BOT)
    assert isinstance(event, MessagePosted)
    assert event.message.thread.id == "42"
    assert parse_reply_reference(event.reply_handle) == ANSWER


def test_a_later_reply_finds_the_command_through_its_answer() -> None:
    reply = reply_to(our_answer())
    assert root_to_look_up(reply, BOT) == QUESTION
    event = parse_message(reply, PUBLIC, BOT, {QUESTION: "42"})
    assert isinstance(event, MessagePosted)
    assert event.message.thread.id == "42"
    assert parse_reply_reference(event.reply_handle) == QUESTION


def test_a_root_is_itself_unless_it_is_our_answer_to_a_command() -> None:
    assert parse_root(payload(), BOT) == "1300000000000000009"
    assert parse_root(our_answer(interaction_metadata={"id": "42"}), BOT) == "42"


def test_nothing_is_looked_up_for_replies_to_others() -> None:
    assert root_to_look_up(reply_to(payload()), BOT) is None
    assert root_to_look_up(reply_to(None), BOT) is None


def test_a_reply_to_somebody_else_that_names_us_comes_in_the_middle() -> None:
    reply = reply_to(payload("what is this?")) | {"mentions": [BOT_USER]}
    event = parse_message(reply, PUBLIC, BOT)
    assert isinstance(event, MessagePosted)
    assert event.summoned_midway
    assert event.message.thread.id == reply["id"]


def test_a_reply_to_a_deleted_message_is_only_heard() -> None:
    assert isinstance(parse_message(reply_to(None), PUBLIC, BOT), MessageHeard)


def test_in_a_thread_the_channel_is_the_thread_and_its_parent_is_the_audience() -> None:
    place = Place(private=False, is_thread=True, parent=CHANNEL)
    event = parse_message(payload("and then?", channel_id="666"), place, BOT)
    assert isinstance(event, MessagePosted)
    assert event.addressing == "thread"
    assert event.message.thread.key == ("discord", GUILD, "666", "666")
    assert event.message.thread.audience.channel == CHANNEL
    assert not event.summoned_midway


def test_a_mention_in_a_thread_comes_in_the_middle() -> None:
    event = parse_message(payload(), Place(private=False, is_thread=True), BOT)
    assert isinstance(event, MessagePosted)
    assert event.addressing == "mention"
    assert event.summoned_midway


def test_a_thread_message_without_text_is_nothing() -> None:
    assert parse_message(payload(""), Place(is_thread=True), BOT) is None


def test_a_mention_without_words_is_still_a_question() -> None:
    event = parse_message(payload(f"<@!{BOT}>"), PUBLIC, BOT)
    assert isinstance(event, MessagePosted)
    assert event.message.text == ""


@pytest.mark.parametrize("type_", [6, 7, 18, 20, 21, 24, 46])
def test_what_the_platform_writes_is_no_question(type_: int) -> None:
    assert parse_message(payload(type=type_), PUBLIC, BOT) is None


def test_our_own_message_is_no_question() -> None:
    assert parse_message(payload(author=BOT_USER), PUBLIC, BOT) is None


@pytest.mark.parametrize(
    "changes", [{"webhook_id": "3"}, {"author": {"id": BOB, "username": "b", "bot": True}}]
)
def test_bots_and_webhooks_are_known_for_bots(changes: dict[str, Any]) -> None:
    event = parse_message(payload(**changes), PUBLIC, BOT)
    assert isinstance(event, MessagePosted)
    assert event.message.author.is_bot


def test_markup_of_the_platform_becomes_plain_text() -> None:
    text = f"<@{BOT}> ask <@!{BOB}> in <#88> <a:party:99> at <t:1700000000:R>, see </ask:5> or <@4>"
    people = [BOT_USER, {"id": BOB, "username": "bob", "global_name": "Bob B"}]
    event = parse_message(payload(text, mentions=people), Place(names={"88": "help"}), BOT)
    assert isinstance(event, MessagePosted)
    assert event.message.text == "ask @Bob B in #help :party: at 2023-11-14 22:13 UTC, see /ask or @someone"


def test_code_keeps_its_lines_and_indentation() -> None:
    event = parse_message(payload(f"<@{BOT}> why?\n```py\nif x:\n    y()\n```"), PUBLIC, BOT)
    assert isinstance(event, MessagePosted)
    assert event.message.text == "why?\n```py\nif x:\n    y()\n```"


def test_roles_and_channels_that_a_text_names_are_found() -> None:
    assert mentioned_ids("<@&1> <#2> <@3> <@!4>") == {"1", "2"}


def test_an_edit_brings_the_new_text_and_a_delivery_of_its_own() -> None:
    event = parse_edit(payload(edited_timestamp="2026-11-22T10:01:00+00:00"), PUBLIC, BOT)
    assert event is not None
    assert event.addressing == "mention"
    assert event.delivery_id == "edit/1300000000000000009/2026-11-22T10:01:00+00:00"


def test_the_answer_to_an_edit_refers_to_what_the_first_answer_referred_to() -> None:
    changed = {**reply_to(our_answer()), "edited_timestamp": "2026-11-22T10:01:00+00:00"}
    event = parse_edit(changed, PUBLIC, BOT, {QUESTION: "42"})
    assert event is not None
    assert event.message.thread.id == "42"
    assert parse_reply_reference(event.reply_handle) == QUESTION


def test_a_link_preview_is_no_edit() -> None:
    assert parse_edit(payload(embeds=[{"type": "link"}]), PUBLIC, BOT) is None
    assert (
        parse_edit({"id": "1", "channel_id": CHANNEL, "guild_id": GUILD, "embeds": []}, PUBLIC, BOT) is None
    )


def test_an_edit_that_is_not_for_us_says_so() -> None:
    event = parse_edit(payload("lunch?", edited_timestamp="2026-11-22T10:01:00+00:00"), PUBLIC, BOT)
    assert event is not None
    assert event.addressing is None
    assert event.message.edited_at == datetime(2026, 11, 22, 10, 1, tzinfo=UTC)


def test_what_is_said_in_a_private_thread_is_confined_to_it() -> None:
    place = Place(is_thread=True, is_confined=True, parent=CHANNEL)
    event = parse_message(payload("and then?", channel_id="666"), place, BOT)
    assert event is not None
    assert event.message.confined


def test_what_bots_say_to_others_is_not_heard() -> None:
    author = {"id": "5", "username": "build", "discriminator": "0", "avatar": None, "bot": True}
    assert parse_message(payload("build 7 failed", author=author), PUBLIC, BOT) is None


def test_our_own_edits_are_nothing() -> None:
    edited = payload(author=BOT_USER, edited_timestamp="2026-11-22T10:01:00+00:00")
    assert parse_edit(edited, PUBLIC, BOT) is None


def test_a_deletion_and_many() -> None:
    (one,) = parse_deletions({"id": "5", "channel_id": CHANNEL, "guild_id": GUILD}, PUBLIC, NOW)
    assert (one.message_id, one.channel.id, one.at) == ("5", CHANNEL, NOW)
    many = parse_deletions({"ids": ["5", "6"], "channel_id": CHANNEL, "guild_id": GUILD}, PUBLIC, NOW)
    assert [event.message_id for event in many] == ["5", "6"]
    assert len({event.delivery_id for event in many}) == 2


def test_a_deletion_in_a_dm_finds_the_workspace_of_the_dm() -> None:
    (event,) = parse_deletions({"id": "5", "channel_id": "555"}, PUBLIC, NOW)
    assert event.channel.workspace == "dm:555"


def test_the_opening_of_a_thread_is_the_message_it_began_with() -> None:
    opening = payload("first", id="7")
    starter = payload("", type=21, channel_id="666", referenced_message=opening)
    message = parse_history(starter, Place(is_thread=True), BOT)
    assert message is not None
    assert (message.id, message.text, message.thread.channel.id) == ("7", "first", "666")


def test_a_thread_rename_is_not_part_of_its_history() -> None:
    assert parse_history(payload("new name", type=4), Place(is_thread=True), BOT) is None


def test_the_handle_of_a_command_names_no_reference() -> None:
    assert parse_reply_reference(json.dumps({"token": "x"})) is None
    assert parse_reply_reference(None) is None
