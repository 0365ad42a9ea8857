"""The summary as a function of a metrics stream (R080-R088). Pure.

``Definitions`` and ``HandValues`` collect what control rows say, ``Aggregate``
takes logical rows in the order of their steps, and :func:`summarise` puts the
three together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from runfmt.rows import escape, is_leaf, is_path, leaves, merge, split_path

__all__ = ["OPERATIONS", "Aggregate", "Definition", "Definitions", "HandValues", "summarise"]

OPERATIONS = ("copy", "none", "min", "max", "mean", "first", "last", "best")
GOALS = ("maximize", "minimize")


@dataclass(frozen=True)
class Definition:
    """What ``define_metric`` said of one name; the name is a path, or its beginning and ``*``."""

    name: str
    step_metric: str | None = None
    step_sync: bool | None = None
    hidden: bool | None = None
    summary: tuple[str, ...] = ()
    goal: str | None = None

    def row(self, *, overwrite: bool = False) -> dict[str, Any]:
        """The value of a ``_define`` row that says the same (R054)."""
        said = {key: value for key, value in vars(self).items() if value not in (None, ())}
        if self.summary:
            said["summary"] = list(self.summary)
        return {**said, "overwrite": True} if overwrite else said

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations that make an object in the summary; empty for a plain value."""
        return tuple(op for op in self.summary if op not in ("copy", "none"))


@dataclass
class Definitions:
    """All definitions of a stream, by name."""

    by_name: dict[str, Definition] = field(default_factory=dict)
    _matches: dict[str, Definition | None] = field(default_factory=dict, repr=False)

    def take(self, value: Any) -> bool:
        """Take the value of a ``_define`` row; False if it has not the form of R054."""
        if not isinstance(value, dict) or "name" not in value:
            return False
        if not all(check(value[key]) for key, check in _MEMBERS.items() if key in value):
            return False
        said = Definition(
            value["name"],
            step_metric=value.get("step_metric"),
            step_sync=value.get("step_sync"),
            hidden=value.get("hidden"),
            summary=tuple(op for op in OPERATIONS if op in value.get("summary", [])),
            goal=value.get("goal"),
        )
        self.add(said, overwrite=value.get("overwrite", False))
        return True

    def add(self, said: Definition, *, overwrite: bool = False) -> None:
        """Add to what was said of the same name, or replace it (R080)."""
        there = self.by_name.get(said.name)
        if there is not None and not overwrite:
            news = {key: value for key, value in vars(said).items() if value not in (None, ())}
            news["summary"] = tuple(op for op in OPERATIONS if op in there.summary + said.summary)
            said = replace(there, **news)
        self.by_name[said.name] = said
        self._matches.clear()

    def match(self, path: str) -> Definition | None:
        """The definition that counts for a path (R081)."""
        if path not in self._matches:
            self._matches[path] = self._find(path)
        return self._matches[path]

    def _find(self, path: str) -> Definition | None:
        if path in self.by_name:
            return self.by_name[path]
        if path.startswith("_"):
            return None
        globs = (name for name in self.by_name if name.endswith("*") and path.startswith(name[:-1]))
        best = max(globs, key=len, default=None)
        return None if best is None else self.by_name[best]


def _is_name(value: object) -> bool:
    return isinstance(value, str) and is_path(value.removesuffix("*"))


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


_MEMBERS: dict[str, Callable[[object], bool]] = {
    "name": _is_name,
    "step_metric": is_path,
    "step_sync": _is_flag,
    "hidden": _is_flag,
    "overwrite": _is_flag,
    "summary": _are_texts,
    "goal": GOALS.__contains__,
}
"""What the members of a ``_define`` are (R054)."""


@dataclass
class _Said:
    """A value set or deleted by hand, or (``what="log"``) a later row that gave the key a value."""

    what: str = ""
    step: int = 0
    value: Any = None


