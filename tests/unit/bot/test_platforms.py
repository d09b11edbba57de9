"""What operators set holds for every platform."""

from __future__ import annotations

from bot.discord.settings import DiscordSettings
from bot.platforms import build_discord_limits, build_slack_limits
from core.settings import CoreSettings


def test_questions_from_a_gap_may_be_as_old_as_the_settings_allow_on_either_platform() -> None:
    settings = CoreSettings(answer_max_age_minutes=180)
    assert build_slack_limits(settings).oldest_seconds == 3 * 3600
    assert build_discord_limits(settings, DiscordSettings()).catch_up.oldest_seconds == 3 * 3600
