"""A metrics stream as columns, one a path (R038): what a DataFrame is made of.

:func:`exact_columns` takes the logical rows of :mod:`runfmt.history`, which decides what a stream
says; :mod:`runfmt.plain` makes the same of the bytes, where it can, many times faster.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runfmt.rows import leaves

__all__ = ["EXACT", "KINDS", "Columns", "as_array", "exact_columns", "gather", "ordered", "selected"]

EXACT = 2**53
"""A float holds every integer up to here (R026)."""

KINDS = {"_step": "int64", "_timestamp": "float64"}
"""The columns that are always there."""

Columns = dict[str, Any]
"""Arrays of equal length by path, ``_step`` and ``_timestamp`` first, the rest sorted by path."""


def exact_columns(rows: Iterable[Mapping[str, Any]], keys: Sequence[str] | None = None) -> Columns:
    """The columns of logical rows; with ``keys``, of the rows that have a value for one of them."""
    flat: Iterable[dict[str, Any]] = (dict(leaves(row)) for row in rows)
    if keys is not None:
        flat = (row for row in flat if any(row.get(key) is not None for key in keys))
    columns = gather(flat, KINDS)
    if keys is not None:  # a null alone makes no column
        columns = {path: c for path, c in columns.items() if path in KINDS or c.count(None) < len(c)}
    return selected({path: as_array(column, KINDS.get(path)) for path, column in columns.items()}, keys)


def gather(rows: Iterable[Mapping[str, Any]], first: Iterable[str] = ()) -> dict[str, list[Any]]:
    """The values of each key, None where a row has none; those of ``first`` are always there."""
    columns: dict[str, list[Any]] = {key: [] for key in first}
    count = 0
    for row in rows:
        for path, value in row.items():
            column = columns.get(path)
            if column is None:
                column = columns[path] = [None] * count
            elif len(column) < count:
                column.extend([None] * (count - len(column)))
            column.append(value)
        count += 1
    for column in columns.values():
        column.extend([None] * (count - len(column)))
    return columns


def selected(arrays: Columns, keys: Sequence[str] | None) -> Columns:
    """The columns in the order of a table; with ``keys``, these only."""
    names = arrays if keys is None else [key for key in keys if key in arrays]
    return {name: arrays[name] for name in ordered(names, given=keys is not None)}


def ordered(names: Iterable[str], *, given: bool = False) -> list[str]:
    """``_step``, ``_timestamp``, then the metrics: sorted, or as they were ``given``."""
    first = ["_step", "_timestamp"]
    return [
        *first,
        *(name for name in (dict.fromkeys(names) if given else sorted(names)) if name not in first),
    ]


def as_array(values: list[Any], kind: str | None = None) -> Any:
    """Values as an array of a kind, or of the kind that holds them; None is a missing one.

    Numbers are int64 if all are integers and none is missing, otherwise float64, where
    missing ones are NaN; but nullable Int64 where a float would not hold an integer.
    Truth values without a missing one are bool, texts what pandas has for text, all else objects.
    """
    import numpy as np
    import pandas as pd

    kinds = set(map(type, values))
    some = kinds - {type(None)}
    if kind is None and some <= {int, float}:
        kind = "float64" if some != {int} else _integer_kind(values, has_gaps=kinds != some)
    if kind == "Int64":
        return pd.array(values, dtype="Int64")
    if kind is not None or kinds == {bool}:
        return np.array(values, dtype=kind or bool)
    return pd.Series(values, dtype=None if some == {str} else object).array


def _integer_kind(values: list[Any], *, has_gaps: bool) -> str:
    numbers = [value for value in values if value is not None]
    low, high = min(numbers), max(numbers)
    if low < -(2**63) or high >= 2**63:
        return "float64"
    if not has_gaps:
        return "int64"
    return "float64" if max(-low, high) <= EXACT else "Int64"