@dataclass
class HandValues:
    """What ``_summary`` rows said, by path, with the rows that came after (R086, R087)."""

    by_path: dict[str, list[_Said]] = field(default_factory=dict)
    _keys: dict[str, list[str]] = field(default_factory=dict, repr=False)
    """The keys of each path that was ever said."""
    _above: set[str] = field(default_factory=set, repr=False)
    """The paths that lie above one that was ever said."""

    def take(self, step: int, value: Any) -> bool:
        """Take the value of a ``_summary`` row; False if it has not the form of R053."""
        if not isinstance(value, dict):
            return False
        sets, deletes = value.get("set", {}), value.get("del", [])
        if not isinstance(sets, dict) or not isinstance(deletes, list):
            return False
        if not all(is_path(path) for path in (*sets, *deletes)):
            return False
        for path in deletes:
            self._say(path, _Said("del", step))
        for path, item in sets.items():
            self._say(path, _Said("set", step, item))
            for other in self._in_the_way(path):
                self.by_path[other].append(_Said("log", step))
        return True

    def _say(self, path: str, said: _Said) -> None:
        self.by_path.setdefault(path, []).append(said)
        if path not in self._keys:
            self._keys[path] = split_path(path)
            self._above.update(_above(path, self._keys[path]))

    def _in_the_way(self, path: str) -> list[str]:
        """The paths above or below one, which cannot have a value beside it (R088)."""
        above = [other for other in _above(path, self._keys[path]) if other in self.by_path]
        if path not in self._above:
            return above
        return above + [other for other in self.by_path if other.startswith(path + ".")]

    def logged(self, step: int, row: Mapping[str, Any]) -> None:
        """Note that a row came; only the paths that were set or deleted before it matter."""
        for path, said in self.by_path.items():
            last = said[-1]
            # After a rewind the lowest step decides whether a row still counts.
            if (last.what != "log" or step < last.step) and _gives_value(row, self._keys[path]):
                said.append(_Said("log", step))

    def rewind(self, step: int) -> None:
        """Forget what was said at steps above (R051)."""
        for path in list(self.by_path):
            self.by_path[path] = [said for said in self.by_path[path] if said.step <= step]
            if not self.by_path[path]:
                del self.by_path[path]

    def settle(self, step: int) -> None:
        """Forget what no rewind to this step or above brings back: what was said before what stands there."""
        for said in self.by_path.values():
            standing = (at for at, one in enumerate(said) if one.what != "log" and one.step <= step)
            del said[: max(standing, default=0)]

    def to_json(self) -> dict[str, Any]:
        """What was said, as JSON values."""
        return {
            path: [[one.what, one.step, one.value] for one in said] for path, said in self.by_path.items()
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> HandValues:
        """The inverse of :meth:`to_json`."""
        hand = cls()
        for path, said in document.items():
            for what, step, value in said:
                hand._say(path, _Said(what, step, value))
        return hand

    def of(self, path: str) -> tuple[str, Any, bool]:
        """What was said last (``set``, ``del`` or nothing), its value, and whether a row came since."""
        last, since = _Said(), False
        for said in self.by_path.get(path, ()):
            if said.what == "log":
                since = True
            else:
                last, since = said, False
        return last.what, last.value, since


def _above(path: str, keys: list[str]) -> list[str]:
    """The paths above a path."""
    above, end = [], len(path)
    for key in reversed(keys[1:]):
        end -= len(escape(key)) + 1
        above.append(path[:end])
    return above


def _gives_value(row: Mapping[str, Any], keys: Iterable[str]) -> bool:
    """Whether a row gives a key a value, or a leaf to a key that it lies in."""
    value: Any = row
    for key in keys:
        if not isinstance(value, dict) or "_type" in value:
            return value is not None
        if key not in value:
            return False
        value = value[key]
    return value is not None


_NUMBERS = frozenset({int, float})
_SCALE = 2.0**-60
"""Sums are kept this much smaller, so that those of the largest numbers do not overflow."""


class _Statistics:
    """min, max, mean, first and last of one key, each logical row once (R083)."""

    __slots__ = ("count", "first", "last", "max", "min", "odd", "partials")

    def __init__(self) -> None:
        self.count = 0
        self.partials: list[float] = []
        self.odd = 0.0
        self.min: float | None = None
        self.max: float | None = None
        self.first: Any = None
        self.last: Any = None

    def add(self, value: Any) -> None:
        if self.first is None:
            self.first = value
        self.last = value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
            return
        self.count += 1
        self.min = value if self.min is None or value < self.min else self.min
        self.max = value if self.max is None or value > self.max else self.max
        if math.isfinite(value):
            _add_exactly(self.partials, value * _SCALE)
        else:
            self.odd += value

    def extend(self, values: Sequence[Any]) -> None:
        """Add values, at least one, none of them null."""
        kinds = set(map(type, values))
        numbers = values if kinds <= _NUMBERS else [value for value in values if type(value) in _NUMBERS]
        if not all(map(math.isfinite, numbers)):
            for value in values:
                self.add(value)
            return
        self.first = values[0] if self.first is None else self.first
        self.last = values[-1]
        if numbers:
            self.count += len(numbers)
            # The first of equal ones stays, as in add: 1 and 1.0 are written differently.
            self.min = min(numbers if self.min is None else (self.min, *numbers))
            self.max = max(numbers if self.max is None else (self.max, *numbers))
            _add_all_exactly(self.partials, [number * _SCALE for number in numbers])

    @property
    def mean(self) -> float | None:
        if not self.count:
            return None
        return self.odd if self.odd else math.fsum(self.partials) / self.count / _SCALE

    def show(self, definition: Definition) -> dict[str, Any]:
        best = self.max if definition.goal == "maximize" else self.min
        shown = {op: best if op == "best" else getattr(self, op) for op in definition.operations}
        return {op: value for op, value in shown.items() if value is not None}


def _add_exactly(partials: list[float], value: float) -> None:
    """Add to an exact sum kept as non-overlapping parts (Shewchuk 1997), so that no order of rows matters."""
    kept = 0
    for part in partials:
        if abs(value) < abs(part):
            value, part = part, value  # noqa: PLW2901
        high = value + part
        low = part - (high - value)
        if low:
            partials[kept] = low
            kept += 1
        value = high
    partials[kept:] = [value]


def _add_all_exactly(partials: list[float], values: Iterable[float]) -> None:
    """The same for many values: what a rounded sum leaves over is summed again until nothing is left."""
    terms, parts = [*partials, *values], []
    while total := math.fsum(terms):
        parts.append(total)
        terms.append(-total)
    partials[:] = reversed(parts)


class Aggregate:
    """Takes logical rows in the order of their steps; knows the plain values and the statistics."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self.plain: dict[str, Any] = {}
        self.statistics: dict[str, _Statistics] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        """Take one logical row, reserved keys and all."""
        _merge_values(self.plain, row)
        if any(definition.operations for definition in self.definitions.by_name.values()):
            for path, value in leaves(row):
                definition = self.definitions.match(path)
                if value is not None and definition is not None and definition.operations:
                    self.statistics.setdefault(path, _Statistics()).add(value)

    def add_columns(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Take logical rows with the same keys by columns of plain values, of which none is an object."""
        with_statistics = any(said.operations for said in self.definitions.by_name.values())
        for key, column in columns.items():
            values = [value for value in column if value is not None] if None in column else column
            if values:
                self.plain[key] = values[-1]
                said = self.definitions.match(escape(key)) if with_statistics else None
                if said is not None and said.operations:
                    self.statistics.setdefault(escape(key), _Statistics()).extend(values)

    def copy(self) -> Aggregate:
        """Another that goes on from the same rows."""
        other = Aggregate(self.definitions)
        merge(other.plain, self.plain)
        other.statistics = deepcopy(self.statistics)
        return other

    def to_json(self) -> dict[str, Any]:
        """What was taken, as JSON values."""
        statistics = {
            path: [getattr(of, name) for name in of.__slots__] for path, of in self.statistics.items()
        }
        return {"plain": self.plain, "statistics": statistics}

    @classmethod
    def from_json(cls, definitions: Definitions, document: Mapping[str, Any]) -> Aggregate:
        """The inverse of :meth:`to_json`."""
        aggregate = cls(definitions)
        aggregate.plain = document["plain"]
        for path, values in document["statistics"].items():
            aggregate.statistics[path] = of = _Statistics()
            for name, value in zip(of.__slots__, values, strict=True):
                setattr(of, name, value)
        return aggregate


def _merge_values(into: dict[str, Any], row: Mapping[str, Any]) -> None:
    """Lay the leaves of a row that are no nulls over others, as :func:`runfmt.rows.merge` does."""
    for key, value in row.items():
        if type(value) is not dict or "_type" in value:
            if value is not None:
                into[key] = value
        elif not value or _has_value(value):
            there = into.get(key)
            if type(there) is not dict or "_type" in there:
                there = into[key] = {}
            _merge_values(there, value)


def _has_value(tree: Mapping[str, Any]) -> bool:
    for value in tree.values():  # noqa: SIM110  a generator takes twice as long
        if value is not None and (is_leaf(value) or _has_value(value)):
            return True
    return False


def summarise(aggregate: Aggregate, hand: HandValues) -> dict[str, Any]:
    """The summary, nested as rows are (R082-R088)."""
    if (  # as of most runs: the last values, and nothing else
        not aggregate.definitions.by_name
        and not hand.by_path
        and dict not in map(type, aggregate.plain.values())
    ):
        return {key: value for key, value in aggregate.plain.items() if key not in ("_step", "_timestamp")}
    summary: dict[str, Any] = {}
    plain = {path: value for path, value in leaves(aggregate.plain) if path not in ("_step", "_timestamp")}
    for path in [*plain, *(path for path in hand.by_path if path not in plain)]:
        value = _shown(path, plain.get(path), aggregate, hand)
        if value is not None:
            _insert(summary, split_path(path), value)
    return summary


def _shown(path: str, plain: Any, aggregate: Aggregate, hand: HandValues) -> Any:
    definition = aggregate.definitions.match(path)
    if definition is not None and "none" in definition.summary:
        return None
    said, value, logged_since = hand.of(path)
    if said == "set":
        return plain if logged_since else value
    if definition is not None and definition.operations:
        statistics = aggregate.statistics.get(path)
        return (statistics.show(definition) or None) if statistics else None
    return plain if said == "" or logged_since else None


def _insert(tree: dict[str, Any], keys: Iterable[str], value: Any) -> None:
    *above, last = keys
    for key in above:
        inner = tree.get(key)
        if not isinstance(inner, dict) or "_type" in inner:
            inner = tree[key] = {}
        tree = inner
    tree[last] = value
