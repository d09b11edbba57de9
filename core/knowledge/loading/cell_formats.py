"""How the number in a cell of a spreadsheet is meant: as a date, a time, a share, an amount of something. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

_TOKEN = re.compile(
    r"""(?P<skipped>@|_.|\*.|\[\$-[^\]]*\]|\[(?:<|>|=|[A-Za-z]{3,})[^\]]*\])
    |\[\$(?P<currency>[^\]-]+)(?:-[^\]]*)?\]
    |\[(?P<elapsed>h+|m+|s+)\]
    |"(?P<quoted>[^"]*)"|\\(?P<escaped>.)
    |(?P<digits>General|(?:[0\#?.,/]|[Ee][+-])+)
    |(?P<moment>AM/PM|A/P|[yYmMdDhHsS]+)
    |(?P<percent>%)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_BUILT_IN = {9: "0%", 10: "0.00%", 18: "h:mm", 19: "h:mm", 20: "h:mm", 21: "h:mm", 22: "d h:mm", 46: "[h]:mm"}
_DATES = {*range(14, 18), *range(27, 37), *range(50, 59)}
_LAST_DAY = 2_958_466
"""The day after the last one of the year 9999, as spreadsheets count days."""
MAX_CODE_CHARACTERS = 255


class Meaning(Enum):
    NUMBER = "number"
    SHARE = "share"
    DATE = "date"
    TIME = "time"
    DATE_AND_TIME = "date and time"
    DURATION = "duration"
    NOTHING = "nothing"
    """It is not shown at all."""


@dataclass(frozen=True, slots=True)
class CellFormat:
    """`before` and `after` stand around a number: a currency, a unit. It has at least `digits` digits."""

    meaning: Meaning = Meaning.NUMBER
    before: str = ""
    after: str = ""
    digits: int = 0


def parse_built_in(number: int) -> CellFormat:
    """A format that has a number and no code of its own."""
    if number in (45, 47):
        return CellFormat(Meaning.TIME)
    return CellFormat(Meaning.DATE) if number in _DATES else parse_cell_format(_BUILT_IN.get(number, ""))


def parse_cell_format(code: str) -> CellFormat:
    """What a format code says, by its first section, which is that of positive numbers."""
    code = code[:MAX_CODE_CHARACTERS]
    if re.fullmatch(r"\s*;[;\s]*", code):
        return CellFormat(Meaning.NOTHING)
    if re.fullmatch("0{2,}", code):
        return CellFormat(digits=len(code))
    around, letters = ["", ""], ""
    side, is_share, is_elapsed = 0, False, False
    for token in _TOKEN.finditer(code):
        if token["other"] == ";":
            break
        if token["digits"]:
            side, around[1] = 1, ""  # what stands between digits is no unit
        is_share, is_elapsed = is_share or bool(token["percent"]), is_elapsed or bool(token["elapsed"])
        letters += (token["moment"] or "").lower()
        around[side] += token["currency"] or token["quoted"] or token["escaped"] or token["other"] or ""
    if is_elapsed:
        return CellFormat(Meaning.DURATION)
    if letters:
        return CellFormat(_moment(letters))
    return CellFormat(Meaning.SHARE if is_share else Meaning.NUMBER, before=around[0], after=around[1])


def _moment(letters: str) -> Meaning:
    has_time = any(letter in letters for letter in "hs")
    has_date = any(letter in letters for letter in "yd") or not has_time
    return Meaning.DATE_AND_TIME if has_date and has_time else Meaning.DATE if has_date else Meaning.TIME


def render_number(value: float, form: CellFormat, *, from_1904: bool = False) -> str:
    """As people read it: dates and times in the form of ISO 8601, everything else without rounding."""
    if form.meaning is Meaning.NOTHING:
        return ""
    if form.meaning is Meaning.DURATION and abs(value) < _LAST_DAY:
        return ("-" if value < 0 else "") + _clock(round(abs(value) * 86_400))
    if form.meaning in (Meaning.DATE, Meaning.TIME, Meaning.DATE_AND_TIME) and 0 <= value < _LAST_DAY:
        return _render_moment(value, form.meaning, from_1904)
    if form.meaning is Meaning.SHARE:
        return f"{_plain(round(value * 100, 2))}%"
    text = _plain(abs(value)).zfill(form.digits)
    return f"{'-' if value < 0 else ''}{form.before}{text}{form.after}".strip()


def _render_moment(value: float, meaning: Meaning, from_1904: bool) -> str:
    seconds = round(value * 86_400)
    clock = _clock(seconds % 86_400, "02")
    if meaning is Meaning.TIME:
        return clock
    # Excel takes 1900 for a leap year: until its 29th of February it counts days from one day later.
    first = datetime(1904, 1, 1) if from_1904 else datetime(1899, 12, 31 if value < 60 else 30)
    try:
        date = (first + timedelta(seconds=seconds)).date().isoformat()
    except OverflowError:
        return _plain(value)
    return date if meaning is Meaning.DATE or seconds % 86_400 == 0 else f"{date} {clock}"


def _clock(seconds: int, hours_form: str = "") -> str:
    hours, rest = divmod(seconds, 3600)
    return f"{hours:{hours_form}}:{rest // 60:02}" + (f":{rest % 60:02}" if rest % 60 else "")


def _plain(value: float) -> str:
    """With as many digits as a spreadsheet keeps."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.15g}"
