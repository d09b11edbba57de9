"""The settings of the Discord room."""

from __future__ import annotations

from pydantic import Field, SecretStr

from core.settings import EnvironmentSettings


class DiscordSettings(EnvironmentSettings):
    """Discord is on when DISCORD_TOKEN is set. The two addresses are for a loopback server."""

    discord_token: SecretStr | None = Field(
        default=None,
        description="The token from the Bot page of your application at https://discord.com/developers.",
    )
    discord_api_url: str = Field(
        default="https://discord.com/api/v10",
        pattern=r"^https?://",
        description="The address of Discord's REST API, version included; leave it out for Discord itself.",
    )
    discord_gateway_url: str = Field(
        default="wss://gateway.discord.gg/",
        pattern=r"^wss?://",
        description="The address of Discord's gateway; leave it out for Discord itself.",
    )
    discord_sessions_per_hour: int = Field(
        default=10, ge=1, le=1000, description="A whole number from 1 to 1000; Discord allows 1,000 in a day."
    )
    feedback_emoji: str | None = Field(
        default=None, description="name=1 or name=-1, separated by commas, for example party_parrot=1."
    )
