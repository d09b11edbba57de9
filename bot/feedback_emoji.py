"""Which emoji count as feedback, and how: one setting, FEEDBACK_EMOJI, for every platform.

Names are compared without colons, skin tone and variation selectors, so that all shades of a thumb
and its character are the same mark.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

from core.errors import SettingsError
from core.messages import Rating

_UP = ("+1", "thumbsup", "👍", "white_check_mark", "✅", "heavy_check_mark", "✔", "heart", "❤", "100", "💯")
_UP_MORE = ("tada", "🎉", "raised_hands", "🙌", "clap", "👏", "star", "⭐", "rocket", "🚀", "ok_hand", "👌")
_DOWN = ("-1", "thumbsdown", "👎", "x", "❌", "negative_squared_cross_mark", "❎", "no_entry_sign", "🚫")
_DOWN_MORE = ("confused", "😕", "disappointed", "😞", "face_palm", "facepalm", "🤦")

_GOOD: dict[str, Rating] = dict.fromkeys(_UP + _UP_MORE, 1)
_BAD: dict[str, Rating] = dict.fromkeys(_DOWN + _DOWN_MORE, -1)
DEFAULT_EMOJI_RATINGS: Mapping[str, Rating] = MappingProxyType(_GOOD | _BAD)
"""Emoji without a setting: Slack's and Discord's short names, and the characters themselves."""

_SHADE = re.compile(r"::skin-tone-[2-6]|_tone[1-5]$|[\U0001F3FB-\U0001F3FF\uFE00-\uFE0F\u200D]")
_REMEDY = "Write name=1 or name=-1, separated by commas (name=0 makes a default one count no more)."


def emoji_name(raw: str) -> str:
    """The emoji's name (or character) as ratings know it: `:+1::skin-tone-3:` is `+1`."""
    return _SHADE.sub("", raw.strip()).strip(":")


def parse_emoji_ratings(text: str | None) -> Mapping[str, Rating]:
    """`party_parrot=1,wat=-1` on top of the defaults. Raises SettingsError for anything else."""
    ratings = dict(DEFAULT_EMOJI_RATINGS)
    for entry in (text or "").split(","):
        if not entry.strip():
            continue
        name, equals, value = entry.rpartition("=")
        if (
            not equals
            or not re.fullmatch(r"[^\s=;]+", emoji_name(name))
            or value.strip() not in {"1", "+1", "-1", "0"}
        ):
            raise SettingsError(
                "FEEDBACK_EMOJI", f"{entry.strip()!r} does not map an emoji to a rating.", _REMEDY
            )
        rating = int(value)
        if rating == 0:
            ratings.pop(emoji_name(name), None)
        else:
            ratings[emoji_name(name)] = cast(Rating, rating)
    return MappingProxyType(ratings)
