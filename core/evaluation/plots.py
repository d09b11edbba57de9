"""Figures with their intervals as an SVG picture: points and bars on a line from 0 to 1. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from core.messages import Frozen

WIDTH, LEFT, RIGHT, ROW, GROUP, TOP, BOTTOM = 760, 210, 90, 20, 30, 52, 34
COLOURS = ("#2f6fb0", "#c8622d", "#3d8a57", "#8a5fa8", "#7a7a2c", "#5f6b76")


class Point(Frozen):
    """A figure of one series, from 0 to 1, and its interval."""

    series: str
    value: float
    low: float
    high: float


class Group(Frozen):
    """What stands below one label, one point a series."""

    label: str
    points: tuple[Point, ...]


def render_plot(title: str, groups: Sequence[Group]) -> str:
    """The SVG document."""
    series = list(dict.fromkeys(point.series for group in groups for point in group.points))
    height = TOP + sum(GROUP + ROW * len(group.points) for group in groups) + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="24" font-size="15" font-weight="600" fill="#222222">{escape(title)}</text>',
        *_scale(height),
    ]
    y = TOP
    for group in groups:
        parts.append(
            f'<text x="16" y="{y + 18}" font-weight="600" fill="#222222">{escape(group.label)}</text>'
        )
        y += GROUP
        for point in group.points:
            parts += _row(point, COLOURS[series.index(point.series) % len(COLOURS)], y)
            y += ROW
    return "\n".join([*parts, "</svg>", ""])


def _x(value: float) -> float:
    return round(LEFT + min(max(value, 0.0), 1.0) * (WIDTH - LEFT - RIGHT), 1)


def _scale(height: int) -> list[str]:
    parts = []
    for tick in range(0, 11, 2):
        x = _x(tick / 10)
        parts.append(f'<line x1="{x}" y1="{TOP - 10}" x2="{x}" y2="{height - BOTTOM}" stroke="#e3e3e3"/>')
        parts.append(
            f'<text x="{x}" y="{height - 12}" text-anchor="middle" fill="#666666">{tick / 10:.1f}</text>'
        )
    return parts


def _row(point: Point, colour: str, y: int) -> list[str]:
    value = f"{point.value:.3f} ({point.low:.3f} to {point.high:.3f})"
    return [
        f"<g><title>{escape(point.series)}: {value}</title>",
        f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end" fill="#444444">{escape(point.series)}</text>',
        f'<line x1="{_x(point.low)}" y1="{y}" x2="{_x(point.high)}" y2="{y}" stroke="{colour}" stroke-width="2"/>',
        f'<circle cx="{_x(point.value)}" cy="{y}" r="4" fill="{colour}"/>',
        f'<text x="{WIDTH - RIGHT + 12}" y="{y + 4}" fill="#444444">{point.value:.3f}</text></g>',
    ]
