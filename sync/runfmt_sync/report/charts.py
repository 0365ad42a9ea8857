"""Charts of metrics: their points for the script, and a drawing for who has none."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from html import escape
from typing import Any

import numpy as np

from runfmt.drawing import Curve, color, curves_svg, thinned
from runfmt.scales import axis_of
from runfmt_sync.curves import Curve as Reduced
from runfmt_sync.curves import extent, reduce
from runfmt_sync.measured import AXES, Measured
from runfmt_sync.report.html import absent, named, tag
from runfmt_sync.report.template import Panel

__all__ = ["Charts"]

MOST_POINTS, LEAST_POINTS, ALL_POINTS = 500, 60, 100_000
"""Points of a curve, and of all curves of a panel together, about."""
STILL = 100
"""Cells of a drawing."""
MOST_KEYS = 200
"""Charts of a panel."""


class Charts:
    """The panel ``chart``; ``data`` is what the script draws of those that were rendered."""

    def __init__(self, runs: Sequence[Measured]) -> None:
        self._runs = runs
        self.data: list[dict[str, Any]] = []

    def html(self, panel: Panel) -> str:
        """A chart for each key that is meant."""
        keys = panel.matching(self._numbers)
        if not keys:
            return absent(f"no run has a number {', '.join(panel.keys)}")
        shown, left = keys[:MOST_KEYS], len(keys) - MOST_KEYS
        figures = "".join(self._figure(key, panel, len(shown)) for key in shown)
        more = absent(f"and {left:,} more metrics") if left > 0 else ""
        return self._legend() + tag("div", figures, class_="grid") + more

    @cached_property
    def _numbers(self) -> list[str]:
        """The metrics that charts may be of: the hidden ones are left out (R054)."""
        found: set[str] = set()
        for one in self._runs:
            for key in one.index.numbers():
                said = one.index.definitions().match(key)
                if not key.startswith("_") and not (said and said.hidden):
                    found.add(key)
        return sorted(found)

    def _legend(self) -> str:
        names = (named(one.title, color(number), number) for number, one in enumerate(self._runs))
        return tag("div", *names, class_="names")

    def _figure(self, key: str, panel: Panel, charts: int) -> str:
        """A chart of a key, reduced to what there is room for."""
        axis, log = self._axis(key, panel), "log" in panel.options
        curves = [one.curve(key, axis) for one in self._runs]
        span = extent(curves) or (0.0, 1.0)
        points = min(max(ALL_POINTS // (len(curves) * charts), LEAST_POINTS), MOST_POINTS)
        lines, still = [], []
        for number, curve in enumerate(curves):
            if len(curve[0]):
                line = self._line(number, reduce(curve, *span, points))
                pairs = thinned([*zip(line["x"], line["y"], strict=True)], STILL)
                lines.append(line)
                still.append(Curve(line["name"], pairs, line["color"], int((~np.isfinite(curve[1])).sum())))
        name, place = axis_of(axis).name, len(self.data)
        about = {"title": key, "axis": axis, "axisName": name, "log": log}
        self.data.append({**about, "smooth": panel.number("smooth", 0, 0, 0.999), "lines": lines})
        drawn = curves_svg(still, title=f"{key} over {name}", axis=axis, log=log, width=360, height=190)
        words = tag("span", escape(key), class_="grow"), tag("span", escape(name), class_="axis-name")
        caption, below = tag("figcaption", *words), tag("div", drawn, class_="still")
        return tag("figure", caption, below, class_="panel", data_chart=place)

    def _line(self, number: int, curve: Reduced) -> dict[str, Any]:
        """A curve as the script takes it."""
        line: dict[str, Any] = {"id": str(number), "name": self._runs[number].title, "color": color(number)}
        line |= {"x": _numbers(curve.x, 15), "y": _numbers(curve.y), "marks": curve.marks}
        is_reduced = curve.low is not None
        return line | ({"min": _numbers(curve.low), "max": _numbers(curve.high)} if is_reduced else {})

    def _axis(self, key: str, panel: Panel) -> str:
        """What lies along: what the panel says, else what the runs defined (R080), else the step."""
        if x := panel.options.get("x"):
            return AXES.get(x, x)
        said = (one.index.definitions().match(key) for one in self._runs)
        return next(
            (one.step_metric for one in said if one and one.step_metric and one.step_metric != key), "_step"
        )


def _numbers(values: Any, digits: int = 7) -> list[float]:
    """Numbers in so many digits, which is more than a chart shows."""
    return [float(f"{value:.{digits}g}") for value in values.tolist()]
