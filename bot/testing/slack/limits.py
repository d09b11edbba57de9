"""The limits of Slack's Web API that the loopback server enforces, as error codes."""

from __future__ import annotations

import math
import time

from bot.testing.slack.state import Json

MARKDOWN_CHARACTERS = 12_000
TEXT_CHARACTERS = 40_000
BLOCKS = 50
SECTION_CHARACTERS = 3000
CONTEXT_ELEMENTS = 10
ACTION_ELEMENTS = 5
VALUE_CHARACTERS = 2000
STREAM_SECONDS = 300.0
TRIGGER_SECONDS = 3.0
CONNECTIONS = 10
METADATA_EVENT_TYPE_CHARACTERS = 255


class ApiError(Exception):
    """An answer with ok: false. `code` is Slack's word."""

    def __init__(self, code: str, retry_after_seconds: float = 1.0) -> None:
        super().__init__(code)
        self.code = code
        self.retry_after_seconds = retry_after_seconds


class ReadingLimit:
    """What an app may read of conversations.history and conversations.replies: one call of each in
    `window_seconds`, with `most_objects` messages. Slack's is a minute and 15, for some apps."""

    def __init__(self, window_seconds: float = 60.0, most_objects: int = 15) -> None:
        self.window_seconds = window_seconds
        self.most_objects = most_objects
        self._read_at: dict[str, float] = {}

    def check(self, method: str) -> None:
        """Raises ApiError, with the time after which to come again."""
        now = time.monotonic()
        wait = self._read_at.get(method, -math.inf) + self.window_seconds - now
        if wait > 0:
            raise ApiError("ratelimited", wait)
        self._read_at[method] = now


def check_blocks(blocks: object) -> list[Json]:
    """The blocks, if Slack would take them."""
    if blocks is None:
        return []
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise ApiError("invalid_blocks_format")
    if len(blocks) > BLOCKS:
        raise ApiError("invalid_blocks")
    if (
        sum(len(block.get("text", "")) for block in blocks if block["type"] == "markdown")
        > MARKDOWN_CHARACTERS
    ):
        raise ApiError("msg_blocks_too_long")
    for block in blocks:
        _check_block(block)
    return blocks


def check_metadata(metadata: object) -> Json | None:
    """The metadata, if it has its two fields."""
    if metadata is None:
        return None
    if not isinstance(metadata, dict) or set(metadata) != {"event_type", "event_payload"}:
        raise ApiError("invalid_metadata_format")
    if len(str(metadata["event_type"])) > METADATA_EVENT_TYPE_CHARACTERS:
        raise ApiError("metadata_too_large")
    return metadata


def check_view(view: object) -> Json:
    """The modal, if it has what a modal needs."""
    if not isinstance(view, dict) or view.get("type") != "modal" or not view.get("blocks"):
        raise ApiError("invalid_arguments")
    for name in ("title", "submit", "close"):
        text = view.get(name)
        if text is not None and len(text["text"]) > 24:
            raise ApiError("invalid_arguments")
    if len(view.get("private_metadata", "")) > 3000:
        raise ApiError("invalid_arguments")
    return view


def _check_block(block: Json) -> None:
    kind = block["type"]
    if kind not in _KNOWN_BLOCKS:
        raise ApiError("invalid_blocks")
    if kind == "markdown" and not block.get("text"):
        raise ApiError("invalid_blocks")
    if kind == "section" and not 0 < len(block["text"]["text"]) <= SECTION_CHARACTERS:
        raise ApiError("invalid_blocks")
    if kind in _MAX_ELEMENTS:
        elements = block["elements"]
        if not 0 < len(elements) <= _MAX_ELEMENTS[kind]:
            raise ApiError("invalid_blocks")
        for element in elements:
            _CHECK_ELEMENT[kind](element)


def _check_context_element(element: Json) -> None:
    if not 0 < len(element.get("text", "an image")) <= SECTION_CHARACTERS:
        raise ApiError("invalid_blocks")


def _check_feedback(element: Json) -> None:
    if element.get("type") not in {"feedback_buttons", "icon_button"}:
        raise ApiError("invalid_blocks")
    for name in ("positive_button", "negative_button"):
        button = element.get(name)
        if button is None or len(button["text"]["text"]) > 75 or len(button["value"]) > VALUE_CHARACTERS:
            raise ApiError("invalid_blocks")


_KNOWN_BLOCKS = frozenset(
    {
        "markdown",
        "section",
        "context",
        "context_actions",
        "divider",
        "actions",
        "header",
        "rich_text",
        "input",
    }
)
_MAX_ELEMENTS = {"context": CONTEXT_ELEMENTS, "context_actions": ACTION_ELEMENTS}
_CHECK_ELEMENT = {"context": _check_context_element, "context_actions": _check_feedback}
