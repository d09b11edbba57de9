"""What the exceptions of model providers mean: worth another try, or not. Pure.

Our messages name the kind of the error, its status and its code, never the provider's own text: that may
repeat a key or what somebody asked.
"""

from __future__ import annotations

import contextlib
import time
from email.utils import parsedate_to_datetime

from core.errors import ModelError, ModelPermanentError, ModelTransientError

RETRYABLE_STATUS = frozenset({408, 409, 425, 429})
HOPELESS_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
"""Codes of a 429 that no waiting heals."""


def explain_failure(error: Exception) -> ModelError:
    """The error of ours for whatever a model call raised.

    A status decides where there is one. Without one the connection broke, the time was up or what came
    was malformed: all worth another try. A refusal of the request as such is not.
    """
    from langchain_core.exceptions import ModelError as ProviderError

    status, code = _status(error), _code(error)
    message = " ".join(
        part for part in (type(error).__name__, str(status) if status else "", code or "") if part
    )
    if code in HOPELESS_CODES:
        return ModelPermanentError(message)
    if status is not None and status >= 400:
        if status in RETRYABLE_STATUS or status >= 500:
            return ModelTransientError(message, _retry_after_seconds(error))
        return ModelPermanentError(message)
    if isinstance(error, ProviderError) and not error.is_retryable:
        return ModelPermanentError(message)
    return ModelTransientError(message)


def _status(error: Exception) -> int | None:
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


def _code(error: Exception) -> str | None:
    code = getattr(error, "code", None)
    return code if isinstance(code, str) and code.replace("_", "").isalnum() and len(code) < 60 else None


def _retry_after_seconds(error: Exception) -> float | None:
    """What the provider asks for in its headers: milliseconds, seconds or a date."""
    headers = getattr(getattr(error, "response", None), "headers", None)
    if headers is None:
        return None
    with contextlib.suppress(TypeError, ValueError):
        return max(0.0, float(headers.get("retry-after-ms")) / 1000)
    with contextlib.suppress(TypeError, ValueError):
        return max(0.0, float(headers.get("retry-after")))
    with contextlib.suppress(TypeError, ValueError):
        return max(0.0, parsedate_to_datetime(headers.get("retry-after")).timestamp() - time.time())
    return None
