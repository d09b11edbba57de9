"""Curves as an SVG picture: lines over a square from 0 to 1. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from core.evaluation.plots import COLOURS
from core.messages import Frozen

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 460, 70, 40, 52, 60


class Curve(Frozen):
    """Points (x, y), each from 0 to 1, in the order in which they are joined."""

    label: str
    points: tuple[tuple[float, float], ...]


def render_curves(title: str, along: str, up: str, curves: Sequence[Curve]) -> str:
    """The SVG document. `along` and `up` say what the axes show."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="16" y="24" font-size="15" font-weight="600" fill="#222222">{escape(title)}</text>',
        *_axes(along, up),
    ]
    for number, curve in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        line = " ".join(f"{_x(x)},{_y(y)}" for x, y in curve.points)
        y = TOP + 16 + 18 * number
        parts += [
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>',
            *(f'<circle cx="{_x(x)}" cy="{_y(y)}" r="3" fill="{colour}"/>' for x, y in curve.points),
            f'<text x="{LEFT + 14}" y="{y}" fill="{colour}" font-weight="600">{escape(curve.label)}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def _x(value: float) -> float:
    return round(LEFT + min(max(value, 0.0), 1.0) * (WIDTH - LEFT - RIGHT), 1)


def _y(value: float) -> float:
    return round(HEIGHT - BOTTOM - min(max(value, 0.0), 1.0) * (HEIGHT - TOP - BOTTOM), 1)


def _axes(along: str, up: str) -> list[str]:
    parts = []
    for tick in range(0, 11, 2):
        x, y, value = _x(tick / 10), _y(tick / 10), f"{tick / 10:.1f}"
        parts += [
            f'<line x1="{x}" y1="{_y(0)}" x2="{x}" y2="{_y(1)}" stroke="#e3e3e3"/>',
            f'<line x1="{_x(0)}" y1="{y}" x2="{_x(1)}" y2="{y}" stroke="#e3e3e3"/>',
            f'<text x="{x}" y="{_y(0) + 18}" text-anchor="middle" fill="#666666">{value}</text>',
            f'<text x="{LEFT - 10}" y="{y + 4}" text-anchor="end" fill="#666666">{value}</text>',
        ]
    return [
        *parts,
        f'<text x="{_x(0.5)}" y="{HEIGHT - 18}" text-anchor="middle" fill="#444444">{escape(along)}</text>',
        f'<text x="{LEFT}" y="{TOP - 10}" fill="#444444">{escape(up)}</text>',
    ]
