"""Which emoji count, and how a setting changes that."""

from __future__ import annotations

import pytest

from bot.feedback_emoji import DEFAULT_EMOJI_RATINGS, emoji_name, parse_emoji_ratings
from core.errors import SettingsError


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("+1", "+1"),
        (":+1:", "+1"),
        ("+1::skin-tone-3", "+1"),
        (":thumbsup::skin-tone-6:", "thumbsup"),
        ("thumbsup_tone4", "thumbsup"),
        ("👍🏿", "👍"),
        ("❤️", "❤"),
        ("party_parrot", "party_parrot"),
    ],
)
def test_shades_of_an_emoji_are_one(raw: str, name: str) -> None:
    assert emoji_name(raw) == name


def test_without_a_setting_the_defaults_hold() -> None:
    for text in (None, "", " , "):
        assert parse_emoji_ratings(text) == DEFAULT_EMOJI_RATINGS
    assert (DEFAULT_EMOJI_RATINGS["👍"], DEFAULT_EMOJI_RATINGS["thumbsdown"]) == (1, -1)


def test_a_setting_adds_changes_and_removes() -> None:
    ratings = parse_emoji_ratings(" party_parrot=1, :wat: = -1,heart=0 ,👎=1")
    assert (ratings["party_parrot"], ratings["wat"], ratings["👎"]) == (1, -1, 1)
    assert "heart" not in ratings
    assert ratings["thumbsup"] == 1


@pytest.mark.parametrize("text", ["parrot", "=1", "parrot=2", "parrot=good", "a=1;b=1"])
def test_what_is_no_mapping_names_the_setting(text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_emoji_ratings(text)
    assert refused.value.setting == "FEEDBACK_EMOJI"
