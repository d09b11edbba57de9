"""Slack's payloads, as Slack writes them, parsed into Events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bot.feedback_emoji import DEFAULT_EMOJI_RATINGS
from bot.slack.events import is_echo, parse_payload
from bot.slack.mrkdwn import markdown_of
from bot.slack.payloads import BotIdentity
from core.messages import Event, FeedbackGiven, MessageDeleted, MessageEdited, MessageHeard, MessagePosted

BOT = BotIdentity(user_id="U0BOT", bot_id="B0BOT")
NOW = datetime(2026, 10, 1, tzinfo=UTC)


def envelope(event: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "type": "event_callback",
        "team_id": "T1",
        "event_id": "Ev1",
        "event": event,
        "authorizations": [{"team_id": "T1", "user_id": "U0BOT", "is_bot": True}],
        **fields,
    }


def message(**fields: Any) -> dict[str, Any]:
    base = {"type": "message", "channel": "C1", "channel_type": "channel", "user": "U1", "team": "T1"}
    return {
        **base,
        "text": "<@U0BOT> hi",
        "ts": "1700000000.000100",
        "event_ts": "1700000000.000100",
        **fields,
    }


def parse(event: dict[str, Any], known: dict[str, bool] | None = None, **fields: Any) -> Event | None:
    return parse_payload(envelope(event, **fields), BOT, DEFAULT_EMOJI_RATINGS, known or {}, arrived_at=NOW)


def posted(event: dict[str, Any], **fields: Any) -> MessagePosted:
    parsed = parse(event, **fields)
    assert isinstance(parsed, MessagePosted)
    return parsed


@pytest.mark.parametrize("shared", [True, False])
def test_a_channel_that_companies_share_is_read_by_outsiders(shared: bool) -> None:
    event = posted(message(), is_ext_shared_channel=shared)
    assert event.message.thread.audience.outsiders == shared


def test_a_mention_says_who_what_where_and_when() -> None:
    event = posted(message())
    assert event.delivery_id == "Ev1"
    assert event.message.thread.key == ("slack", "T1", "C1", "1700000000.000100")
    assert event.message.author.id == "U1"
    assert event.message.text == "hi"
    assert event.message.at == datetime(2023, 11, 14, 22, 13, 20, 100, tzinfo=UTC)
    assert (event.addressing, event.summoned_midway, event.reply_handle) == ("mention", False, "T1")


@pytest.mark.parametrize(
    ("fields", "private"),
    [
        ({"channel_type": "channel"}, False),
        ({"channel_type": "group"}, True),
        ({"channel_type": "mpim", "channel": "G1"}, True),
        ({"channel_type": "im", "channel": "D1"}, True),
    ],
)
def test_private_places_are_known_by_their_type(fields: dict[str, str], private: bool) -> None:
    assert posted(message(**fields)).message.thread.channel.private is private


def test_a_place_of_unknown_type_counts_as_private_until_it_is_known() -> None:
    mention = message(type="app_mention")
    del mention["channel_type"]
    assert posted(mention).message.thread.channel.private
    parsed = parse(mention, known={"C1": False})
    assert isinstance(parsed, MessagePosted)
    assert not parsed.message.thread.channel.private


def test_a_direct_message_starts_its_own_thread() -> None:
    event = posted(message(channel="D1", channel_type="im", text="hi"))
    assert (event.addressing, event.message.thread.id) == ("direct", "1700000000.000100")


def test_a_reply_in_a_direct_message_stays_in_its_thread() -> None:
    event = posted(message(channel="D1", channel_type="im", text="hi", thread_ts="1600000000.000001"))
    assert (event.addressing, event.message.thread.id) == ("direct", "1600000000.000001")


@pytest.mark.parametrize(
    ("text", "addressing"),
    [("<@U0BOT> so?", "mention"), ("<@U0BOT|threadlore> so?", "mention"), ("so?", "thread")],
)
def test_a_reply_in_a_thread_is_for_us_or_may_be(text: str, addressing: str) -> None:
    event = posted(message(text=text, thread_ts="1600000000.000001"))
    assert (event.addressing, event.message.thread.id) == (addressing, "1600000000.000001")
    assert event.summoned_midway


@pytest.mark.parametrize(
    "event",
    [
        message(text=""),
        message(subtype="channel_join", text="<@U0BOT> joined"),
        message(subtype="channel_topic"),
        message(subtype="assistant_app_thread", channel="D1", channel_type="im"),
        message(user="U0BOT"),
        message(user="U0BOT", bot_id="B0BOT", subtype="bot_message"),
        message(bot_id="B0BOT", user=None),
        message(user=None),
        message(bot_id="B9", text="chatter of a bot", thread_ts="1600000000.000001"),
        {"type": "channel_created", "channel": {"id": "C2"}},
        {"type": "member_joined_channel", "user": "U0BOT", "channel": "C1"},
    ],
)
def test_what_is_not_for_us_is_nothing(event: dict[str, Any]) -> None:
    assert parse(event) is None


@pytest.mark.parametrize("text", ["lunch?", "<@U0BOTX> not us"])
def test_what_is_said_without_naming_us_is_only_heard(text: str) -> None:
    heard = parse(message(text=text))
    assert isinstance(heard, MessageHeard)
    assert heard.message.thread.channel.id == "C1"


@pytest.mark.parametrize("subtype", ["file_share", "thread_broadcast", "me_message"])
def test_other_ways_of_people_to_write_count(subtype: str) -> None:
    assert posted(message(subtype=subtype, files=[{"id": "F1"}])).message.text == "hi"


def test_another_bot_is_known_for_one() -> None:
    event = posted(message(subtype="bot_message", bot_id="B9", user=None, username="robot"))
    assert (event.message.author.id, event.message.author.is_bot) == ("B9", True)
    assert event.message.author.name == "robot"
    assert not event.message.author.is_self


def test_in_a_shared_channel_the_workspace_is_ours_and_the_recipient_theirs() -> None:
    event = posted(
        message(user_team="T9", source_team="T9", team="T9"), team_id="T9", is_ext_shared_channel=True
    )
    assert event.message.thread.channel.workspace == "T1"
    assert event.reply_handle == "T9"


def test_an_organisation_wide_installation_falls_back_to_the_context_team() -> None:
    authorizations = [{"enterprise_id": "E1", "team_id": None, "is_enterprise_install": True}]
    event = posted(message(user_team="E1", team="T2"), authorizations=authorizations, context_team_id="T2")
    assert event.message.thread.channel.workspace == "T2"
    assert event.reply_handle == "T2"


def edited(before: str, after: str, **fields: Any) -> Event | None:
    ts = "1700000000.000100"
    inner = {"type": "message", "user": "U1", "ts": ts}
    event = message(
        subtype="message_changed",
        ts="1700000009.000900",
        message={**inner, "text": after, **fields},
        previous_message={**inner, "text": before},
    )
    del event["user"], event["text"]
    return parse(event)


@pytest.mark.parametrize(
    ("text", "fields", "addressing"),
    [
        ("<@U0BOT> what?", {}, "mention"),
        ("what?", {}, None),
        ("what?", {"thread_ts": "1600000000.000001"}, "thread"),
        ("what?", {"thread_ts": "1700000000.000100"}, None),
    ],
)
def test_an_edit_is_judged_by_its_new_text(text: str, fields: dict[str, str], addressing: str | None) -> None:
    event = edited("before", text, **fields)
    assert isinstance(event, MessageEdited)
    assert (event.addressing, event.message.id) == (addressing, "1700000000.000100")
    assert event.message.text == "what?"


def test_the_answer_to_an_edit_in_a_shared_channel_names_the_team_of_its_reader() -> None:
    event = edited("before", "<@U0BOT> what?", user_team="T7")
    assert isinstance(event, MessageEdited)
    assert event.reply_handle == "T7"


def test_a_link_preview_of_slack_is_no_edit() -> None:
    assert edited("see https://x.example", "see https://x.example", attachments=[{"id": 1}]) is None


@pytest.mark.parametrize("who", [{"user": "U0BOT"}, {"bot_id": "B9"}, {"subtype": "channel_topic"}])
def test_edits_of_bots_are_nothing(who: dict[str, str]) -> None:
    assert edited("before", "after", **who) is None


@pytest.mark.parametrize(
    ("event", "echo"),
    [
        (message(user="U0BOT"), True),
        (message(subtype="message_changed", message={"user": "U0BOT", "ts": "1.2"}), True),
        (message(subtype="message_changed", message={"user": "U1", "ts": "1.2"}), False),
        (message(subtype="message_deleted", user="U0BOT", deleted_ts="1.2"), False),
        (message(), False),
        (message(user=None), False),
        ({"type": "reaction_added", "user": "U0BOT"}, False),
    ],
)
def test_only_our_own_posts_and_edits_are_echoes(event: dict[str, Any], echo: bool) -> None:
    assert is_echo(envelope(event)) is echo
    assert not is_echo(envelope(event, authorizations=[]))


def test_a_deletion_and_a_tombstone_name_what_is_gone() -> None:
    event = message(subtype="message_deleted", deleted_ts="1.000100", ts="1700000009.000900")
    deleted = parse(event)
    assert isinstance(deleted, MessageDeleted)
    assert deleted.message_id == "1.000100"
    tombstone = edited("secret", "This message was deleted.", subtype="tombstone", user="USLACKBOT")
    assert isinstance(tombstone, MessageDeleted)
    assert tombstone.message_id == "1700000000.000100"


def test_a_reaction_in_a_private_place_is_private() -> None:
    event = {
        "type": "reaction_added",
        "user": "U1",
        "reaction": "thumbsup::skin-tone-4",
        "item_user": "U0BOT",
        "item": {"type": "message", "channel": "G1", "ts": "1.000100"},
        "event_ts": "1700000000.000100",
    }
    given = parse(event)
    assert isinstance(given, FeedbackGiven)
    assert (given.symbol, given.rating, given.channel.private) == ("thumbsup", 1, True)


@pytest.mark.parametrize(("whose", "counts"), [("U0BOT", True), (None, True), ("U2", False)])
def test_a_reaction_counts_unless_slack_names_somebody_else_as_the_author(
    whose: str | None, counts: bool
) -> None:
    event: dict[str, Any] = {
        "type": "reaction_added",
        "user": "U1",
        "reaction": "+1",
        "item": {"type": "message", "channel": "C1", "ts": "1.000100"},
        "event_ts": "1700000000.000100",
    }
    if whose is not None:
        event["item_user"] = whose
    assert (parse(event) is not None) is counts


@pytest.mark.parametrize(
    "payload",
    [
        {"type": "shortcut", "team": {"id": "T1"}, "callback_id": "x"},
        {"type": "view_submission", "team": {"id": "T1"}, "view": {"callback_id": "another"}},
        {
            "type": "block_actions",
            "team": {"id": "T1"},
            "user": {"id": "U1"},
            "actions": [{"action_id": "another", "value": "x"}],
        },
    ],
)
def test_interactions_of_others_are_nothing(payload: dict[str, Any]) -> None:
    assert parse_payload(payload, BOT, DEFAULT_EMOJI_RATINGS, arrived_at=NOW) is None


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("<@U0BOT> how?", "how?"),
        ("<@U0BOT>, how?", "how?"),
        ("how, <@U0BOT|lore>?", "how, ?"),
        ("ask <@U2> or <@U3|cora>", "ask @U2 or @cora"),
        ("in <#C2|general> and <#C3>", "in #general and #C3"),
        ("<https://x.example/a|this>", "[this](https://x.example/a)"),
        ("<https://x.example/a>", "https://x.example/a"),
        ("<mailto:a@x.example|a@x.example>", "a@x.example"),
        ("<!here> <!channel> <!subteam^S1|@ops> <!subteam^S2>", "@here @channel @ops @subteam"),
        ("<!date^1700000000^{date}|yesterday>", "yesterday"),
        ("a &lt; b &amp;&amp; c &gt; d", "a < b && c > d"),
        ("&amp;lt;", "&lt;"),
        ("*bold* and ~old~ and _soft_", "**bold** and ~~old~~ and _soft_"),
        ("2 * 3 * 4", "2 * 3 * 4"),
        ("`*not bold*` ```~x~\n<https://x.example>```", "`*not bold*` ```~x~\nhttps://x.example```"),
        ("nul\x00 and \u200bhidden", "nul and hidden"),
        ("  spaced  out  ", "spaced  out"),
    ],
)
def test_slacks_markup_becomes_markdown(text: str, markdown: str) -> None:
    assert markdown_of(text, "U0BOT") == markdown


def test_a_very_long_question_arrives_whole() -> None:
    assert len(posted(message(text="<@U0BOT> " + "word " * 8000)).message.text) == 8000 * 5 - 1
