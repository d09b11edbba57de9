"""Answer → Discord messages: at most 2,000 characters each, no pings, no previews, sources and buttons. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from bot.adapter import Rendered
from bot.discord.feedback import render_buttons
from bot.outgoing import allowed_links, is_web_link, strip_hidden
from bot.splitting import cap_markdown, split_markdown
from core.answers import Answer, Citation

MESSAGE_LIMIT = 2000
ANSWER_LIMIT = 40_000
"""Characters of an answer, in all its messages: twenty of them."""
SUPPRESS_EMBEDS = 1 << 2
NO_MENTIONS: dict[str, Any] = {"parse": [], "replied_user": False}

_MASS_MENTION = re.compile(r"@(?=everyone|here)", re.IGNORECASE)
_MENTION = re.compile(r"<@(?=[!&]?\d)")
_MARKUP = re.compile(r"[\[\]()<>*_`~|\\]+")
_LONGEST_TITLE = 200


def render_answer(answer: Answer, turn_id: UUID) -> Sequence[Rendered]:
    """The text and its numbered sources; the buttons stand under the last message."""
    text = cap_markdown(answer.text, ANSWER_LIMIT)
    text = _with_closed_code(defuse(allowed_links(text, answer)))
    if answer.citations:
        text += "\n\n**Sources**\n" + "\n".join(_source(citation) for citation in answer.citations)
    parts = split_markdown(text, MESSAGE_LIMIT) or ["…"]
    last = len(parts) - 1
    return [_rendered(part, render_buttons(turn_id) if n == last else []) for n, part in enumerate(parts)]


def render_partial(text: str) -> Rendered:
    """An answer while it is written. No links yet: which ones are allowed is known with its sources."""
    beginning = text[: 2 * MESSAGE_LIMIT]
    parts = split_markdown(defuse(allowed_links(beginning, Answer(text=beginning))), MESSAGE_LIMIT)
    return _rendered(parts[0] if parts else "", [])


def render_notice(text: str) -> Rendered:
    """One short message without buttons."""
    return render_partial(text) if text.strip() else _rendered("…", [])


def defuse(text: str) -> str:
    """Nothing in the text pings anybody, whatever the platform is told about mentions."""
    return _MENTION.sub("<＠", _MASS_MENTION.sub("＠", strip_hidden(text)))


def _with_closed_code(text: str) -> str:
    """What follows the text must not end up in a code block that it left open."""
    return "".join(split_markdown(text, len(text) + 100))


def _source(citation: Citation) -> str:
    title = " ".join(_MARKUP.sub(" ", defuse(citation.title)).split())[:_LONGEST_TITLE] or "Untitled"
    if is_web_link(citation.uri) and len(citation.uri) <= MESSAGE_LIMIT // 2:
        # Angle brackets keep the client from fetching a preview.
        return f"{citation.n}. [{title}](<{citation.uri.replace('@', '%40')}>)"
    return f"{citation.n}. {title}"


def _rendered(content: str, components: list[dict[str, Any]]) -> Rendered:
    return Rendered(
        body={
            "content": content,
            "components": components,
            "flags": SUPPRESS_EMBEDS,
            "allowed_mentions": NO_MENTIONS,
        }
    )
