"""The platforms' part of the composition root: builds the adapter of every platform that is set up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.adapter import Adapter
from core.settings import read_settings

if TYPE_CHECKING:
    from bot.discord.listening import DiscordLimits
    from bot.discord.settings import DiscordSettings
    from bot.metrics import Metrics
    from bot.slack.missed import CatchUpLimits as SlackCatchUpLimits
    from bot.stores import Stores
    from core.settings import CoreSettings

SHORTEST_SHARD_LEASE_SECONDS = 3.0


def build_adapters(stores: Stores, metrics: Metrics) -> tuple[dict[str, Adapter], dict[str, str]]:
    """The adapters of every platform that is set up, and, for the others, what turns them on.

    Raises SettingsError for a platform that is set up halfway.
    """
    from bot.web.adapter import WebAdapter

    adapters: dict[str, Adapter] = {"web": WebAdapter()}
    off: dict[str, str] = {}
    for adapter in (_build_slack(stores, metrics), _build_discord(stores, metrics)):
        if isinstance(adapter, Off):
            off[adapter.platform] = adapter.remedy
        else:
            adapters[adapter.platform] = adapter
    return adapters, off


@dataclass(frozen=True)
class Off:
    """A platform without a token."""

    platform: str
    remedy: str


def _build_slack(stores: Stores, metrics: Metrics) -> Adapter | Off:
    from bot.slack.settings import read_slack_settings

    settings = read_slack_settings()
    if settings.mode == "off":
        return Off("slack", "Set SLACK_BOT_TOKEN and SLACK_APP_TOKEN (docs/howto/connect-slack.md).")
    from bot.slack.adapter import SlackAdapter
    from bot.slack.catching_up import Coordination
    from core.storage.positions import PostgresChannelPositions
    from core.storage.turns import PostgresTurnStore

    positions, turns = PostgresChannelPositions(stores.database), PostgresTurnStore(stores.database)
    shared = Coordination(positions, turns, stores.exclusive)
    limits = build_slack_limits(stores.settings)
    return SlackAdapter(settings, stores.installations, shared, metrics, catch_up=limits)


def build_slack_limits(settings: CoreSettings) -> SlackCatchUpLimits:
    """How far back we look."""
    from bot.slack.missed import CatchUpLimits

    return CatchUpLimits(oldest_seconds=settings.answer_max_age_minutes * 60)


def _build_discord(stores: Stores, metrics: Metrics) -> Adapter | Off:
    from bot.discord.settings import DiscordSettings

    settings = read_settings(DiscordSettings)
    if settings.discord_token is None:
        return Off("discord", "Set DISCORD_TOKEN (docs/howto/connect-discord.md).")
    from bot.discord.adapter import DiscordAdapter
    from bot.discord.listening import Coordination
    from core.storage.leases import PostgresAllowances, PostgresLeases
    from core.storage.positions import PostgresChannelPositions

    database = stores.database
    shared = Coordination(
        PostgresLeases(database), PostgresAllowances(database), PostgresChannelPositions(database)
    )
    limits = build_discord_limits(stores.settings, settings)
    return DiscordAdapter(settings, shared, metrics, limits=limits)


def build_discord_limits(settings: CoreSettings, discord_settings: DiscordSettings) -> DiscordLimits:
    """How far back we look, and how soon and how often a shard begins anew."""
    from bot.discord.catching_up import CatchUpLimits
    from bot.discord.identifying import IdentifyLimits
    from bot.discord.listening import DiscordLimits

    return DiscordLimits(
        # A shard is taken over sooner than an item: whoever asks meanwhile waits.
        lease_seconds=max(SHORTEST_SHARD_LEASE_SECONDS, settings.lease_seconds / 2),
        identify=IdentifyLimits(per_shard_an_hour=discord_settings.discord_sessions_per_hour),
        catch_up=CatchUpLimits(oldest_seconds=settings.answer_max_age_minutes * 60),
    )
