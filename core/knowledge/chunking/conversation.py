"""Slices a thread of chat between its messages. Pure.

A message begins with a line that names its speaker, in one of the ways that chats are written down:

    **Ada** · 2026-11-22 16:40        what `render_message` writes
    [2026-11-22 16:40] Ada: text      exports and copies; without the brackets too
    Ada  [4:40 PM]                    what is copied out of Slack
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.knowledge.blocks import BlockKind
from core.knowledge.chunking.cutting import BORDERS, Cutter
from core.knowledge.chunking.policy import ChunkingPolicy, CountTokens
from core.knowledge.chunking.structure import Slice, slice_structure

_TIME = r"(?:\d{4}-\d\d-\d\d[ T]?)?\d{1,2}:\d\d(?::\d\d)?(?:\.\d+)?(?: ?[AaPp][Mm]| ?Z| ?UTC|[+-]\d\d:?\d\d)?"
_SPEAKER = re.compile(
    rf"\*\*(?P<bold>[^*\n]{{1,80}})\*\*(?: · [^\n]{{1,60}}|:)[ \t]*$"
    rf"|\[?{_TIME}\]?[ \t]+[<@]?(?P<named>[^\s:<>\[\]][^:\n<>\[\]]{{0,60}})>?:[ \t]"
    rf"|(?P<copied>[^\s\[\]:|#>*-][^\[\]:\n]{{0,60}}?)[ \t]+\[{_TIME}\][ \t]*$",
    re.MULTILINE,
)
_FORGED = re.compile(rf"^(?={_SPEAKER.pattern}|#)", re.MULTILINE)
"""A line of a message that would read as another speaker, or as a heading: it becomes a quotation."""
OVERLAP_SHARE = 0.3
"""The last message of a window begins the next one too, if it takes at most this share of it."""


@dataclass(frozen=True, slots=True)
class Message:
    """text[start:end]; text[start:said] names the speaker, what was said follows."""

    start: int
    said: int
    end: int


def render_message(author: str, text: str, when: str = "") -> str:
    """A message of a thread as Markdown, as `parse_messages` finds it again."""
    name = " ".join(author.replace("*", "").split())[:80] or "Somebody"
    said = _FORGED.sub(r"> \g<0>", text.strip())
    return f"**{name}**{f' · {when}' if when else ':'}\n\n{said}"


def parse_messages(text: str) -> list[Message]:
    """The messages in order; none if the text is not a conversation: fewer than two name a speaker. What stands
    before the first speaker is a message of its own."""
    marks = list(_SPEAKER.finditer(text))
    starts = [mark for mark in marks if mark.start() == 0 or text[mark.start() - 1] == "\n"]
    if len(starts) < 2:
        return []
    messages = []
    if text[: starts[0].start()].strip():
        messages.append(_message(text, 0, 0, starts[0].start()))
    for n, mark in enumerate(starts):
        end = starts[n + 1].start() if n + 1 < len(starts) else len(text)
        messages.append(_message(text, mark.start(), mark.end(), end))
    return messages


def _message(text: str, start: int, said: int, end: int) -> Message:
    start += len(text[start:end]) - len(text[start:end].lstrip())
    end -= len(text[start:end]) - len(text[start:end].rstrip())
    return Message(start, max(start, min(said, end)), end)


def slice_conversation(
    text: str, title: str, policy: ChunkingPolicy, count_tokens: CountTokens
) -> list[Slice]:
    """Windows of whole messages; what is no conversation is sliced by structure."""
    messages = parse_messages(text)
    if not messages:
        return slice_structure(text, title, policy, count_tokens)
    budget = max(policy.budget_tokens - count_tokens(title), policy.budget_tokens // 2)
    cutter = Cutter(text, count_tokens, overlap_tokens=policy.overlap_tokens)
    return list(_windows(text, messages, budget, cutter))


def _windows(text: str, messages: Sequence[Message], budget: int, cutter: Cutter) -> Iterator[Slice]:
    window: list[Message] = []
    fresh = False

    def length(parts: Sequence[Message]) -> int:
        return cutter.length(parts[0].start, parts[-1].end) if parts else 0

    for message in messages:
        if length([*window, message]) <= budget:
            window, fresh = [*window, message], True
            continue
        if fresh:
            yield Slice(window[0].start, window[-1].end)
        last = window[-1:] if length(window[-1:]) <= OVERLAP_SHARE * budget else []
        fresh = True
        if length([message]) > budget:
            yield from _long_message(text, message, budget, cutter)
            window, fresh = [], False
        elif length([*last, message]) <= budget:
            window = [*last, message]
        else:
            window = [message]
    if window and fresh:
        yield Slice(window[0].start, window[-1].end)


def _long_message(text: str, message: Message, budget: int, cutter: Cutter) -> Iterator[Slice]:
    """In parts at its sentences; each names the speaker again."""
    speaker = text[message.start : message.said].strip()
    before = f"{speaker}\n\n" if speaker and cutter.count(speaker) <= budget // 2 else ""
    room = budget - cutter.count(before)
    for n, part in enumerate(cutter.cut_text(message.said, message.end, BORDERS[BlockKind.PARAGRAPH], room)):
        if n == 0:
            yield Slice(message.start, part.end)
        else:
            yield Slice(part.start, part.end, before=before)
