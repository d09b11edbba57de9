"""The settings of Slack: which tokens there are decides how events reach us and for how many workspaces."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from core.errors import SettingsError
from core.settings import EnvironmentSettings, read_settings

Mode = Literal["off", "socket", "http"]

_WHERE = "See https://api.slack.com/apps, your app,"
_ROTATING = (
    "Such a token expires. Leave it out and set SLACK_CLIENT_ID, SLACK_CLIENT_SECRET and SLACK_SIGNING_SECRET: then"
    " tokens are renewed. Or make an app without token rotation."
)


class SlackSettings(EnvironmentSettings):
    """What the environment says about Slack. `mode` is off as long as no token is set."""

    slack_bot_token: SecretStr | None = Field(
        default=None, description="The xoxb-... token of the app in your workspace."
    )
    slack_app_token: SecretStr | None = Field(
        default=None, description="The xapp-... token with connections:write, for Socket Mode."
    )
    slack_signing_secret: SecretStr | None = Field(
        default=None, description="The signing secret of the app, for HTTP mode."
    )
    slack_client_id: str | None = Field(
        default=None, description="The client id of the app, to serve several workspaces."
    )
    slack_client_secret: SecretStr | None = Field(
        default=None, description="The client secret of the app, to serve several workspaces."
    )
    slack_api_url: str = Field(
        default="https://slack.com/api/",
        description="Leave it out, or name a server that speaks Slack's API.",
    )
    feedback_emoji: str | None = Field(
        default=None, description="Write name=1 or name=-1, separated by commas."
    )

    @field_validator("slack_api_url")
    @classmethod
    def _with_slash(cls, value: str) -> str:
        return value if value.endswith("/") else value + "/"

    @property
    def installs(self) -> bool:
        """Whether workspaces install the app themselves (OAuth)."""
        return self.slack_client_id is not None

    @property
    def mode(self) -> Mode:
        """How events reach us: over Slack's socket, over HTTP, or not at all."""
        if self.slack_bot_token is None and not self.installs:
            return "off"
        return "socket" if self.slack_app_token is not None else "http"

    def secret(self, name: Literal["slack_bot_token", "slack_client_secret"]) -> str:
        """A secret that must be there. Raises SettingsError."""
        value: SecretStr | None = getattr(self, name)
        if value is None:
            raise SettingsError(name.upper(), "is not set.", type(self).model_fields[name].description or "")
        return value.get_secret_value().strip()

    def require_complete(self) -> None:
        """Raises SettingsError for tokens that are swapped, missing or contradict each other."""
        self._require_kinds()
        if self.mode == "off":
            self._require_nothing_without_bot_token()
            return
        if (self.slack_client_id is None) != (self.slack_client_secret is None):
            missing = "SLACK_CLIENT_SECRET" if self.slack_client_secret is None else "SLACK_CLIENT_ID"
            raise SettingsError(
                missing,
                "is missing, and its counterpart is set.",
                f"Set both, or neither. {_WHERE} Basic Information.",
            )
        if self.installs and self.slack_bot_token is not None:
            raise SettingsError(
                "SLACK_BOT_TOKEN",
                "is set together with SLACK_CLIENT_ID.",
                "Leave SLACK_BOT_TOKEN out to serve every workspace that installs the app, "
                "or leave SLACK_CLIENT_ID and SLACK_CLIENT_SECRET out to serve one workspace.",
            )
        if self.slack_app_token is None and self.slack_signing_secret is None:
            raise SettingsError(
                "SLACK_APP_TOKEN",
                "is not set, and neither is SLACK_SIGNING_SECRET: events cannot reach us.",
                f"Set SLACK_APP_TOKEN for Socket Mode or SLACK_SIGNING_SECRET for HTTP mode. {_WHERE} Basic Information.",
            )
        if self.installs and self.slack_signing_secret is None:
            raise SettingsError(
                "SLACK_SIGNING_SECRET",
                "is not set, and installing in several workspaces needs it.",
                f"Copy it from there. {_WHERE} Basic Information.",
            )

    def _require_kinds(self) -> None:
        kinds = (
            ("SLACK_BOT_TOKEN", self.slack_bot_token, "xoxb-", "OAuth & Permissions, Bot User OAuth Token"),
            ("SLACK_APP_TOKEN", self.slack_app_token, "xapp-", "Basic Information, App-Level Tokens"),
        )
        for setting, secret, prefix, where in kinds:
            value = secret.get_secret_value().strip() if secret is not None else prefix
            if not value.startswith(prefix):
                found = value[:5] if value[:5] in {"xoxb-", "xapp-", "xoxp-", "xoxe."} else "something else"
                raise SettingsError(
                    setting,
                    f"begins with {found}, not with {prefix}.",
                    _ROTATING
                    if found == "xoxe." and prefix == "xoxb-"
                    else f"Use the {prefix}... token from {where}. {_WHERE} {where.split(',')[0]}.",
                )
        secret = self.slack_signing_secret
        if secret is not None and not secret.get_secret_value().strip():
            raise SettingsError(
                "SLACK_SIGNING_SECRET",
                "is empty: anybody could send us events.",
                f"Copy it from there. {_WHERE} Basic Information.",
            )

    def _require_nothing_without_bot_token(self) -> None:
        if self.slack_app_token is not None or self.slack_client_secret is not None:
            raise SettingsError(
                "SLACK_BOT_TOKEN",
                "is not set, and another Slack setting is.",
                f"Set it to the xoxb-... token, or leave all of them out. {_WHERE} OAuth & Permissions.",
            )


def read_slack_settings() -> SlackSettings:
    """From the environment, checked. Raises SettingsError, which names the setting and the remedy."""
    settings = read_settings(SlackSettings)
    settings.require_complete()
    return settings
