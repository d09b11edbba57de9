"""How the cells of a workbook look, as far as it decides what people see in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.knowledge.loading.cell_formats import CellFormat, parse_built_in, parse_cell_format

_WHITES = {"FFFFFFFF", "00FFFFFF", "FFFFFF"}
_SCHEME_WHITE, _INDEXED_WHITES = "0", {"1", "9"}


@dataclass(frozen=True, slots=True)
class CellStyle:
    """`is_white`: its text is. `is_bare`: its ground is, as far as the cell itself says."""

    form: CellFormat
    is_white: bool
    is_bare: bool


PLAIN = CellStyle(CellFormat(), is_white=False, is_bare=True)


def read_styles(root: Any) -> list[CellStyle]:
    """By the numbers that cells name; `root` is that of the part with the styles, None if there is none."""
    if root is None:
        return []
    codes = {
        int(node.get("numFmtId")): parse_cell_format(node.get("formatCode", ""))
        for node in root.iterfind("{*}numFmts/{*}numFmt")
    }
    white_fonts = [is_white_color(font.find("{*}color")) for font in root.iterfind("{*}fonts/{*}font")]
    bare_fills = [_is_bare(fill) for fill in root.iterfind("{*}fills/{*}fill")]
    styles = []
    for node in root.iterfind("{*}cellXfs/{*}xf"):
        number, font, fill = (int(node.get(name, 0)) for name in ("numFmtId", "fontId", "fillId"))
        form = codes.get(number) or parse_built_in(number)
        is_white = font < len(white_fonts) and white_fonts[font]
        styles.append(CellStyle(form, is_white, fill >= len(bare_fills) or bare_fills[fill]))
    return styles


def is_white_color(color: Any) -> bool:
    """Whether an element that names a colour, None if there is none, names white."""
    if color is None:
        return False
    return (
        color.get("rgb", "").upper() in _WHITES
        or color.get("indexed") in _INDEXED_WHITES
        or (color.get("theme") == _SCHEME_WHITE and float(color.get("tint", 0)) == 0)
    )


def _is_bare(fill: Any) -> bool:
    """Whether the ground stays white."""
    pattern = fill.find("{*}patternFill")
    if pattern is None:
        return fill.find("{*}gradientFill") is None
    kind = pattern.get("patternType", "none")
    return kind == "none" or (kind == "solid" and is_white_color(pattern.find("{*}fgColor")))
