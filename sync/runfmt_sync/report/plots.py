"""Tables that say how they are drawn (R077): lines, points, bars, histograms and matrices."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from runfmt.drawing import Curve, color, curves_svg, extent
from runfmt.notebook import value_text
from runfmt.scales import Scale, number
from runfmt_sync.report.histograms import BELOW, HEIGHT, LEFT, WIDTH, bars, framed
from runfmt_sync.report.html import named, tag

__all__ = ["plot_html"]

MOST_POINTS, MOST_BARS, MOST_CLASSES, MOST_BINS = 20_000, 200, 100, 50
"""Of more points, bars or classes the table alone is shown; nor are more bins made of values."""
ROW, NAMES = 20, 150
"""Pixels of a bar with its room, and of the names beside the bars."""

Cells = Sequence[Sequence[Any]]
"""Of each row, what stands in the columns that the chart names."""


def plot_html(plot: Any, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """What a table is drawn as; nothing, if it does not say so, or in a way that is not known here."""
    if not isinstance(plot, dict) or not isinstance(plot.get("fields"), dict):
        return ""
    draw, words, optional = _CHARTS.get(str(plot.get("spec")), (_lines, (), ()))
    names = [plot["fields"].get(word) for word in (*words, *optional)]
    if not words or any(name not in columns for name in names[: len(words)]):
        return ""
    places = [columns.index(name) if name in columns else None for name in names]
    cells = [
        [None if place is None else row[place] for place in places]
        for row in rows
        if len(row) == len(columns)
    ]
    return draw(cells, _title(plot), [str(name) for name in names])


def _title(plot: Mapping[str, Any]) -> str:
    texts = plot.get("strings")
    return str(texts.get("title") or "") if isinstance(texts, dict) else ""


def _titled(title: str, drawn: str) -> str:
    return tag("div", tag("p", tag("strong", escape(title))) if title else "", drawn, class_="of-table")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _series(cells: Cells) -> dict[str, list[tuple[float, float]]]:
    """The points of two columns by the name in the third."""
    found: dict[str, list[tuple[float, float]]] = {}
    for x, y, name in cells:
        if _is_number(x) and _is_number(y):
            found.setdefault("" if name is None else str(name), []).append((x, y))
    return found if sum(map(len, found.values())) <= MOST_POINTS else {}


def _names(series: Mapping[str, Any]) -> str:
    names = [named(name, color(place)) for place, name in enumerate(series) if name]
    return tag("div", *names, class_="names") if names else ""


def _lines(cells: Cells, title: str, _: Sequence[str]) -> str:
    found = _series(cells)
    if not found:
        return ""
    curves = [Curve(name, sorted(points), color(place)) for place, (name, points) in enumerate(found.items())]
    drawn = curves_svg(curves, title=title, axis="value", width=420, height=260)
    return tag("div", drawn, _names(found), class_="of-table")


def _points(cells: Cells, title: str, names: Sequence[str]) -> str:
    found = _series(cells)
    if not found:
        return ""
    across, up = (
        _roomy(extent([point[side] for points in found.values() for point in points])) for side in (0, 1)
    )
    shapes = [
        f'<circle cx="{LEFT + across.place(x) * (WIDTH - LEFT):.1f}" '
        f'cy="{(1 - up.place(y)) * (HEIGHT - BELOW):.1f}" r="2.5" fill="{color(place)}" fill-opacity=".7"/>'
        for place, points in enumerate(found.values())
        for x, y in points
    ]
    said = tag("p", escape(f"{names[1]} over {names[0]}"), class_="muted")
    return _titled(title, framed("".join(shapes), across, up) + said + _names(found))


def _roomy(scale: Scale) -> Scale:
    """A scale with some room around what is on it, as far as there are numbers."""
    room = (scale.high / 2 - scale.low / 2) * 0.1
    low, high = scale.low - room, scale.high + room
    return Scale(low, high) if math.isfinite(low) and math.isfinite(high) else scale


def _bars(cells: Cells, title: str, names: Sequence[str]) -> str:
    found = [(value_text(label), value) for label, value in cells if _is_number(value)]
    if not 0 < len(found) <= MOST_BARS:
        return ""
    values = [value for _, value in found]
    across, inner = extent([0.0, *values]), WIDTH + 60 - NAMES - 70
    shapes = []
    for place, (label, value) in enumerate(found):
        ends = sorted(NAMES + across.place(end) * inner for end in (0.0, value))
        y, width = place * ROW, max(ends[1] - ends[0], 1.0)
        short = label if len(label) <= 24 else f"{label[:23]}…"
        shapes.append(f'<text x="{NAMES - 6}" y="{y + 13}" text-anchor="end">{escape(short)}</text>')
        shapes.append(
            f'<rect x="{ends[0]:.1f}" y="{y + 2}" width="{width:.1f}" height="{ROW - 5}" fill="{color(0)}"/>'
        )
        shapes.append(f'<text x="{ends[1] + 5:.1f}" y="{y + 13}">{number(float(value))}</text>')
    size = f'width="{WIDTH + 60}" height="{len(found) * ROW}"'
    font = 'font-family="system-ui,sans-serif" font-size="10" fill="currentColor"'
    said = tag("p", escape(names[1]), class_="muted")
    return _titled(title, f"<svg {size} {font}>{''.join(shapes)}</svg>" + said)


def _histogram(cells: Cells, title: str, names: Sequence[str]) -> str:
    values = [float(value) for (value,) in cells if _is_number(value)]
    if not values or not max(map(abs, values)) < 1e300:
        return ""
    count = min(max(math.ceil(math.sqrt(len(values))), 5), MOST_BINS)
    try:
        counts, edges = np.histogram(values, bins=count if min(values) < max(values) else 1)
    except ValueError:  # no number lies between the least and the greatest
        return ""
    drawn = bars({"bins": edges.tolist(), "values": counts.tolist()})
    return _titled(title, drawn + tag("p", escape(names[0]), class_="muted"))


def _matrix(cells: Cells, title: str, names: Sequence[str]) -> str:
    counts = {
        (value_text(row), value_text(column)): float(count)
        for row, column, count in cells
        if _is_number(count) and count >= 0
    }
    classes = list(dict.fromkeys(name for pair in counts for name in pair))
    if not 0 < len(classes) <= MOST_CLASSES:
        return ""
    most = max(counts.values()) or 1.0
    head = tag("tr", tag("th", escape(f"{names[0]} \\ {names[1]}")), *(tag("th", escape(c)) for c in classes))
    rows = [
        tag(
            "tr",
            tag("th", escape(row)),
            *(_count(counts.get((row, column), 0.0), most) for column in classes),
        )
        for row in classes
    ]
    return _titled(title, tag("div", tag("table", head, *rows, class_="matrix"), class_="scroll"))


def _count(count: float, most: float) -> str:
    deep = f"background:color-mix(in srgb, {color(0)} {100 * count / most:.0f}%, transparent)"
    return tag("td", number(count), style=deep, class_="deep" if count > most / 2 else None)


_CHARTS: dict[str, tuple[Callable[[Cells, str, Sequence[str]], str], tuple[str, ...], tuple[str, ...]]] = {
    "wandb/line/v0": (_lines, ("x", "y"), ("stroke",)),
    "wandb/lineseries/v0": (_lines, ("step", "lineVal"), ("lineKey",)),
    "wandb/area-under-curve/v0": (_lines, ("x", "y"), ("class",)),
    "wandb/scatter/v0": (_points, ("x", "y"), ("name",)),
    "wandb/bar/v0": (_bars, ("label", "value"), ()),
    "wandb/histogram/v0": (_histogram, ("value",), ()),
    "wandb/confusion_matrix/v1": (_matrix, ("Actual", "Predicted", "nPredictions"), ()),
}
"""Of each chart: how it is drawn, the words of its columns, and those that it may do without."""
