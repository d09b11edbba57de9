"""Structured logs: JSON lines on stderr (readable ones on a terminal), one event a line, never a secret.

`bind(turn_id=..., trace_id=...)` puts facts into every line that follows in the same task.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal

import structlog

SECRET_NAME = re.compile(
    r"token|secret|password|authorization|api_?key|database_url|signature", re.IGNORECASE
)
SECRET_VALUE = re.compile(
    r"(xox[abposr]-|xapp-|sk-|pk-lf-|Bearer\s+|Bot\s+)[\w.\-]{6,}"
    r"|(?<=://)[^/\s:@]+:[^@\s]+(?=@)"
    r"|\b[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,}"
)

QUIETER = {
    # These tell their life at INFO, in more words than we do.
    **dict.fromkeys(("httpx", "httpcore", "alembic", "uvicorn", "openai", "langgraph"), logging.WARNING),
    # At DEBUG these write down whole messages and addresses with tokens in them.
    **dict.fromkeys(
        ("discord", "slack_bolt", "slack_sdk", "anthropic", "httpx2", "httpcore2"), logging.WARNING
    ),
}
UNTOUCHED = frozenset({"exc_info", "stack_info", "_record", "_from_structlog"})
"""What structlog hands on between its processors; rendered, it passes through here once more."""

PLAIN_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)
"""Where it broke, without the local variables: these hold messages and tokens."""

bind = structlog.contextvars.bound_contextvars


def configure_logs(level: str, style: Literal["auto", "json", "console"]) -> None:
    """Set up structlog and route the standard library's loggers through it. Call once, at start."""
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact,
    ]
    ending: list[Any] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if console
        else [PLAIN_TRACEBACKS, redact, structlog.processors.JSONRenderer(default=str)]
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, quietest in QUIETER.items():
        logging.getLogger(name).setLevel(max(logging.getLevelName(level), quietest))


def redact(logger: object, method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Replace what looks like a secret, by name or by form, in every value."""
    return {
        name: value
        if name in UNTOUCHED
        else "***"
        if SECRET_NAME.search(name) and not isinstance(value, int | float)
        else _clean(value)
        for name, value in event.items()
    }


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return SECRET_VALUE.sub("***", value)
    if isinstance(value, Mapping):
        return redact(None, "", dict(value))
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return [_clean(part) for part in value]
    return value
