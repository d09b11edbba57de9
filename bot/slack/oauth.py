"""How a workspace installs the app: slack-bolt's pages over our stores."""

from __future__ import annotations

from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings

from bot.slack.api import quiet_logger
from bot.slack.installations import (
    STATE_LIFETIME_SECONDS,
    Installations,
    InstallationStates,
    InstallationStore,
)
from bot.slack.manifest import BOT_SCOPES
from bot.slack.settings import SlackSettings


def build_oauth_settings(
    settings: SlackSettings, installations: Installations, store: InstallationStore
) -> AsyncOAuthSettings:
    """Scopes are those of the manifest; /slack/install begins, /slack/oauth_redirect ends."""
    return AsyncOAuthSettings(
        client_id=settings.slack_client_id,
        client_secret=settings.secret("slack_client_secret"),
        scopes=list(BOT_SCOPES),
        user_scopes=[],
        installation_store=installations,
        installation_store_bot_only=True,
        state_store=InstallationStates(store),
        state_expiration_seconds=STATE_LIFETIME_SECONDS,
        logger=quiet_logger(),
    )
