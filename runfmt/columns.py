"""A metrics stream as columns, one a path (R038): what a DataFrame is made of.

Two ways lead there. :func:`exact_columns` takes the logical rows of
:mod:`runfmt.history`, which decides what a stream says. :func:`plain_columns`
lets pyarrow parse the bytes, several times faster, and gives None wherever it
cannot be certain to say the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from runfmt.errors import FormatError
from runfmt.history import is_step
from runfmt.layout import MAX_ROW, MAX_STEP
from runfmt.rows import CONTROL, NONFINITE, RESERVED, decode, escape, leaves, pointer_keys

__all__ = ["EXACT", "Columns", "as_array", "exact_columns", "gather", "ordered", "plain_columns"]

BLOCK = 4 * 2**20
"""Bytes that pyarrow parses at once; it refuses a line beyond two, and so each that R027 refuses."""
EXACT = 2**53
"""A float holds every integer up to here (R026)."""

_KINDS = {"_step": "int64", "_timestamp": "float64"}

Columns = dict[str, Any]
"""Arrays of equal length by path, ``_step`` and ``_timestamp`` first, the rest sorted by path."""


def exact_columns(rows: Iterable[Mapping[str, Any]], keys: Sequence[str] | None = None) -> Columns:
    """The columns of logical rows; with ``keys``, of the rows that have a value for one of them."""
    flat: Iterable[dict[str, Any]] = (dict(leaves(row)) for row in rows)
    if keys is not None:
        flat = (row for row in flat if any(row.get(key) is not None for key in keys))
    columns = gather(flat, _KINDS)
    if keys is not None:  # a null alone makes no column
        columns = {path: c for path, c in columns.items() if path in _KINDS or c.count(None) < len(c)}
    return _selected({path: as_array(column, _KINDS.get(path)) for path, column in columns.items()}, keys)


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


def plain_columns(data: bytes, keys: Sequence[str] | None = None) -> Columns | None:
    """The same columns from the committed bytes of a stream, or None: then take the exact way.

    None if pyarrow is not there, and for everything that it does not tell as R023 to R056 want it:
    gaps, lists, values with a ``_type``, lines that are no rows, texts that it takes for times, keys
    that are an object here and a number there.
    """
    try:
        import pyarrow as pa
    except ImportError:
        return None
    try:
        return _selected(_plain_columns(data, keys), keys)
    except (pa.ArrowException, UnicodeDecodeError, FormatError, _OtherWay):
        return None


class _OtherWay(Exception):
    """Something that only the exact way can tell."""


def _plain_columns(data: bytes, keys: Sequence[str] | None) -> Columns:
    plain, is_rewound = _data_rows(data)
    table = _parsed(plain)
    # Spelled with escapes, an entry of _nonfinite has not been looked at.
    if NONFINITE in table.schema.names and b"\\u00" in plain:
        raise _OtherWay
    flat, marks = _leaf_columns(table)
    _check_rows(table.schema, flat)
    steps = flat["_step"].to_numpy()
    if is_rewound and (steps[1:] < steps[:-1]).any():
        raise _OtherWay
    merges = not (steps[1:] > steps[:-1]).all()
    # Merged, or in place of an object, a null would have to be told from nothing (R041, R042).
    if (merges or _has_objects(table.schema)) and plain.count(b"null") != marks:
        raise _OtherWay
    if merges:
        flat = _merged(flat)
    return {path: _from_arrow(column, path) for path, column in _with_one_of(keys, flat).items()}


# The lines that say more than values


def _data_rows(data: bytes) -> tuple[bytes, bool]:
    """The lines of a stream that hold data and were not superseded, and whether there was a rewind.

    Each entry of ``_nonfinite`` is right. Where steps go down, superseded lines may remain.
    """
    special = {line for name in (NONFINITE, *CONTROL) for line in _lines_with(b'"%s"' % name.encode(), data)}
    if not special:
        return data, False
    kept, begin, is_rewound = bytearray(), 0, False
    for start, end in sorted(special):
        row, restored = decode(data[start:end])
        if not restored or not is_step(row.get("_step")) or end - start > MAX_ROW:
            raise _OtherWay
        if row.keys().isdisjoint(CONTROL):
            continue
        if "_gap" in row or not row.keys() <= {"_step", "_timestamp", *CONTROL}:
            raise _OtherWay
        kept += memoryview(data)[begin:start]
        begin = end
        if "_rewind" in row:
            _supersede(kept, row["_rewind"])
            is_rewound = True
    return bytes(kept + memoryview(data)[begin:]), is_rewound


def _lines_with(text: bytes, data: bytes) -> Iterator[tuple[int, int]]:
    """Where each line begins and ends in which a text occurs."""
    end = 0
    while (found := data.find(text, end)) >= 0:
        start, end = data.rfind(b"\n", 0, found) + 1, data.index(b"\n", found) + 1
        yield start, end


def _supersede(rows: bytearray, step: Any) -> None:
    """Cut the last rows, as long as their steps are above one (R050)."""
    if not is_step(step) and step != -1:
        raise _OtherWay
    while rows:
        start = rows.rfind(b"\n", 0, -1) + 1
        last = decode(bytes(rows[start:]))[0].get("_step")
        if not is_step(last):
            raise _OtherWay
        if last <= step:
            return
        del rows[start:]


# What pyarrow makes of the lines


def _parsed(data: bytes) -> Any:
    import pyarrow as pa
    from pyarrow import json

    if not data.startswith(b"{") or not (data.isascii() or data.decode()):
        raise _OtherWay
    table = json.read_json(pa.BufferReader(data), read_options=json.ReadOptions(block_size=BLOCK))
    # A line has one object, and no line has none.
    if not table.num_rows == data.count(b"\n") == data.count(b"\n{") + 1:
        raise _OtherWay
    return table


def _leaf_columns(table: Any) -> tuple[dict[str, Any], int]:
    """The columns by path, what was not finite put back (R035), and of how many values."""
    words = dict(_words(table.column(NONFINITE))) if NONFINITE in table.schema.names else {}
    marks = sum(len(column) - column.null_count for column in words.values())
    flat = dict(_leaves(table.schema, table.columns, "", words))
    if words:
        raise _OtherWay
    return flat, marks


def _words(column: Any) -> Iterator[tuple[str, Any]]:
    """The words of ``_nonfinite`` in each row, by the path that they are for."""
    import pyarrow as pa

    if not pa.types.is_struct(column.type):
        raise _OtherWay
    for field, words in zip(column.type, column.flatten(), strict=True):
        path = ".".join(map(escape, pointer_keys(field.name)))
        if words.type != pa.string() or path in RESERVED:
            raise _OtherWay
        yield path, words


def _leaves(
    fields: Iterable[Any], columns: Iterable[Any], prefix: str, words: dict[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Each column that is no object, with its path; takes out of ``words`` what it uses."""
    import pyarrow as pa

    for field, column in zip(fields, columns, strict=True):
        path = prefix + escape(field.name)
        if path == NONFINITE:
            continue
        if not pa.types.is_struct(field.type):
            yield path, _restored(column, words.pop(path, None))
            continue
        inner = column.flatten()
        if not inner or "_type" in field.type.names:
            raise _OtherWay
        below = dict(_leaves(field.type, inner, path + ".", words))
        # An object without any of its members is a leaf.
        if (_validity(column) & ~sum(map(_validity, below.values())).astype(bool)).any():
            raise _OtherWay
        yield from below.items()


