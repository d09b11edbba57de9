"""What Slack or the way to it refused, in the words of bot.adapter.

SlackRefusedError    an error code with no kind of its own; `code` is Slack's word for it, or the HTTP status
TokenRevokedError    the token was taken back: no call with it will ever work again
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.adapter import (
    AdapterError,
    ForbiddenError,
    MessageGoneError,
    RateLimitedError,
    ThreadClosedError,
    UnauthorizedError,
    UnavailableError,
)

_RATE_LIMITED = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_UNAUTHORIZED = frozenset(
    [
        "invalid_auth",
        "not_authed",
        "token_expired",
        "team_access_not_granted",
    ]
)
_REVOKED = frozenset({"token_revoked", "account_inactive"})
_FORBIDDEN = frozenset(
    [
        "channel_not_found",
        "not_in_channel",
        "is_archived",
        "restricted_action",
        "missing_scope",
        "no_permission",
        "access_denied",
        "restricted_action_read_only_channel",
        "restricted_action_non_threadable_channel",
        "restricted_action_thread_only_channel",
        "user_not_in_channel",
        "messages_tab_disabled",
        "as_user_not_supported",
        "ekm_access_denied",
        "enterprise_is_restricted",
        "team_not_found",
        "user_not_found",
    ]
)
_THREAD_CLOSED = frozenset(
    [
        "thread_not_found",
        "cannot_reply_to_message",
        "restricted_action_thread_locked",
        "cant_update_message",
        "cant_delete_message",
        "edit_window_closed",
    ]
)
_GONE = frozenset({"message_not_found"})
_OUTAGE = frozenset(["internal_error", "fatal_error", "request_timeout", "service_unavailable"])
_OUTAGE_STATUSES = frozenset({408, *range(500, 600)})
_CERTAINLY_NOT_ACCEPTED = frozenset({"service_unavailable"})
_DEFAULT_RETRY_AFTER_SECONDS = 1.0


class SlackRefusedError(AdapterError):
    """Slack said no in a way that no other kind describes, and did nothing. `code` is its word, `unknown_method` say,
    or the HTTP status where it found none."""

    def __init__(self, method: str, code: str) -> None:
        super().__init__(f"{method}: {code}")
        self.code = code


class TokenRevokedError(UnauthorizedError):
    """Slack, or the workspace, took the token back."""


def translate_error(method: str, error: BaseException) -> AdapterError:
    """The AdapterError for what a call raised. `method` is Slack's name of it; no text of people gets in."""
    if isinstance(error, SlackApiError):
        return _from_answer(method, error)
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return UnavailableError(f"{method}: no connection", maybe_accepted=False)
    if isinstance(error, aiohttp.ClientError | asyncio.TimeoutError | OSError):
        return UnavailableError(f"{method}: {type(error).__name__}", maybe_accepted=True)
    if isinstance(error, SlackClientError):
        return UnavailableError(f"{method}: {type(error).__name__}", maybe_accepted=True)
    raise error


def _from_answer(method: str, error: SlackApiError) -> AdapterError:
    response: Any = error.response
    status = int(getattr(response, "status_code", None) or getattr(response, "status", None) or 200)
    data = getattr(response, "data", None)
    code = str(data.get("error", "")) if isinstance(data, dict) else ""
    if status == 429 or code in _RATE_LIMITED:
        return RateLimitedError(f"{method}: {code or status}", _retry_after_seconds(response))
    if code in _REVOKED:
        return TokenRevokedError(f"{method}: {code}")
    if code in _UNAUTHORIZED or status in (401,):
        return UnauthorizedError(f"{method}: {code or status}")
    if code in _THREAD_CLOSED:
        return ThreadClosedError(f"{method}: {code}")
    if code in _FORBIDDEN or status == 403:
        return ForbiddenError(f"{method}: {code or status}")
    if code in _GONE:
        return MessageGoneError(f"{method}: {code}")
    if code in _OUTAGE or status in _OUTAGE_STATUSES or not (code or 400 <= status < 500):
        certainly_not = code in _CERTAINLY_NOT_ACCEPTED or status == 503
        return UnavailableError(f"{method}: {code or status}", maybe_accepted=not certainly_not)
    return SlackRefusedError(method, code or str(status))


def _retry_after_seconds(response: Any) -> float:
    headers = getattr(response, "headers", None) or {}
    value = headers.get("Retry-After") or headers.get("retry-after")
    try:
        return max(float(value), 0.0) if value is not None else _DEFAULT_RETRY_AFTER_SECONDS
    except ValueError:
        return _DEFAULT_RETRY_AFTER_SECONDS
