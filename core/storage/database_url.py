"""Reads a DATABASE_URL as people and hosters write it."""

from __future__ import annotations

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from core.errors import SettingsError

SCHEMES = ("postgres", "postgresql", "postgresql+asyncpg")
REMEDY = "Use postgresql://user:password@host:5432/name, or leave it out for the embedded Postgres."
UNDERSTOOD = frozenset({"host", "port", "ssl", "passfile", "target_session_attrs"})
HARMLESS = frozenset({"channel_binding", "connect_timeout", "gssencmode", "application_name"})
RENAMED = {"sslmode": "ssl"}


def parse_database_url(text: str) -> URL:
    """The URL for SQLAlchemy with asyncpg. Raises SettingsError, which never shows the password."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise SettingsError("DATABASE_URL", "It is not a URL.", REMEDY) from error
    if url.drivername not in SCHEMES:
        raise SettingsError("DATABASE_URL", f"{url.drivername}:// is not PostgreSQL.", REMEDY)
    query = {RENAMED.get(name, name): value for name, value in url.query.items() if name not in HARMLESS}
    unknown = sorted(set(query) - UNDERSTOOD)
    if unknown:
        raise SettingsError(
            "DATABASE_URL",
            f"The option {unknown[0]} is not understood.",
            "Use only sslmode, host and port after the question mark.",
        )
    return url.set(drivername="postgresql+asyncpg", query=query)


def name_server(url: URL) -> str:
    """Which server the URL means, for people: host, port and database, no user and no password."""
    host = url.host or url.query.get("host") or "localhost"
    return f"{host}:{url.port or 5432}/{url.database or ''}"
