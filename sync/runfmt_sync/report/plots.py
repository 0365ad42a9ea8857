"""Tables that say how they are drawn (R077), where they are curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from runfmt.drawing import Curve, color, curves_svg
from runfmt_sync.report.html import named, tag

__all__ = ["plot_html"]

FIELDS = {
    "wandb/line/v0": ("x", "y", "stroke"),
    "wandb/lineseries/v0": ("step", "lineVal", "lineKey"),
    "wandb/area-under-curve/v0": ("x", "y", "class"),
}
"""The charts of curves: which of their fields are x, y, and the name of the curve."""
MOST = 20_000
"""Points of a drawing."""


def plot_html(plot: Any, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """The curves of a table as a drawing; nothing, if it is to be drawn in another way or cannot be."""
    if not isinstance(plot, dict) or not isinstance(plot.get("fields"), dict):
        return ""
    words = FIELDS.get(str(plot.get("spec")), ())
    places = [_place(plot["fields"].get(word), columns) for word in words]
    if len(places) < 3 or places[0] is None or places[1] is None:
        return ""
    x, y, name = places[0], places[1], places[2]
    found: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if len(row) == len(columns) and _is_number(row[x]) and _is_number(row[y]):
            found.setdefault("" if name is None else str(row[name]), []).append((row[x], row[y]))
    if not found or sum(map(len, found.values())) > MOST:
        return ""
    curves = [Curve(key, found[key], color(number)) for number, key in enumerate(found)]
    names = (named(one.name, one.color) for one in curves if one.name)
    drawn = curves_svg(curves, title=_title(plot), axis="value", width=420, height=260)
    return drawn + tag("div", *names, class_="names")


def _place(column: Any, columns: Sequence[str]) -> int | None:
    return columns.index(column) if column in columns else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _title(plot: Mapping[str, Any]) -> str:
    texts = plot.get("strings")
    return str(texts.get("title") or "") if isinstance(texts, dict) else ""
