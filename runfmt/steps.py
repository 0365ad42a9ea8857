"""Steps, metric definitions as the user gives them, and the step metrics that a row lacks. Pure."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

from runfmt.errors import UsageError
from runfmt.layout import MAX_STEP
from runfmt.rows import RESERVED, leaves, split_path
from runfmt.summary import GOALS, OPERATIONS, Definition, Definitions

__all__ = ["StepMetrics", "checked_definition", "put", "valid_step"]


def valid_step(step: Any) -> int:
    """A step as an ``int >= 0``; raises ``TypeError`` for what is no integer, ``UsageError`` out of range."""
    if isinstance(step, bool):
        raise TypeError("step must be an integer, not bool")
    try:
        number = operator.index(step)
    except TypeError:
        raise TypeError(f"step must be an integer, not {type(step).__name__} ({step!r})") from None
    if not 0 <= number <= MAX_STEP:
        raise UsageError(f"step {number} is out of range: use 0 to 2^53-1")
    return number


class StepMetrics:
    """Gives a row that lacks a step metric its last value, 0 if there was none.

    A step metric that stands in the same open row is left as it is.
    """

    def __init__(self) -> None:
        self.definitions = Definitions()
        self.values: dict[str, Any] = {}
        self._in_open_row: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self.values)

    def define(self, said: Definition, last_value: Any, *, overwrite: bool) -> None:
        """Take a definition; ``last_value`` is the latest value of its step metric, None if there is none."""
        self.definitions.add(said, overwrite=overwrite)
        if said.step_metric and said.step_sync:
            self.values.setdefault(said.step_metric, 0 if last_value is None else last_value)

    def close_row(self) -> None:
        """The open row is complete."""
        self._in_open_row.clear()

    def fill(self, row: dict[str, Any]) -> None:
        """Add to a row the step metrics that it needs, and remember those that it has."""
        given = {key: value for key, value in row.items() if key not in RESERVED and isinstance(key, str)}
        paths = dict(leaves(given))
        for name in self.values.keys() & paths.keys():
            self.values[name] = paths[name]
            self._in_open_row.add(name)
        for name in self._needed(paths):
            if name not in paths and name not in self._in_open_row:
                put(row, split_path(name), self.values[name])

    def _needed(self, paths: Iterable[str]) -> list[str]:
        said = (self.definitions.match(path) for path in paths)
        return list({one.step_metric: None for one in said if one and one.step_metric and one.step_sync})


def put(row: dict[str, Any], keys: list[str], value: Any) -> None:
    """Set a value at its keys, in a row whose nested dicts are the caller's and are not changed."""
    key, *rest = keys
    if rest:
        inner = row.get(key)
        row[key] = dict(inner) if isinstance(inner, dict) else {}
        put(row[key], rest, value)
    else:
        row[key] = value


def checked_definition(
    name: Any, step_metric: Any, step_sync: Any, hidden: Any, summary: Any, goal: Any, overwrite: Any
) -> Definition:
    """What ``define_metric`` was told; raises ``TypeError`` or ``UsageError`` for what cannot be meant."""
    metric = step_metric.name if isinstance(step_metric, Definition) else step_metric
    for what, text in (("name", name), ("step_metric", metric), ("summary", summary), ("goal", goal)):
        if not isinstance(text, str) and (text is not None or what == "name"):
            raise TypeError(f"define_metric({what}=...) takes text, not {type(text).__name__}")
    for what, flag in (("step_sync", step_sync), ("hidden", hidden), ("overwrite", overwrite)):
        if flag is not None and not isinstance(flag, bool):
            raise TypeError(f"define_metric({what}=...) takes True or False, not {flag!r}")
    if not name or "*" in name[:-1]:
        raise UsageError(f"define_metric({name!r}): name a metric, with * only at the end")
    if metric is not None and (not metric or "*" in metric):
        raise UsageError(f"define_metric(step_metric={metric!r}): name one metric, without *")
    if goal is not None and goal not in GOALS:
        raise UsageError(f"define_metric(goal={goal!r}): use one of {', '.join(GOALS)}")
    sync = step_sync if step_sync is not None else (True if metric else None)
    return Definition(name, metric, sync, hidden, _operations(summary), goal)


def _operations(summary: str | None) -> tuple[str, ...]:
    said = [] if summary is None else [text.strip() for text in summary.split(",")]
    for text in said:
        if text not in OPERATIONS:
            raise UsageError(f"define_metric(summary={text!r}): use some of {', '.join(OPERATIONS)}")
    return tuple(operation for operation in OPERATIONS if operation in said)
