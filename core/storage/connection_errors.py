"""Tells apart what goes wrong between us and the database: a wrong setting, an outage, a fault of ours."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from asyncpg.exceptions import (  # type: ignore[import-untyped]
    InterfaceError,
    InternalClientError,
    PostgresError,
)
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from core.errors import SettingsError, StorageUnavailableError
from core.storage.session_check import POOLER_REMEDY

# Connection lost, out of resources, shutting down or cancelled, refused, read-only after a failover.
OUTAGE_PREFIXES = ("08", "53", "57", "28", "3D")
CONFLICT_STATES = ("40001", "40P01")
OUTAGE_STATES = ("25006", *CONFLICT_STATES)
POOLER_STATES = ("08P01", "26000", "42P05")
"""Refuses our settings; has no such prepared statement; has that one already."""
NO_LOCK_STATE = "55P03"
DROPPED_STATES = ("42P01", "23503")
"""A table that is not there any more, and a row that others were to refer to."""


def sql_state(error: BaseException) -> str:
    """The five characters that say what PostgreSQL complains about, or ""."""
    cause: object = error.orig if isinstance(error, DBAPIError) else error
    return getattr(cause, "sqlstate", None) or ""


def mark_lost(context: ExceptionContext) -> None:
    """For SQLAlchemy's handle_error: a connection that ends between two steps of a statement can leave its driver
    in a state from which it does not go on. Nothing is wrong with the statement then."""
    if isinstance(getattr(context.original_exception, "__cause__", None), InternalClientError):
        context.is_disconnect = True


def is_outage(error: BaseException) -> bool:
    """Whether the database could not be reached or could not work, rather than refused the statement."""
    if isinstance(error, DBAPIError):
        state = sql_state(error)
        return error.connection_invalidated or state.startswith(OUTAGE_PREFIXES) or state in OUTAGE_STATES
    return isinstance(error, PoolTimeoutError | OSError | TimeoutError | InterfaceError | PostgresError)


@contextmanager
def outages_named() -> Iterator[None]:
    """Turn an outage into StorageUnavailableError; everything else passes."""
    try:
        yield
    except (DBAPIError, PoolTimeoutError, OSError, PostgresError, InterfaceError) as error:
        if not is_outage(error):
            raise
        raise StorageUnavailableError(f"the database cannot be reached: {_first_line(error)}") from error


@contextmanager
def wrong_settings_named(where: str) -> Iterator[None]:
    """For the start: what no waiting will cure becomes a SettingsError that names DATABASE_URL."""
    try:
        yield
    except (DBAPIError, OSError, PostgresError, InterfaceError) as error:
        problem = _problem(error, where)
        if problem is None:
            raise
        raise SettingsError("DATABASE_URL", *problem) from error


def _problem(error: BaseException, where: str) -> tuple[str, str] | None:
    state = sql_state(error)
    if state.startswith("28"):
        return f"{where} refuses the user or the password.", "Check user and password in DATABASE_URL."
    if state in POOLER_STATES:
        return f"{where} is a pooler that takes our sessions apart.", POOLER_REMEDY
    if state == "42501":
        return (
            f"The user may not do in {where} what is needed.",
            "Make this user the owner of the database, or grant it CREATE on the database and its schema.",
        )
    if state == "25006":
        return f"{where} is read-only.", "Put the address of the primary into DATABASE_URL."
    if state == "3D000":
        return f"{where} has no such database.", "Create the database, or correct its name in DATABASE_URL."
    if isinstance(error, socket.gaierror):
        return f"The host of {where} is not known.", "Check the host in DATABASE_URL."
    if isinstance(error, ssl.SSLError):
        return f"{where} does not speak TLS as asked.", "Check sslmode in DATABASE_URL."
    return None


def _first_line(error: BaseException) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return (str(cause) or type(cause).__name__).splitlines()[0]
