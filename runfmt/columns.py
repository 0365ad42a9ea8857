"""A metrics stream as columns, one a path (R038): what a DataFrame is made of.

Two ways lead there. :func:`exact_columns` takes the logical rows of
:mod:`runfmt.history`, which decides what a stream says. :func:`plain_columns`
lets pyarrow parse the bytes, several times faster, and gives None wherever it
cannot be certain to say the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from runfmt.layout import MAX_STEP
from runfmt.rows import RESERVED, escape, leaves

__all__ = ["Columns", "as_array", "exact_columns", "ordered", "plain_columns"]

BLOCK = 4 * 2**20
"""Bytes that pyarrow parses at once; it refuses a line beyond two, and so each that R027 refuses."""
EXACT = 2**53
"""A float holds every integer up to here (R026)."""

_KINDS = {"_step": "int64", "_timestamp": "float64"}

Columns = dict[str, Any]
"""Arrays of equal length by path, ``_step`` and ``_timestamp`` first, the rest sorted by path."""


def exact_columns(rows: Iterable[Mapping[str, Any]], keys: Sequence[str] | None = None) -> Columns:
    """The columns of logical rows; with ``keys``, of the rows that have a value for one of them."""
    columns: dict[str, list[Any]] = {"_step": [], "_timestamp": []}
    count = 0
    for row in rows:
        flat = dict(leaves(row))
        if keys is not None and all(flat.get(key) is None for key in keys):
            continue
        for path, value in flat.items():
            column = columns.setdefault(path, [])
            column.extend([None] * (count - len(column)))
            column.append(value)
        count += 1
    for column in columns.values():
        column.extend([None] * (count - len(column)))
    if keys is not None:  # a null alone makes no column
        columns = {path: c for path, c in columns.items() if path in _KINDS or c.count(None) < count}
    return _selected({path: as_array(column, _KINDS.get(path)) for path, column in columns.items()}, keys)


def plain_columns(data: bytes, keys: Sequence[str] | None = None) -> Columns | None:
    """The same columns from the committed bytes of a stream, or None: then take the exact way.

    None if pyarrow is not there, and for everything that it does not tell as R023 to R044
    want it: control rows, non-finite numbers, lists, values with a ``_type``, lines that are no
    rows, texts that it takes for times, keys that are an object here and a number there.
    """
    try:
        import pyarrow as pa
        from pyarrow import json
    except ImportError:
        return None
    if not data.startswith(b"{") or not _is_utf8(data):
        return None
    try:
        reading = json.ReadOptions(block_size=BLOCK)
        table = json.read_json(pa.BufferReader(data), read_options=reading)
        # A line has one object, and no line has none.
        if not table.num_rows == data.count(b"\n") == data.count(b"\n{") + 1:
            return None
        flat = dict(_leaf_columns(table.schema, table.columns, ""))
    except (pa.ArrowException, UnicodeDecodeError, _OtherWay):
        return None
    if not _is_plain(table.schema, flat):
        return None
    merges = not _steps_rise(flat["_step"].to_numpy())
    # Merged, or in place of an object, a null would have to be told from nothing (R041, R042).
    if (merges or _has_objects(table.schema)) and b"null" in data:
        return None
    if merges:
        flat = _merged(flat)
    try:
        arrays = {path: _from_arrow(column, path) for path, column in _with_one_of(keys, flat).items()}
    except _OtherWay:
        return None
    return _selected(arrays, keys)


class _OtherWay(Exception):
    """Something that only the exact way can tell."""


def _is_utf8(data: bytes) -> bool:
    try:
        return data.isascii() or bool(data.decode())
    except UnicodeDecodeError:
        return False


def _leaf_columns(fields: Iterable[Any], columns: Iterable[Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Each column that is no object, with its path."""
    import pyarrow as pa

    for field, column in zip(fields, columns, strict=True):
        path = prefix + escape(field.name)
        if not pa.types.is_struct(field.type):
            yield path, column
            continue
        inner = column.flatten()
        if not inner or "_type" in field.type.names or _is_empty_somewhere(column, inner):
            raise _OtherWay
        yield from _leaf_columns(field.type, inner, path + ".")


