"""Charts without a script: round ticks, labels that say what they mean, nothing that breaks the page."""

import math
import re
import xml.dom.minidom

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runfmt.drawing import Curve, curves_svg, thinned
from runfmt.scales import axis_of, duration, labels, linear_ticks, log_ticks, number

HOSTILE = "</title><script>alert(1)</script>\"'&"


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0, 1, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (-3, 1e6, ["0", "500k", "1M"]),
        (1000.001, 1000.0015, ["1000.001", "1000.0011", "1000.0012", "1000.0013", "1000.0014", "1000.0015"]),
        (99_000, 101_000, ["99k", "99.5k", "100k", "100.5k", "101k"]),
        (1e-9, 3e-9, ["1e-9", "1.5e-9", "2e-9", "2.5e-9", "3e-9"]),
        (5, 5, ["5"]),
    ],
)
def test_ticks_are_round_and_labels_tell_them_apart(low, high, said):
    assert labels(linear_ticks(low, high, 5)) == said


@given(
    st.floats(-2e9, 2e9),
    st.floats(1e-5, 1e9),
    st.integers(1, 12),
    st.sampled_from(["_timestamp", "_runtime", "loss"]),
)
@example(1795798522.624283, 5e-5, 5, "_timestamp")
def test_ticks_lie_on_the_axis(low, span, count, x):
    ticks = axis_of(x).ticks(low, low + span, count)
    assert 1 <= len(ticks) <= 3 * count + 2
    assert all(low - span / 1e3 <= tick <= low + span + span / 1e3 for tick in ticks)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.001, 1, [0.001, 0.01, 0.1, 1]),
        (1, 9, [1, 2, 5]),
        (1e-300, 1e300, [1e-300, 1e-179, 1e-58, 1e63, 1e184]),
    ],
)
def test_ticks_of_a_logarithmic_scale_are_powers_where_there_are_some(low, high, ticks):
    assert [float(f"{tick:.6g}") for tick in log_ticks(low, high, 5)] == ticks


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.1 + 0.2, "0.3"),
        (60_000, "60,000"),
        (1.5e-7, "1.5e-7"),
        (math.nan, "NaN"),
        (-math.inf, "-∞"),
        (True, "1"),
        (1 / 3, "0.33333"),
    ],
)
def test_numbers_are_said_shortly(value, said):
    assert number(value) == said


def test_durations_are_said_in_their_two_largest_units():
    assert [*map(duration, (0.333, 59.9, 61, 3600, 90_000, -70))] == [
        "0.33s",
        "1m",
        "1m 1s",
        "1h",
        "1d 1h",
        "-1m 10s",
    ]


def test_axis_of_time_has_whole_minutes():
    along = axis_of("_runtime")
    assert along.labels(along.ticks(0, 3000, 5)) == ["0s", "10m", "20m", "30m", "40m", "50m"]


@pytest.mark.parametrize(("high", "said"), [(1, "0 1"), (2, "0 1 2"), (7, "0 2 4 6"), (0, "0")])
def test_there_is_no_half_step(high, said):
    along = axis_of("_step")
    assert " ".join(along.labels(along.ticks(0, high, 6))) == said


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.lists(st.tuples(finite, finite), max_size=20),
    st.booleans(),
    st.sampled_from(["_step", "_timestamp", "_runtime", "loss"]),
)
def test_any_finite_numbers_make_a_chart(points, log, axis):
    svg = curves_svg([Curve("loss", sorted(points))], title="loss", axis=axis, log=log)
    xml.dom.minidom.parseString(svg)
    assert not re.search(r"\b(nan|inf)\b", svg)


def test_what_was_logged_stays_text_in_a_chart():
    svg = curves_svg([Curve(HOSTILE, [(0, 1), (1, 2)], HOSTILE)], title=HOSTILE)
    document = xml.dom.minidom.parseString(svg)
    assert not document.getElementsByTagName("script")
    assert document.getElementsByTagName("title")[0].firstChild.data == HOSTILE


def test_what_is_left_out_of_a_chart_is_said():
    svg = curves_svg([Curve("a", [(0, 1), (1, -1), (2, 0), (3, 5)], odd=3)], title="a", log=True)
    assert "a (3 not finite, 2 not above 0)" in svg
    assert "not" not in curves_svg([Curve("a", [(0, 1), (1, -1)])], title="a")


def test_thinned_curve_keeps_its_peaks():
    points = [(float(x), 0.0) for x in range(10_000)]
    points[4321], points[8765] = (4321.0, 9.0), (8765.0, -9.0)
    kept = thinned(points, 50)
    assert len(kept) < 4 * 50
    assert {points[0], points[4321], points[8765], points[-1]} <= set(kept)
