"""Curves as SVG, which needs no script: for notebooks, and where a report is read without one. Pure."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from typing import NamedTuple

from runfmt.scales import Scale, axis_of, labels

__all__ = ["Curve", "color", "curves_svg", "extent", "thinned"]

COLORS = tuple(
    "#4458dd #e29b00 #219800 #c8035c #21aba2 #8776f1 #cd7457 #5e636a #ad55b0 #01bbfa "
    "#87bc69 #914620 #907981 #8831b3 #c18ed1 #ff64ad #116f42 #7c700a #3b82c4 #d9534a".split()
)
"""The first twelve are told apart by everybody, on light and on dark paper; the viewer has the same ones."""
LEFT, RIGHT, ABOVE, BELOW = 46, 8, 20, 18
"""Pixels around the frame of the curves."""
LEAST, MOST = math.ulp(0), sys.float_info.max
FAINT = 'stroke="currentColor" stroke-opacity="0.15"'


def color(number: int) -> str:
    """The colour of a number; colours come again."""
    return COLORS[number % len(COLORS)]


class Curve(NamedTuple):
    """The points of a metric, finite numbers, whose ``x`` rises; ``odd`` values were not finite."""

    name: str
    points: Sequence[tuple[float, float]]
    color: str = COLORS[0]
    odd: int = 0


def extent(values: Iterable[float], *, log: bool = False) -> Scale:
    """The range of finite values, with ``log`` above 0; where it is a point, with room around it."""
    shown = [*values] or [1.0]
    low, high = min(shown), max(shown)
    if low == high:
        room = abs(low) / 2 or 1.0
        low, high = (max(low / 2, LEAST) if log else max(low - room, -MOST)), min(high + room, MOST)
    return Scale(low, high, log)


def thinned(points: Sequence[tuple[float, float]], cells: int) -> list[tuple[float, float]]:
    """The points that make a difference: in each of so many cells the first, lowest, highest and last."""
    if len(points) <= 4 * cells:
        return list(points)
    across = Scale(points[0][0], points[-1][0])
    kept: list[tuple[float, float]] = []
    for _, group in groupby(points, lambda point: int(across.place(point[0]) * cells)):
        cell = list(group)
        places = sorted(range(len(cell)), key=lambda place: cell[place][1])
        kept += [cell[place] for place in sorted({0, places[0], places[-1], len(cell) - 1})]
    return kept


def curves_svg(
    curves: Sequence[Curve],
    *,
    title: str,
    axis: str = "_step",
    log: bool = False,
    width: int = 320,
    height: int = 150,
) -> str:
    """A chart of curves over an axis of :func:`runfmt.scales.axis_of`, as an ``<svg>`` for HTML.

    All that was logged is escaped. With ``log`` what is not above 0 is left out; what is, is said.
    """
    shown = [(curve, [p for p in curve.points if p[1] > 0 or not log]) for curve in curves]
    if said := _left_out(curves, log=log):
        title = f"{title} ({said})"
    across = extent(x for _, points in shown for x, _ in points)
    up = extent((y for _, points in shown for _, y in points), log=log)
    inner = width - LEFT - RIGHT, height - ABOVE - BELOW

    def place(x: float, y: float) -> tuple[float, float]:
        return LEFT + across.place(x) * inner[0], ABOVE + (1 - up.place(y)) * inner[1]

    parts = [_grid(across, up, axis, (width, height), inner), _text(LEFT, 12, title, "start", bold=True)]
    parts += [_line([place(*p) for p in thinned(points, inner[0])], curve) for curve, points in shown]
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    font = 'font-family="system-ui, sans-serif" font-size="10" fill="currentColor"'
    return f'<svg {size} {font} role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'


def _left_out(curves: Sequence[Curve], *, log: bool) -> str:
    """What of some curves a chart does not show: ``2 not finite, 3 not above 0``."""
    odd = sum(curve.odd for curve in curves)
    below = sum(y <= 0 for curve in curves for _, y in curve.points) if log else 0
    said = [f"{odd:,} not finite"] * bool(odd) + [f"{below:,} not above 0"] * bool(below)
    return ", ".join(said)


def _grid(across: Scale, up: Scale, axis: str, size: tuple[int, int], inner: tuple[int, int]) -> str:
    """The lines of the grid, and what stands at them."""
    width, height = size
    parts = []
    heights = up.ticks(max(inner[1] // 25, 2))
    for tick, label in zip(heights, labels(heights), strict=True):
        y = ABOVE + (1 - up.place(tick)) * inner[1]
        parts.append(f'<path d="M{LEFT} {y:.1f}H{width - RIGHT}" {FAINT}/>')
        parts.append(_text(LEFT - 5, y + 3, label, "end"))
    along = axis_of(axis)
    places = along.ticks(across.low, across.high, max(inner[0] // 60, 2))
    for tick, label in zip(places, along.labels(places), strict=True):
        x = LEFT + across.place(tick) * inner[0]
        anchor = "end" if x > width - 24 else "middle"
        parts.append(_text(x, height - 5, label, anchor))
    return "".join(parts)


def _line(points: Sequence[tuple[float, float]], curve: Curve) -> str:
    color = escape(curve.color)
    if len(points) == 1:
        return f'<circle cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="2.5" fill="{color}"/>'
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    name = f"<title>{escape(curve.name)}</title>"
    stroke = f'fill="none" stroke="{color}" stroke-width="1.5" stroke-linejoin="round"'
    return f'<path d="M{path}" {stroke}>{name}</path>' if path else ""


def _text(x: float, y: float, text: str, anchor: str, *, bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ' fill-opacity="0.7"'
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight}>{escape(text)}</text>'
