"""Charts as tables."""

from itertools import pairwise

import numpy as np
import pytest

from runfmt import plot
from runfmt.errors import UsageError
from runfmt.tables import Table
from runfmt.values import normalise_row


def test_a_chart_is_a_table_that_says_how_it_is_drawn(sink):
    table = Table(["x", "y"], [[1, 2]])
    charts = {
        "line": plot.line(table, "x", "y", title="t"),
        "scatter": plot.scatter(table, "x", "y"),
        "bar": plot.bar(table, "x", "y"),
        "histogram": plot.histogram(table, "x"),
        "own": plot.plot_table("team/chart", table, {"a": "x"}, {"title": "t"}),
    }
    found = normalise_row(charts, sink)
    assert {value["_type"] for value in found.values()} == {"table-file"}
    assert found["line"]["plot"]["fields"] == {"x": "x", "y": "y"}
    assert found["own"]["plot"] == {"spec": "team/chart", "fields": {"a": "x"}, "strings": {"title": "t"}}
    assert charts["bar"].data == [[1, 2]]
    with pytest.raises(TypeError, match=r"runfmt\.Table"):
        plot.line([[1, 2]], "x", "y")


def test_line_series_share_or_have_their_positions():
    shared = plot.line_series([0, 1], [[5, 6], [7, 8]], keys=["a", "b"])
    assert shared.data == [[0, "a", 5], [1, "a", 6], [0, "b", 7], [1, "b", 8]]
    own = plot.line_series(np.array([[0, 1], [2, 3]]), [[5, 6], [7, 8]])
    assert own.data[2:] == [[2, "line_1", 7], [3, "line_1", 8]]
    with pytest.raises(UsageError, match="3 keys"):
        plot.line_series([0], [[1], [2]], keys=["a", "b", "c"])


def test_confusion_matrix_counts_each_pair():
    table = plot.confusion_matrix(y_true=[0, 0, 1], preds=np.array([0, 1, 1]), class_names=["cat", "dog"])
    assert table.data == [["cat", "cat", 1], ["cat", "dog", 1], ["dog", "cat", 0], ["dog", "dog", 1]]
    by_probability = plot.confusion_matrix(probs=[[0.9, 0.1], [0.2, 0.8]], y_true=[0, 1])
    assert [row[2] for row in by_probability.data] == [1, 0, 0, 1]
    for given in (
        {"y_true": [0]},
        {"y_true": [0], "preds": [0, 1]},
        {"y_true": [5], "preds": [0], "class_names": "a"},
    ):
        with pytest.raises(UsageError):
            plot.confusion_matrix(**given)


def area(points):
    """Area under a curve of rows (class, x, y)."""
    return sum((b[1] - a[1]) * (a[2] + b[2]) / 2 for a, b in pairwise(points))


def test_roc_curve_encloses_the_share_of_ordered_pairs():
    random = np.random.default_rng(0)
    actual = random.integers(0, 2, 500)
    scores = (random.random(500) + actual * 0.5).round(2) / 2
    curve = plot.roc_curve(actual, np.stack([1 - scores, scores], axis=1), labels=["no", "yes"])
    points = [row for row in curve.data if row[0] == "yes"]
    pairs = scores[actual == 1][:, None] - scores[actual == 0]
    assert area(points) == pytest.approx((pairs > 0).mean() + (pairs == 0).mean() / 2, abs=2e-3)
    assert (points[0], points[-1]) == (["yes", 0, 0], ["yes", 1, 1])
    assert plot.roc_curve(actual, scores, classes_to_plot=[1]).data[-1] == [1, 1, 1]


def test_roc_curve_leaves_out_points_on_straight_lines_and_thins_long_curves():
    assert plot.roc_curve([1] * 50 + [0] * 50, np.linspace(1, 0, 100), classes_to_plot=[1]).data == [
        [1, 0, 0],
        [1, 0, 1],
        [1, 1, 1],
    ]
    random = np.random.default_rng(0)
    long = plot.roc_curve(random.integers(0, 2, 100_000), random.random(100_000), classes_to_plot=[1])
    assert len(long.data) <= plot.MAX_POINTS


def test_pr_curve_gives_the_best_precision_at_a_recall():
    curve = plot.pr_curve([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1], classes_to_plot=[1], interp_size=3)
    assert curve.columns == ["class", "precision", "recall"]
    assert curve.data == [[1, 0.667, 1.0], [1, 1.0, 0.5], [1, 1.0, 0.0]]


def test_classes_are_columns_even_if_one_is_not_met():
    probabilities = np.array([[0.1, 0.2, 0.7], [0.8, 0.1, 0.1]])
    curve = plot.roc_curve([2, 0], probabilities, labels=["a", "b", "c"])
    assert {row[0] for row in curve.data} == {"a", "c"}
    assert area([row for row in curve.data if row[0] == "c"]) == 1
    with pytest.raises(UsageError, match="same number of samples"):
        plot.roc_curve([0, 1], probabilities[:1])
    with pytest.raises(UsageError, match="columns"):
        plot.roc_curve(np.array(["x", "y"]), probabilities[:, :1])
