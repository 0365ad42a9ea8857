"""What a chart needs of points."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runfmt_sync.curves import against, extent, over_runtime, over_step, over_time, reduce
from runfmt_sync.index import Points

values = st.floats(width=64) | st.sampled_from([1e308, -1e308, math.nan, math.inf])
sorted_points = st.lists(st.tuples(st.floats(-1e300, 1e300), values), max_size=60).map(sorted)


def points(steps, found, times=None):
    times = [float(step) for step in steps] if times is None else times
    return Points(np.array(steps, dtype=np.int64), np.array(times, dtype=float), np.array(found, dtype=float))


def plain(curve):
    return tuple(array.tolist() for array in curve)


@given(sorted_points, st.integers(1, 12), st.floats(-1e300, 1e300), st.floats(-1e300, 1e300))
def test_buckets_hold_what_lies_in_them(pairs, buckets, one, other):
    low, high = sorted((one, other))
    x, y = (np.array([pair[i] for pair in pairs], dtype=float) for i in (0, 1))
    curve = reduce((x, y), low, high, buckets)
    inside = [(x, y) for x, y in pairs if low <= x <= high]
    finite = [(x, y) for x, y in inside if math.isfinite(y)]
    assert curve.count == len(inside)
    assert [x for x, _, _ in curve.marks] == [x for x, y in inside if not math.isfinite(y)]
    if len(inside) <= buckets:
        assert list(zip(curve.x.tolist(), curve.y.tolist(), strict=True)) == finite
        assert curve.bucket is None
        return
    edges = [2 * edge for edge in np.linspace(low / 2, high / 2, buckets, endpoint=False).tolist()]
    places = [max(0, sum(edge <= x for edge in edges) - 1) for x, _ in finite]
    assert curve.bucket.tolist() == sorted(set(places))
    for number, x, y, least, most in zip(
        *(a.tolist() for a in (curve.bucket, curve.x, curve.y, curve.low, curve.high)), strict=True
    ):
        there = [pair for pair, place in zip(finite, places, strict=True) if place == number]
        assert (x, least, most) == (there[0][0], min(y for _, y in there), max(y for _, y in there))
        assert least <= y <= most
        mean = math.fsum(y / len(there) for _, y in there)
        assert y == pytest.approx(mean, rel=1e-9, abs=1e-9 * max(abs(least), abs(most)))


def test_bucket_of_equal_x_is_the_first():
    curve = reduce((np.zeros(5), np.arange(5.0)), 0, 0, 2)
    assert (curve.count, plain((curve.x, curve.y, curve.bucket))) == (5, ([0.0], [2.0], [1]))


ODD = np.array([math.nan, math.inf, -math.inf, 1] * 100)


def test_marks_are_told_apart_and_bounded():
    curve = reduce((np.arange(400.0), ODD), 0, 399, 1000)
    assert curve.marks[:3] == [(0.0, "NaN", 1), (1.0, "Infinity", 1), (2.0, "-Infinity", 1)]
    curve = reduce((np.arange(40_000.0), np.repeat(ODD, 100)), 0, 39_999, 1000)
    assert curve.marks[:3] == [(0.0, "NaN", 100), (100.0, "Infinity", 100), (200.0, "-Infinity", 100)]
    assert len(curve.marks) == 300
    assert sum(count for *_, count in curve.marks) == 30_000
    assert len(reduce((np.zeros(400), ODD), 0, 0, 1000).marks) == 3
    assert set(curve.y.tolist()) == {1}


def test_axes():
    found = points([1, 3, 5], [10, 30, 50], [100.0, 103.0, 101.0])
    assert plain(over_step(found)) == ([1, 3, 5], [10, 30, 50])
    assert plain(over_time(found)) == ([100, 101, 103], [10, 50, 30])
    assert plain(over_runtime(found, 100.0)) == ([0, 1, 3], [10, 50, 30])
    epoch = points([1, 2, 5, 7], [0.5, 0.6, 0.2, 9])
    assert plain(against(found, epoch)) == ([0.2, 0.5], [50, 10])
    assert plain(against(found, points([1, 3, 5], [math.nan, 1, math.inf]))) == ([1], [30])


def test_extent_is_over_all_curves():
    assert extent(
        [over_step(points([4, 9], [0, 0])), over_step(points([], [])), over_step(points([1], [0]))]
    ) == (1, 9)
    assert extent([over_step(points([], []))]) is None
