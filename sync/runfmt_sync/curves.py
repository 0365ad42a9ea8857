"""Points to what a chart needs of them: pure functions on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from runfmt_sync.index import Points

__all__ = ["Curve", "against", "extent", "over_runtime", "over_step", "over_time", "reduce"]

MARKS = 100
"""So many values that are not finite are told one by one; of more, those in so many parts of the range."""
WORDS = ("NaN", "Infinity", "-Infinity")

XY = tuple[Any, Any]
"""Two float64 arrays of one length, sorted by the first, which is finite."""


@dataclass(frozen=True)
class Curve:
    """What a chart draws. Each bucket that is not empty has a place in the arrays; a curve that
    is not reduced has all points, and no ``low``, ``high`` and ``bucket``.

    ``x`` is that of the first point, ``y`` the mean; both are finite.
    """

    count: int
    """How many points there are in the range, also those that are not finite."""
    x: Any
    y: Any
    low: Any
    high: Any
    bucket: Any
    marks: list[tuple[float, str, int]]
    """Where values are not finite, what they are (of :data:`WORDS`), and how many are told of there."""


def over_step(points: Points) -> XY:
    """Values over steps."""
    return points.step.astype(np.float64), points.value


def over_time(points: Points) -> XY:
    """Values over Unix time."""
    return _sorted(points.time, points.value)


def over_runtime(points: Points, begin: float) -> XY:
    """Values over the seconds since a Unix time: that of the run's first row."""
    return _sorted(points.time - begin, points.value)


def against(points: Points, axis: Points) -> XY:
    """Values over those that another metric has at the same steps."""
    _, here, there = np.intersect1d(points.step, axis.step, assume_unique=True, return_indices=True)
    return _sorted(axis.value[there], points.value[here])


def _sorted(x: Any, y: Any) -> XY:
    is_finite = np.isfinite(x)
    if not is_finite.all():
        x, y = x[is_finite], y[is_finite]
    if (x[1:] < x[:-1]).any():
        order = np.argsort(x, kind="stable")
        x, y = x[order], y[order]
    return x, y


def extent(curves: list[XY]) -> tuple[float, float] | None:
    """The least and the greatest x of all curves, None if there is no point."""
    some = [x for x, _ in curves if len(x)]
    return (float(min(x[0] for x in some)), float(max(x[-1] for x in some))) if some else None


def reduce(curve: XY, low: float, high: float, buckets: int) -> Curve:
    """The points from ``low`` to ``high``; more than ``buckets`` of them go into that many of equal width."""
    x, y = curve
    inside = slice(np.searchsorted(x, low, "left"), np.searchsorted(x, high, "right"))
    x, y = x[inside], y[inside]
    count = len(x)
    is_finite = np.isfinite(y)
    marks = []
    if not is_finite.all():
        marks = _marks(x[~is_finite], y[~is_finite], low, high)
        x, y = x[is_finite], y[is_finite]
    if count <= buckets:
        return Curve(count, x, y, None, None, None, marks)
    starts: Any = np.append(np.searchsorted(x, _edges(low, high, buckets), "left"), len(x))
    starts[0] = 0
    bucket = np.flatnonzero(starts[1:] > starts[:-1])
    first = starts[bucket]
    sizes = starts[bucket + 1] - first
    if not len(bucket):
        return Curve(count, x, y, y, y, bucket, marks)
    least, most = np.minimum.reduceat(y, first), np.maximum.reduceat(y, first)
    mean = np.add.reduceat(y / np.repeat(sizes, sizes), first)  # a sum might not be finite
    return Curve(count, x[first], np.clip(mean, least, most), least, most, bucket, marks)


def _edges(low: float, high: float, parts: int) -> Any:
    """Where the parts of a range begin; halved, the range is never infinite."""
    return 2 * np.linspace(low / 2, high / 2, parts, endpoint=False)


def _marks(x: Any, y: Any, low: float, high: float) -> list[tuple[float, str, int]]:
    """Values that are not finite: each, or of many the first of a kind in each part of the range (H075)."""
    many = len(x) > MARKS
    parts: Any = np.searchsorted(_edges(low, high, MARKS), x, "right") if many else np.arange(len(x))
    kinds = np.where(np.isnan(y), 0, np.where(y > 0, 1, 2))
    _, firsts, counts = np.unique(3 * parts + kinds, return_index=True, return_counts=True)
    return sorted(
        (x[first].item(), WORDS[kinds[first]], count.item())
        for first, count in zip(firsts, counts, strict=True)
    )
