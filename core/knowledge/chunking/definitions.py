"""Finds the definitions of a source text by its shape: what begins at the margin after a blank line, and, inside
of what is too long, what begins at the next indentation. Knows no language's grammar, so it fits them all. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.knowledge.chunking.policy import CountTokens

SMALL_SHARE = 0.25
"""A definition below this share of the budget stands together with the next."""

# Strings and comments over several lines: what begins a line inside of them begins no definition.
_SPANNING = re.compile(r'""".*?"""|\'\'\'.*?\'\'\'|/\*.*?\*/|`[^`]*`', re.DOTALL)
_NAME = re.compile(
    r"^\s*(?:(?:pub(?:\([^)]*\))?|export|default|public|private|protected|internal|static|abstract|final|async"
    r"|unsafe|const|virtual|override|open|data|sealed)\s+)*"
    r"(?:def|class|func|function|fn|struct|enum|interface|trait|impl|type|module|namespace|object|record|macro_rules!)"
    r"\s+(?:\([^)]*\)\s*)?([\w$]+(?:(?:::|\.)[\w$]+)*)|^\s*CREATE\s+(?:OR\s+REPLACE\s+)?\w+\s+(?:IF\s+NOT\s+EXISTS\s+)?([\w.\"]+)"
    r"|^\s*(?:const|let|var)\s+(\w+)\s*=|^(\w+)\s*\(\)\s*\{",
    re.IGNORECASE,
)
_LEADS = re.compile(r"\s*(?:@|#|//|/\*|\*|--|;|\"\"\")")
"""Decorators and comments: they belong to what follows them."""
_GOES_ON = re.compile(r"\s*[)\]}]")


@dataclass(frozen=True, slots=True)
class Definition:
    """code[start:end], whole lines, below the named definitions, the outermost first. `is_head`: the members of
    the definition follow."""

    start: int
    end: int
    path: tuple[str, ...] = ()
    is_head: bool = False


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    start: int
    inside: bool

    @property
    def blank(self) -> bool:
        return not self.text.strip()

    @property
    def indent(self) -> int:
        return len(self.text) - len(self.text.lstrip())


def find_definitions(code: str, budget: int, count_tokens: CountTokens) -> list[Definition]:
    """The whole code as definitions in order. What is longer than the budget is cut into its members; what has
    none stays longer."""
    lines = _lines(code)
    found = list(_units(code, lines, (), budget, count_tokens)) if lines else []
    return _join_small(code, found, budget, count_tokens)


def _lines(code: str) -> list[_Line]:
    spans = [(match.start(), match.end()) for match in _SPANNING.finditer(code)]
    lines: list[_Line] = []
    start = at = 0
    for text in code.split("\n"):
        while at < len(spans) and spans[at][1] <= start:
            at += 1
        inside = at < len(spans) and spans[at][0] < start
        lines.append(_Line(text, start, inside))
        start += len(text) + 1
    return lines


def _units(
    code: str, lines: Sequence[_Line], path: tuple[str, ...], budget: int, count: CountTokens
) -> Iterator[Definition]:
    starts = _unit_starts(lines)
    for first, after in zip(starts, [*starts[1:], len(lines)], strict=True):
        unit = lines[first:after]
        start, end = unit[0].start, unit[-1].start + len(unit[-1].text)
        name = _name(unit)
        inner = (*path, name) if name else path
        if count(code[start:end]) <= budget:
            yield Definition(start, end, inner)
            continue
        head = _head(unit)
        members = unit[head:]
        if head and any(not line.blank for line in members) and len(_unit_starts(members)) > 1:
            yield Definition(start, unit[head - 1].start + len(unit[head - 1].text), inner, is_head=True)
            yield from _units(code, members, inner, budget, count)
        else:
            yield Definition(start, end, inner)


def _unit_starts(lines: Sequence[_Line]) -> list[int]:
    """Indices of the lines where something begins at the smallest indentation, after a blank line or under a name
    of its own; decorators and comments right above it go with it."""
    indents = [line.indent for line in lines if not (line.blank or line.inside or _GOES_ON.match(line.text))]
    margin = min(indents, default=0)
    starts = [0]
    for n, line in enumerate(lines):
        if line.blank or line.inside or line.indent > margin or _GOES_ON.match(line.text):
            continue
        if n == 0 or not (lines[n - 1].blank or _NAME.match(line.text)):
            continue
        first = n
        while first > 0 and _LEADS.match(lines[first - 1].text) and not lines[first - 1].inside:
            first -= 1
        if first > starts[-1]:
            starts.append(first)
    return starts


def _name(unit: Sequence[_Line]) -> str:
    for line in unit:
        if line.blank or line.inside or _LEADS.match(line.text):
            continue
        named = _NAME.match(line.text)
        return next((group for group in named.groups() if group), "") if named else ""
    return ""


def _head(unit: Sequence[_Line]) -> int:
    """How many lines come before the members: signature, docstring and comments."""
    margin = unit[0].indent
    begun = False
    for n, line in enumerate(unit):
        if line.blank or line.inside:
            continue
        if line.indent <= margin:
            begun = begun or not _LEADS.match(line.text)
        elif begun:
            return n
    return 0


def _join_small(code: str, found: Sequence[Definition], budget: int, count: CountTokens) -> list[Definition]:
    """Small neighbours that stand below the same name together, and a head with its first member."""
    joined: list[Definition] = []
    for unit in found:
        if joined and not unit.is_head:
            before = joined[-1]
            path = before.path if before.is_head else before.path[:-1]
            small = min(count(code[before.start : before.end]), count(code[unit.start : unit.end]))
            if (
                path in (unit.path, unit.path[:-1])
                and small < SMALL_SHARE * budget
                and count(code[before.start : unit.end]) <= budget
            ):
                joined[-1] = Definition(before.start, unit.end, path, before.is_head)
                continue
        joined.append(unit)
    return joined
