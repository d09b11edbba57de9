"""Answers and notices in Slack's own form. Pure.

A Rendered body is {"markdown": the text, "tail": the blocks below it, "text": the fallback for
notifications}; the adapter puts it into whichever call shows it. The text is the model's and not
trusted: here it loses mentions, foreign links and hidden characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from uuid import UUID

from bot.adapter import Delivery, Rendered
from bot.outgoing import allowed_links, is_web_link, strip_hidden
from bot.slack.feedback import build_feedback_block
from bot.slack.mrkdwn import escape
from bot.splitting import cap_markdown, split_markdown
from core.answers import Answer, Citation

MARKDOWN_LIMIT = 11_000
"""Characters of one message: below Slack's 12,000 for a markdown block and for a stream."""

ANSWER_LIMIT = 40_000
"""Characters of an answer, in all its messages."""

METADATA_EVENT_TYPE = "threadlore_answer"
_FALLBACK_CHARACTERS = 3000
_TITLE_CHARACTERS = 150
_URI_CHARACTERS = 2000
_ELEMENTS_PER_CONTEXT = 10
_MAX_SOURCES = 100

_OPENING = r"(?:<|＜|&lt;?|&#0*60;?|&#x0*3c;?)"
_MENTION = re.compile(
    rf"{_OPENING}\s*(?:@|!\s*(?=[a-z])(?!doctype|element|entity|attlist))(?P<named>[^<>|&\n]*)"
    r"(?:\|(?P<label>[^<>&\n]*))?(?:>|&gt;?|&#0*62;?|&#x0*3e;?)?",
    re.IGNORECASE,
)
_CHANNEL_LINK = re.compile(rf"{_OPENING}\s*#(?P<named>[CGD][A-Z0-9]+)(?:\|(?P<label>[^<>\n]*))?(?:>|&gt;)")
_AT_EVERYBODY = re.compile(r"@(?=\s*(?:everyone|channel|here|group)\b)", re.IGNORECASE)
_AT = "＠"

_MAY_BECOME_SOMETHING = frozenset(":/.<[@&!#`(]")
_UNFINISHED_LINK = re.compile(
    r"!?\[[^\[\]\n]{0,300}$|!?\[[^\[\]\n]{0,300}\](?:\([^()\n]{0,500})?$|<[^<>\n]{0,300}$"
)
_NO_SOURCES = Answer(text="")


def render_answer(answer: Answer, turn_id: UUID) -> list[Rendered]:
    """The answer as messages of at most MARKDOWN_LIMIT characters; sources and thumbs under the last."""
    text = cap_markdown(answer.text, ANSWER_LIMIT)
    parts = split_markdown(safe_markdown(text, answer), MARKDOWN_LIMIT) or ["…"]
    bodies = [_body(part) for part in parts]
    bodies[-1]["tail"] = [*render_sources(answer.citations), build_feedback_block(turn_id)]
    return [Rendered(body=body) for body in bodies]


def render_notice(text: str) -> Rendered:
    """A short plain message."""
    return Rendered(body=_body(safe_markdown(text, _NO_SOURCES)[:MARKDOWN_LIMIT]))


def render_partial(shown: str) -> Rendered:
    """A text on its way, already made safe by `safe_partial`."""
    return Rendered(body=_body(shown))


def safe_markdown(text: str, answer: Answer) -> str:
    """Markdown that pings nobody, links to nothing but cited hosts and hides nothing."""
    return without_mentions(allowed_links(strip_hidden(text), answer))


def safe_partial(text: str) -> str:
    """What may be shown of a text that is still being written: no links, and no word that may become one."""
    text = strip_hidden(text)[:MARKDOWN_LIMIT]
    last_word = text[max(map(text.rfind, " \n\t")) + 1 :]
    if not _MAY_BECOME_SOMETHING.isdisjoint(last_word.rstrip(".,;:!?)")):
        text = text[: len(text) - len(last_word)]
    link = _UNFINISHED_LINK.search(text)
    if link is not None:
        text = text[: link.start()]
    return safe_markdown(text, _NO_SOURCES)


def without_mentions(text: str) -> str:
    """Slack's mentions as plain words: nobody is notified, in prose or in code."""
    if "@" in text:
        text = _AT_EVERYBODY.sub(_AT, text)
    if "<" not in text and "＜" not in text and "&" not in text:
        return text
    text = _MENTION.sub(_plain_mention, text)
    return _CHANNEL_LINK.sub(lambda match: f"#{(match['label'] or match['named']).strip()}", text)


def render_sources(citations: Iterable[Citation]) -> Iterator[dict[str, object]]:
    """`[1] title` for each source, as a link where its address is one of the web."""
    elements = [{"type": "mrkdwn", "text": _source(citation)} for citation in citations][:_MAX_SOURCES]
    for start in range(0, len(elements), _ELEMENTS_PER_CONTEXT):
        yield {"type": "context", "elements": elements[start : start + _ELEMENTS_PER_CONTEXT]}


def blocks_of(rendered: Rendered) -> list[object]:
    """All of a message as blocks."""
    return [{"type": "markdown", "text": rendered.body["markdown"]}, *tail_of(rendered)]


def tail_of(rendered: Rendered) -> list[object]:
    """The blocks below the text."""
    tail = rendered.body.get("tail")
    return tail if isinstance(tail, list) else []


def text_of(rendered: Rendered) -> str:
    """The Markdown text of a message."""
    return str(rendered.body["markdown"])


def fallback_of(rendered: Rendered) -> str:
    """What a notification shows."""
    return str(rendered.body["text"])


def metadata_of(delivery: Delivery) -> dict[str, object]:
    """Our ids inside the message, by which it is found again."""
    return {
        "event_type": METADATA_EVENT_TYPE,
        "event_payload": {"effect_id": str(delivery.effect_id), "turn_id": str(delivery.turn_id)},
    }


def _body(markdown: str) -> dict[str, object]:
    return {"markdown": markdown, "tail": [], "text": escape(markdown[:_FALLBACK_CHARACTERS])}


def _source(citation: Citation) -> str:
    title = without_mentions(strip_hidden(citation.title)).replace("|", "¦").replace("`", "'")
    title = escape(" ".join(title.split())[:_TITLE_CHARACTERS] or "source")
    uri = citation.uri
    if not is_web_link(uri) or len(uri) > _URI_CHARACTERS:
        return f"[{citation.n}] {title}"
    return f"[{citation.n}] <{escape(uri)}|{title}>"


def _plain_mention(match: re.Match[str]) -> str:
    named = (match["label"] or match["named"] or "").strip().lstrip("@＠ ")
    return f"{_AT}{named.partition('^')[0]}"