def _restored(column: Any, words: Any) -> Any:
    """A column with the numbers that the words are for."""
    import numpy as np
    import pyarrow as pa

    # A bare NaN or infinity is no JSON (R023), but pyarrow takes it.
    if column.type == pa.float64() and np.isfinite(column.to_numpy()).sum() != _count(column):
        raise _OtherWay
    if words is None:
        return column
    if column.type not in (pa.float64(), pa.int64(), pa.null()):
        raise _OtherWay
    places = _validity(words)
    numbers = np.where(places, words.cast(pa.float64()).to_numpy(), column.to_numpy().astype(np.float64))
    return pa.chunked_array([pa.array(numbers, mask=~(_validity(column) | places))])


def _count(column: Any) -> int:
    return int(len(column) - column.null_count)


def _validity(column: Any) -> Any:
    """Where a column has a value, ``(n,) bool``."""
    return column.is_valid().to_numpy()


def _has_objects(schema: Any) -> bool:
    import pyarrow as pa

    return any(pa.types.is_struct(field.type) and field.name != NONFINITE for field in schema)


def _check_rows(schema: Any, flat: Mapping[str, Any]) -> None:
    """See that all columns are of plain values, and that the rows have what rows need."""
    import pyarrow as pa

    kinds = (pa.int64(), pa.float64(), pa.bool_(), pa.string(), pa.null())
    reserved = {"_runtime", *CONTROL}  # spelled with escapes, a control key is first seen here
    if not reserved.isdisjoint(schema.names) or any(c.type not in kinds for c in flat.values()):
        raise _OtherWay
    step, time = flat.get("_step"), flat.get("_timestamp")
    if step is None or step.type != pa.int64() or step.null_count:
        raise _OtherWay
    if time is None or time.type not in kinds[:2] or time.null_count:
        raise _OtherWay
    numbers = step.to_numpy()
    if numbers.min() < 0 or numbers.max() > MAX_STEP:
        raise _OtherWay


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
        if path not in _KINDS and _count(merged[path]) < _count(column):
            _check_kind(merged[path])
    return merged


def _check_kind(column: Any) -> None:
    """See that a column is still one of floats: those that are gone may have been the only ones."""
    import numpy as np
    import pyarrow as pa

    if column.type != pa.float64():
        return
    numbers = column.drop_null().to_numpy()
    if (np.isfinite(numbers) & (numbers == np.floor(numbers))).all():
        raise _OtherWay


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
        return column.to_numpy().astype(np.float64, copy=False)
    if column.type == pa.int64() and not column.null_count:
        return column.to_numpy()
    return as_array(column.to_pylist())
