"""Slash commands, their handles, the manifest and the nonce."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from bot.discord.commands import InteractionHandle, moment_of, parse_command, parse_handle
from bot.discord.events import Place
from bot.discord.manifest import PLACEHOLDER, application_id_of, build_manifest, render_manifest
from bot.discord.rest import nonce_of
from bot.discord.settings import DiscordSettings

ID = str((int(datetime(2026, 11, 22, tzinfo=UTC).timestamp() * 1000) - 1_420_070_400_000) << 22)


def command(*options: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "id": ID,
        "application_id": "1100000000000000001",
        "token": "aW50ZXJhY3Rpb24",
        "guild_id": "9",
        "channel_id": "91",
        "user": {"id": "12", "username": "alice", "global_name": "Alice"},
        "member": {"nick": None},
        "data": {"id": "4", "name": "ask", "type": 1, "options": list(options)},
    } | changes


QUESTION = {"name": "question", "type": 3, "value": " what now? "}


def test_a_command_in_a_channel_is_a_thread_of_its_own() -> None:
    event = parse_command(command(QUESTION), Place(private=False), "1")
    assert event is not None
    assert event.message.text == "what now?"
    assert event.addressing == "command"
    assert event.message.thread.key == ("discord", "9", "91", ID)
    assert event.message.at == datetime(2026, 11, 22, tzinfo=UTC)
    assert not event.only_author_sees


@pytest.mark.parametrize(("changes", "place"), [({}, Place(is_thread=True)), ({"guild_id": None}, Place())])
def test_a_command_in_a_thread_or_dm_belongs_to_it(changes: dict[str, Any], place: Place) -> None:
    event = parse_command(command(QUESTION, **changes), place, "1")
    assert event is not None
    assert event.message.thread.id == "91"


@pytest.mark.parametrize("place", [Place(), Place(is_thread=True)])
def test_a_private_command_is_for_the_asker_alone_and_in_no_memory_of_others(place: Place) -> None:
    event = parse_command(command(QUESTION, {"name": "private", "type": 5, "value": True}), place, "1")
    assert event is not None
    assert event.only_author_sees
    assert event.message.thread.id == ID


def test_other_commands_are_no_questions() -> None:
    assert parse_command(command(data={"name": "help"}), Place(), "1") is None


def test_a_handle_survives_being_stored_and_expires() -> None:
    event = parse_command(command(QUESTION), Place(), "1")
    assert event is not None
    handle = parse_handle(event.reply_handle)
    assert handle == InteractionHandle(
        application_id="1100000000000000001", interaction_id=ID, token="aW50ZXJhY3Rpb24"
    )
    assert handle.is_valid(moment_of(ID) + timedelta(minutes=14))
    assert not handle.is_valid(moment_of(ID) + timedelta(minutes=15))


@pytest.mark.parametrize("text", [None, '{"reference": "5"}', "no json"])
def test_what_is_no_handle_of_a_command_is_none(text: str | None) -> None:
    assert parse_handle(text) is None


def test_a_nonce_is_short_and_stands_for_one_effect() -> None:
    ids = [uuid4() for _ in range(100)] + [UUID(int=0)]
    assert len({nonce_of(id_) for id_ in ids}) == 101
    assert all(len(nonce_of(id_)) <= 25 for id_ in ids)


def test_the_token_names_the_application() -> None:
    first = base64.b64encode(b"1100000000000000001").decode().rstrip("=")
    assert application_id_of(f"{first}.GaBcDe.x-y_z") == "1100000000000000001"


@pytest.mark.parametrize("token", ["", "abc", "ünicode.x.y", "bm90IGFuIGlk.x.y", "////.x"])
def test_another_text_names_none(token: str) -> None:
    assert application_id_of(token) is None


def test_the_invite_link_has_scopes_and_permissions() -> None:
    first = base64.b64encode(b"1100000000000000001").decode()
    manifest = build_manifest(f"{first}.x.y")
    assert manifest["invite"] == (
        "https://discord.com/oauth2/authorize?client_id=1100000000000000001"
        "&scope=bot+applications.commands&permissions=274877975552"
    )
    assert manifest["invite"] in render_manifest(manifest)


def test_without_a_token_the_link_says_what_to_fill_in() -> None:
    manifest = build_manifest(None)
    assert PLACEHOLDER in manifest["invite"]
    assert "DISCORD_TOKEN" in render_manifest(manifest)


def test_the_token_is_not_shown_with_the_settings() -> None:
    assert "secret" not in repr(DiscordSettings.model_validate({"discord_token": "secret.a.b"}))


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError):
        DiscordSettings.model_validate({"discord_api_url": "discord.com"})
