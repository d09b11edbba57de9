"""What goes wrong between Discord and us, told in the words of AdapterError."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import discord

from bot.adapter import (
    AdapterError,
    ForbiddenError,
    MessageGoneError,
    RateLimitedError,
    UnauthorizedError,
    UnavailableError,
)

UNKNOWN_MESSAGE = 10008
LIBRARY_ERRORS = (discord.DiscordException, aiohttp.ClientError, OSError, TimeoutError)
"""Everything that a call of the library may raise."""
LONG_WAIT_SECONDS = 60.0


class TokenExpiredError(AdapterError):
    """A command can no longer be answered through its token; stays inside this room."""


class NotAcknowledgedError(TokenExpiredError):
    """The command was not acknowledged, yet or at all."""


@contextmanager
def speaking_adapter_errors(*, posting: bool = False) -> Iterator[None]:
    """Raises AdapterError for everything the library raises. `posting`: a lost reply may hide a success."""
    try:
        yield
    except discord.RateLimited as error:
        raise RateLimitedError("rate limited", error.retry_after) from error
    except discord.LoginFailure as error:
        raise UnauthorizedError("the token is refused") from error
    except discord.HTTPException as error:
        raise adapter_error(error.status, error.code, posting=posting) from error
    except (aiohttp.ClientConnectorError, RuntimeError) as error:
        # The library raises RuntimeError once its session is closed.
        raise UnavailableError(type(error).__name__, maybe_accepted=False) from error
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise UnavailableError(type(error).__name__, maybe_accepted=posting) from error


def adapter_error(
    status: int, code: int, *, posting: bool, retry_after_seconds: float | None = None
) -> AdapterError:
    """The error for an HTTP status and Discord's own error code (0: none)."""
    detail = f"HTTP {status}, code {code}"
    if status == 401:
        return UnauthorizedError(detail)
    if status == 429:
        return RateLimitedError(
            detail, LONG_WAIT_SECONDS if retry_after_seconds is None else retry_after_seconds
        )
    if status == 404 and code == UNKNOWN_MESSAGE:
        return MessageGoneError(detail)
    if status in (403, 404):
        return ForbiddenError(detail)
    if status >= 500:
        return UnavailableError(detail, maybe_accepted=posting)
    return AdapterError(detail)
