"""The settings of the HTTP edge."""

from __future__ import annotations

from ipaddress import ip_address

from pydantic import Field, SecretStr

from core.errors import SettingsError
from core.settings import EnvironmentSettings, read_settings

SHORTEST_TOKEN = 16


class HttpSettings(EnvironmentSettings):
    """Where the server listens, and the token that other programs and the page must show."""

    http_host: str = Field(
        default="127.0.0.1", description="An address of this machine; 0.0.0.0 for all of them."
    )
    http_port: int = Field(default=8080, ge=0, le=65535, description="A port from 1 to 65535.")
    http_token: SecretStr | None = Field(
        default=None, description="A long random text, for example from: openssl rand -hex 32"
    )

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        return is_loopback(self.http_host)


def is_loopback(host: str) -> bool:
    """Whether a host name or address, without port, means this very machine."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_http_settings() -> HttpSettings:
    """Read and judge. Raises SettingsError when others could use the server without a token."""
    settings = read_settings(HttpSettings)
    check_http_settings(settings)
    return settings


def check_http_settings(settings: HttpSettings) -> None:
    """Raises SettingsError when the server would be open to others, or the token can be guessed."""
    if settings.http_token is None:
        if not settings.is_local:
            raise SettingsError(
                "HTTP_TOKEN",
                f"is not set, but HTTP_HOST={settings.http_host} lets other machines in.",
                "Set HTTP_TOKEN to a long random text (openssl rand -hex 32), or HTTP_HOST to 127.0.0.1.",
            )
    elif len(settings.http_token.get_secret_value()) < SHORTEST_TOKEN:
        raise SettingsError(
            "HTTP_TOKEN",
            f"is shorter than {SHORTEST_TOKEN} characters.",
            "Set it to a long random text: openssl rand -hex 32",
        )
