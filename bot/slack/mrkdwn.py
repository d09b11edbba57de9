"""Slack's own markup, read and written: entities and mrkdwn to Markdown, and plain text to mrkdwn. Pure."""

from __future__ import annotations

import re

from bot.outgoing import strip_hidden

_CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
_ENTITY = re.compile(r"<([@#!]?)([^<>|]*)(?:\|([^<>]*))?>")
_BOLD = re.compile(r"(?<![\w*\\])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])")
_STRUCK = re.compile(r"(?<![\w~\\])~(?=\S)([^~\n]+?)(?<=\S)~(?![\w~])")
_SPACES = re.compile(r"[ \t]{2,}")


def mentions(text: str, user_id: str) -> bool:
    """Whether the text names this user."""
    return f"<@{user_id}>" in text or f"<@{user_id}|" in text


def markdown_of(text: str, bot_user_id: str) -> str:
    """A message's text as plain Markdown, without the mentions of the bot."""
    text = strip_hidden(text)
    if mentions(text, bot_user_id):
        text = re.sub(rf"[ \t]*<@{re.escape(bot_user_id)}(?:\|[^<>]*)?>[ \t]*[,:]?", " ", text)
        text = _SPACES.sub(" ", text)
    parts: list[str] = []
    end = 0
    for code in _CODE.finditer(text):
        parts += (_prose(text[end : code.start()]), _ENTITY.sub(_in_code, code.group()))
        end = code.end()
    parts.append(_prose(text[end:]))
    return _unescape("".join(parts)).strip()


def escape(text: str) -> str:
    """Text as it is, for places that Slack reads as mrkdwn."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _unescape(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _prose(text: str) -> str:
    if "*" in text:
        text = _BOLD.sub(r"**\1**", text)
    if "~" in text:
        text = _STRUCK.sub(r"~~\1~~", text)
    return _ENTITY.sub(_in_prose, text) if "<" in text else text


def _in_prose(match: re.Match[str]) -> str:
    sign, name, label = match.group(1), match.group(2), match.group(3)
    if sign:
        return _named(sign, name, label)
    if name.startswith("mailto:"):
        return label or name.removeprefix("mailto:")
    return f"[{label}]({name})" if label and label != name else name


def _in_code(match: re.Match[str]) -> str:
    sign, name, label = match.group(1), match.group(2), match.group(3)
    return _named(sign, name, label) if sign else label or name


def _named(sign: str, name: str, label: str | None) -> str:
    if sign == "@":
        return f"@{label or name}"
    if sign == "#":
        return f"#{label or name}"
    if label:
        return label
    return f"@{name.partition('^')[0]}"
