"""Charts as tables: the numbers of a chart, and beside them what is drawn over what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from runfmt.arrays import numpy, to_numpy
from runfmt.errors import UsageError
from runfmt.tables import Table

__all__ = [
    "bar",
    "confusion_matrix",
    "histogram",
    "line",
    "line_series",
    "plot_table",
    "pr_curve",
    "roc_curve",
    "scatter",
]

MAX_POINTS = 10_000
"""Points of a curve; a longer one is thinned evenly."""
_AREA = "wandb/area-under-curve/v0"


def plot_table(
    vega_spec_name: str,
    data_table: Table,
    fields: Mapping[str, Any],
    string_fields: Mapping[str, Any] | None = None,
    split_table: bool = False,
) -> Table:
    """A table that says how it is drawn: by which chart, with which column as what, with which texts.

    ``split_table`` is accepted and means nothing. Raises ``TypeError`` for what is no ``Table``.
    """
    if not isinstance(data_table, Table):
        raise TypeError(f"plot_table takes a runfmt.Table, not {type(data_table).__name__}")
    columns = {word: str(column) for word, column in fields.items() if column is not None}  # R077
    said = {"spec": vega_spec_name, "fields": columns, "strings": dict(string_fields or {})}
    return Table(data_table.columns, data_table.data, plot=said)


def line(
    table: Table, x: str, y: str, stroke: str | None = None, title: str = "", split_table: bool = False
) -> Table:
    """A line through the points of two columns, or one a value of the column ``stroke``."""
    return plot_table("wandb/line/v0", table, {"x": x, "y": y, "stroke": stroke}, {"title": title})


def scatter(table: Table, x: str, y: str, title: str = "", split_table: bool = False) -> Table:
    """The points of two columns."""
    return plot_table("wandb/scatter/v0", table, {"x": x, "y": y}, {"title": title})


def bar(table: Table, label: str, value: str, title: str = "", split_table: bool = False) -> Table:
    """A bar for each row, of the height of one column, named by another."""
    return plot_table("wandb/bar/v0", table, {"label": label, "value": value}, {"title": title})


def histogram(table: Table, value: str, title: str = "", split_table: bool = False) -> Table:
    """How often the values of a column occur."""
    return plot_table("wandb/histogram/v0", table, {"value": value}, {"title": title})


def line_series(
    xs: Sequence[Any],
    ys: Sequence[Sequence[Any]],
    keys: Sequence[str] | None = None,
    title: str = "",
    xname: str = "x",
    split_table: bool = False,
) -> Table:
    """Several lines: ``ys`` is a list of lines, ``xs`` their common positions, or a list of such for each."""
    lines = [list(one) for one in ys]
    common = not isinstance(next(iter(xs), 0), Iterable) or isinstance(xs[0], (str, bytes))
    positions = [list(xs)] * len(lines) if common else [list(one) for one in xs]
    names = [f"line_{index}" for index in range(len(lines))] if keys is None else list(keys)
    if not len(positions) == len(lines) == len(names):
        raise UsageError(f"{len(lines)} lines have {len(positions)} rows of positions and {len(names)} keys")
    rows = [
        [x, name, y]
        for name, across, up in zip(names, positions, lines, strict=True)
        for x, y in zip(across, up, strict=False)
    ]
    fields = {"step": "step", "lineKey": "lineKey", "lineVal": "lineVal"}
    table = Table(["step", "lineKey", "lineVal"], rows)
    return plot_table("wandb/lineseries/v0", table, fields, {"title": title, "xname": xname})


def confusion_matrix(
    probs: Any = None,
    y_true: Any = None,
    preds: Any = None,
    class_names: Sequence[str] | None = None,
    title: str = "Confusion Matrix",
    split_table: bool = False,
) -> Table:
    """How often each class was taken for each: from predictions, or probabilities ``(N, classes)``.

    With ``class_names`` the classes are the numbers of these names. Raises ``UsageError``.
    """
    if (probs is None) == (preds is None) or y_true is None:
        raise UsageError("confusion_matrix needs y_true, and either probs or preds")
    taken = to_numpy(probs).argmax(axis=1) if preds is None else to_numpy(preds)
    actual, predicted = to_numpy(y_true).tolist(), taken.tolist()
    if len(actual) != len(predicted):
        raise UsageError(f"{len(predicted)} predictions do not match {len(actual)} true classes")
    met = {*actual, *predicted}
    classes = sorted(met) if class_names is None else list(range(len(class_names)))
    if not met <= set(classes):
        raise UsageError(
            f"classes {sorted(met - set(classes))} have no name among the {len(classes)} class_names"
        )
    names = [f"Class_{index + 1}" for index in range(len(classes))] if class_names is None else class_names
    counts = dict.fromkeys(((one, other) for one in classes for other in classes), 0)
    for pair in zip(actual, predicted, strict=True):
        counts[pair] += 1
    name = dict(zip(classes, names, strict=True))
    columns = ["Actual", "Predicted", "nPredictions"]
    table = Table(columns, [[name[one], name[other], count] for (one, other), count in counts.items()])
    return plot_table("wandb/confusion_matrix/v1", table, {key: key for key in columns}, {"title": title})


def roc_curve(
    y_true: Any,
    y_probas: Any,
    labels: Sequence[str] | None = None,
    classes_to_plot: Sequence[Any] | None = None,
    title: str = "ROC Curve",
    split_table: bool = False,
) -> Table:
    """True over false positive rate, a curve a class.

    ``y_probas`` is ``(N, classes)``, a column a class, or ``(N,)`` of the higher of two
    classes; ``labels`` name the classes. Raises ``UsageError``.
    """
    curves = _curves(y_true, y_probas, labels, classes_to_plot, _roc)
    texts = {"title": title, "x-axis-title": "False positive rate", "y-axis-title": "True positive rate"}
    table = Table(["class", "fpr", "tpr"], curves)
    return plot_table(_AREA, table, {"x": "fpr", "y": "tpr", "class": "class"}, texts)


def pr_curve(
    y_true: Any,
    y_probas: Any,
    labels: Sequence[str] | None = None,
    classes_to_plot: Sequence[Any] | None = None,
    interp_size: int = 21,
    title: str = "Precision-Recall Curve",
    split_table: bool = False,
) -> Table:
    """Precision at ``interp_size`` even recalls, a curve a class; arguments as in :func:`roc_curve`."""
    curves = _curves(
        y_true, y_probas, labels, classes_to_plot, lambda positive, scores: _pr(positive, scores, interp_size)
    )
    texts = {"title": title, "x-axis-title": "Recall", "y-axis-title": "Precision"}
    table = Table(["class", "precision", "recall"], curves)
    return plot_table(_AREA, table, {"x": "recall", "y": "precision", "class": "class"}, texts)


def _curves(
    y_true: Any, y_probas: Any, labels: Any, chosen: Any, curve: Callable[[Any, Any], tuple[Any, Any]]
) -> list[list[Any]]:
    """Rows of class and the two coordinates, for each class that is met and chosen."""
    np = numpy("a curve")
    actual, scores = to_numpy(y_true), to_numpy(y_probas)
    if actual.ndim != 1 or len(actual) != len(scores):
        raise UsageError(
            f"y_true {actual.shape} and y_probas {scores.shape} must be of the same number of samples"
        )
    classes = np.unique(actual)
    if scores.ndim == 1:
        scores = np.stack([1 - scores, scores], axis=1)
    numbered = actual.dtype.kind in "biu" and (
        not len(classes) or 0 <= classes[0] <= classes[-1] < scores.shape[1]
    )
    if not numbered and len(classes) > scores.shape[1]:
        raise UsageError(f"y_true has {len(classes)} classes and y_probas only {scores.shape[1]} columns")
    rows: list[list[Any]] = []
    for index, one in enumerate(classes.tolist()):
        if chosen is not None and one not in list(chosen):
            continue
        name = labels[int(one)] if labels is not None and numbered else one
        first, second = curve(actual == one, scores[:, int(one) if numbered else index])
        rows += [[name, x, y] for x, y in zip(first.round(3).tolist(), second.round(3).tolist(), strict=True)]
    return rows


def _counts(is_positive: Any, scores: Any) -> tuple[Any, Any]:
    """True and false positives at each threshold, from the highest score down."""
    np = numpy("a curve")
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.nonzero(np.diff(scores[order]))[0], len(scores) - 1)
    true = np.cumsum(is_positive[order])[ends]
    return true, 1 + ends - true


def _roc(is_positive: Any, scores: Any) -> tuple[Any, Any]:
    np = numpy("a curve")
    true, false = (np.concatenate([[0], counted]) for counted in _counts(is_positive, scores))
    # A point on the straight line between its neighbours says nothing.
    bends = np.concatenate([[True], (np.diff(false, 2) != 0) | (np.diff(true, 2) != 0), [True]])[: len(true)]
    kept = np.nonzero(bends)[0]
    kept = kept[np.unique(np.linspace(0, len(kept) - 1, min(len(kept), MAX_POINTS)).astype(int))]
    return false[kept] / max(false[-1], 1), true[kept] / max(true[-1], 1)


def _pr(is_positive: Any, scores: Any, points: int) -> tuple[Any, Any]:
    """Precision and recall: at a recall, the best precision of that recall and above."""
    np = numpy("a curve")
    true, false = _counts(is_positive, scores)
    precision, recall = true / (true + false), true / max(true[-1], 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    asked = np.linspace(0, 1, points)[::-1]
    at = np.minimum(np.searchsorted(recall, asked, side="left"), len(recall) - 1)
    return best[at], asked