def _is_empty_somewhere(column: Any, inner: Sequence[Any]) -> bool:
    """Whether an object is there without any of its members: an empty one is a leaf."""
    filled = sum(_validity(part) for part in inner) > 0
    return bool((_validity(column) & ~filled).any())


def _validity(column: Any) -> Any:
    """Where a column has a value, ``(n,) bool``."""
    return column.is_valid().to_numpy()


def _has_objects(schema: Any) -> bool:
    import pyarrow as pa

    return any(pa.types.is_struct(field.type) for field in schema)


def _is_plain(schema: Any, flat: Mapping[str, Any]) -> bool:
    """Whether all columns are of plain values, and the rows have what rows need."""
    import pyarrow as pa

    kinds = (pa.int64(), pa.float64(), pa.bool_(), pa.string(), pa.null())
    if any(name in RESERVED[2:] for name in schema.names) or any(c.type not in kinds for c in flat.values()):
        return False
    step, time = flat.get("_step"), flat.get("_timestamp")
    if step is None or step.type != pa.int64() or step.null_count:
        return False
    if time is None or time.type not in kinds[:2] or time.null_count:
        return False
    numbers = step.to_numpy()
    return bool(numbers.min() >= 0 and numbers.max() <= MAX_STEP)


def _steps_rise(steps: Any) -> bool:
    return bool((steps[1:] > steps[:-1]).all())


def _merged(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the rows of a step, the last value of each column, and sort by step (R040, R041)."""
    import numpy as np
    import pyarrow as pa

    steps = flat["_step"].to_numpy()
    order = np.argsort(steps, kind="stable")
    starts = np.flatnonzero(np.diff(steps[order], prepend=-1))
    merged = {}
    for path, column in flat.items():
        places = np.where(_validity(column)[order], np.arange(len(order)), -1)
        last = np.maximum.reduceat(places, starts)
        # The last value may be of the step before.
        absent = last < starts
        merged[path] = column.take(pa.array(order[last], mask=absent))
    return merged


def _with_one_of(keys: Sequence[str] | None, flat: Mapping[str, Any]) -> Mapping[str, Any]:
    if keys is None:
        return flat
    import numpy as np
    import pyarrow as pa

    kept: Any = np.zeros(len(flat["_step"]), dtype=bool)
    for key in keys:
        if key in flat:
            kept |= _validity(flat[key])
    wanted = {
        path: column
        for path, column in flat.items()
        if path in _KINDS or (path in keys and column.null_count < len(column))
    }
    return wanted if kept.all() else {path: c.filter(pa.array(kept)) for path, c in wanted.items()}


def _selected(arrays: Columns, keys: Sequence[str] | None) -> Columns:
    names = arrays if keys is None else [key for key in keys if key in arrays]
    return {name: arrays[name] for name in ordered(names, given=keys is not None)}


def ordered(names: Iterable[str], *, given: bool = False) -> list[str]:
    """``_step``, ``_timestamp``, then the metrics: sorted, or as they were ``given``."""
    first = ["_step", "_timestamp"]
    return [
        *first,
        *(name for name in (dict.fromkeys(names) if given else sorted(names)) if name not in first),
    ]


# One column: a list of values, or pyarrow's, as an array


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


def _from_arrow(column: Any, path: str) -> Any:
    """The same array as :func:`as_array` makes of the column's values."""
    import numpy as np
    import pyarrow as pa

    if column.type == pa.float64() or path == "_timestamp":
        numbers = column.to_numpy().astype(np.float64, copy=False)
        # A bare NaN or infinity is no JSON (R023), but pyarrow takes it.
        if np.isfinite(numbers).sum() != len(column) - column.null_count:
            raise _OtherWay
        return numbers
    if column.type == pa.int64() and not column.null_count:
        return column.to_numpy()
    return as_array(column.to_pylist())
