"""Columns of metrics streams from their bytes, which polars parses; the exact way wherever in doubt."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from runfmt.columns import KINDS, Columns, as_array, selected
from runfmt.errors import FormatError
from runfmt.history import is_step
from runfmt.layout import MAX_DEPTH, MAX_ROW, MAX_STEP
from runfmt.rows import CONTROL, NONFINITE, RESERVED, decode, escape, pointer_keys

__all__ = ["plain_columns"]

SAMPLE = 2**14
"""Bytes of whole lines, at each of some places, that say what columns a long stream has."""
PLACES = 16
_NULL = re.compile(rb'("[^"]*"): ?null')


def plain_columns(streams: Sequence[bytes], keys: Sequence[str] | None = None) -> list[Columns | None]:
    """The same columns from the committed bytes of each stream, or None: then take the exact way.

    None if polars is not there, and for everything that it does not tell as R023 to R056 want it:
    gaps, lists, values with a ``_type``, escapes, lines that are no rows, keys that are an object here
    and a number there. Many short streams are parsed as one, in a fraction of the time.
    """
    if not streams or not _has_polars():
        return [None] * len(streams)
    import polars as pl

    try:
        if len(streams) == 1:
            return [selected(_plain_columns(streams[0], keys), keys)]
        return [selected(columns, keys) for columns in _joined_columns(streams, keys)]
    except (pl.exceptions.PolarsError, UnicodeDecodeError, FormatError, _OtherWay):
        if len(streams) == 1:
            return [None]
    middle = len(streams) // 2
    return plain_columns(streams[:middle], keys) + plain_columns(streams[middle:], keys)


class _OtherWay(Exception):
    """Something that only the exact way can tell."""


@cache
def _has_polars() -> bool:
    """Whether polars is there and refuses what does not fit a column: before 1.40 it made 1 of 1.5."""
    try:
        import polars as pl
    except ImportError:
        return False
    for kind, word in ((pl.Int64, "1.5"), (pl.Int64, "true"), (pl.Float64, "true"), (pl.Float64, '"1"')):
        try:
            pl.read_ndjson(f'{{"a":{word}}}\n'.encode(), schema={"a": kind})
        except pl.exceptions.PolarsError:
            continue
        return False
    return True


def _plain_columns(data: bytes, keys: Sequence[str] | None) -> Columns:
    flat, nulls, is_rewound = _usual(data), 0, False
    if flat is None:
        plain, is_rewound = _data_rows(data)
        flat, nulls = _parsed(plain, by_sample=plain is not data)
    steps = flat["_step"].to_numpy()
    ascends = steps[1:] > steps[:-1]
    if not ascends.all():
        # Where steps go down, superseded lines may remain; merged, a null would have to be told from nothing.
        if nulls or (is_rewound and (steps[1:] < steps[:-1]).any()):
            raise _OtherWay
        flat = _merged(flat)
    return {path: _from_polars(column, path) for path, column in _with_one_of(keys, flat).items()}


def _joined_columns(streams: Sequence[bytes], keys: Sequence[str] | None) -> Iterator[Columns]:
    """The columns of each stream, of all their lines parsed as those of one."""
    import numpy as np

    streams = [_data_rows(stream)[0] for stream in streams]
    flat, nulls = _parsed(b"".join(streams), by_sample=True)
    ends = np.cumsum([stream.count(b"\n") for stream in streams])
    steps = flat["_step"].to_numpy()
    ascends: Any = np.append(steps[1:] > steps[:-1], True)
    ascends[ends[ends > 0] - 1] = True
    if nulls or not ascends.all():  # whose a null is cannot be seen: the others may not have its column
        raise _OtherWay
    bounds = np.concatenate([[0], np.cumsum(_rows_with_one_of(keys, flat))])[[0, *ends]]
    columns = {path: _Pieces(path, c, bounds) for path, c in _with_one_of(keys, flat).items()}
    for number in range(len(streams)):
        pieces = {path: column.of(number) for path, column in columns.items()}
        yield {path: piece for path, piece in pieces.items() if piece is not None}


class _Pieces:
    """A column of several streams, each of which has the rows between two bounds."""

    def __init__(self, path: str, column: Any, bounds: Any) -> None:
        import numpy as np

        self.path, self.column, self.bounds = path, column, bounds.tolist()
        before = np.concatenate([[0], np.cumsum(_validity(column))])[bounds]
        self.missing = (np.diff(bounds) - np.diff(before)).tolist()
        self.whole = _from_polars(column if not column.null_count() else _filled(column), path)

    def of(self, number: int) -> Any:
        """What one of them has of it, None if nothing."""
        start, end = self.bounds[number : number + 2]
        if not self.missing[number]:
            return self.whole[start:end] if start < end or self.path in KINDS else None
        return _from_polars(self.column[start:end], self.path) if self.missing[number] < end - start else None


def _filled(column: Any) -> Any:
    """The column with some of its values where none is."""
    return column.fill_null(strategy="forward").fill_null(strategy="backward")


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


# What polars makes of the lines


def _usual(data: bytes) -> dict[str, Any] | None:
    """The columns by path, if a sample has them all and no line says more than values; else None.

    What is not there need not be searched for: a key that the sample lacks would be missed.
    """
    import polars as pl

    if len(data) <= SAMPLE * PLACES:
        return None
    try:
        schema = _sampled(data)
        return _table(data, schema)[0] if schema.keys().isdisjoint({NONFINITE, *CONTROL}) else None
    except (pl.exceptions.PolarsError, _OtherWay):
        return None


def _parsed(data: bytes, *, by_sample: bool) -> tuple[dict[str, Any], int]:
    """The columns by path, and how many nulls stand for no number (R035)."""
    import polars as pl

    if by_sample and len(data) > SAMPLE * PLACES:
        try:
            return _table(data, _sampled(data))
        except (pl.exceptions.PolarsError, _OtherWay):
            pass  # something that the sample did not have
    return _table(data, None)


def _has_long_line(data: bytes) -> bool:
    """Whether there may be a line that R027 refuses."""
    half = MAX_ROW // 2
    return any(data.find(b"\n", start, start + half) < 0 for start in range(0, len(data) - half, half))


def _sampled(data: bytes) -> Any:
    """What the columns are, by lines from all over the stream."""
    import polars as pl

    sample, end = [], 0
    for place in range(0, len(data) - SAMPLE, (len(data) - SAMPLE) // (PLACES - 1)):
        start = max(end, data.rfind(b"\n", 0, place) + 1)
        end = data.find(b"\n", start + SAMPLE) + 1 or len(data)
        sample.append(data[start:end])
    return pl.read_ndjson(b"".join(sample), infer_schema_length=None).schema


def _table(data: bytes, schema: Any) -> tuple[dict[str, Any], int]:
    """The columns by path, and how many nulls stand for no number; without a schema, of what there is.

    polars leaves out empty lines, keys that the schema does not have, and all but one of those that a
    line has twice. So there must be a row for each line, and for each colon a pair of key and value.
    """
    import polars as pl

    if not data or b"\\" in data or _has_long_line(data):
        raise _OtherWay
    table = pl.read_ndjson(data, schema=schema, infer_schema_length=None)
    if table.height != _count_of(b"\n", data):
        raise _OtherWay
    leaves = _Leaves(table)
    _check_rows(leaves.flat)
    # Of a key that a schema does not have, all values may be null.
    nulls = 0 if schema else _nulls(data) - leaves.marks
    if _count_of(b":", data) != leaves.pairs + leaves.marks + nulls:
        raise _OtherWay
    # In place of an object, a null would have to be told from nothing (R042).
    if nulls and leaves.has_objects:
        raise _OtherWay
    # Among texts, a number becomes one.
    if leaves.texts and data.count(b':"') + data.count(b': "') != leaves.texts:
        raise _OtherWay
    return leaves.flat, nulls


def _count_of(byte: bytes, data: bytes) -> int:
    import numpy as np

    pieces = (
        np.frombuffer(data, np.uint8, min(2**20, len(data) - at), at) for at in range(0, len(data), 2**20)
    )
    return sum(int(np.count_nonzero(piece == byte[0])) for piece in pieces)


def _nulls(data: bytes) -> int:
    """How many nulls there are; of each the line has the key once."""
    count = 0
    for found in _NULL.finditer(data):
        start, end = data.rfind(b"\n", 0, found.start()) + 1, data.index(b"\n", found.end())
        if data.count(found[1], start, end) > 1:
            raise _OtherWay
        count += 1
    return count


class _Leaves:
    """The columns of a table that are no objects, by path; what is not finite is put back (R035)."""

    def __init__(self, table: Any) -> None:
        self.pairs = 0
        """How many keys have a value that is not null."""
        self.texts = 0
        """How many values are texts."""
        self.marks = 0
        """How many nulls stand for a number."""
        self.has_objects = False
        columns = {column.name: column for column in table.get_columns()}
        if not columns.keys().isdisjoint({"_runtime", *CONTROL}):
            raise _OtherWay
        self._words = dict(self._words_of(columns.pop(NONFINITE))) if NONFINITE in columns else {}
        self.flat = dict(self._of(columns, "", MAX_DEPTH))
        if self._words:
            raise _OtherWay

    def _count(self, column: Any) -> None:
        import polars as pl

        if ":" in column.name:
            raise _OtherWay
        count = len(column) - column.null_count()
        self.pairs += count
        self.texts += count * (column.dtype == pl.String)

    def _words_of(self, column: Any) -> Iterator[tuple[str, Any]]:
        """The words of ``_nonfinite`` in each row, by the path that they are for."""
        self._count(column)
        for name, words in _members(column).items():
            path = ".".join(map(escape, pointer_keys(name)))
            if path in RESERVED:
                raise _OtherWay
            self._count(words)
            self.marks += len(words) - words.null_count()
            yield path, words

    def _of(self, columns: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
        import polars as pl

        if not depth:
            raise _OtherWay
        for name, column in columns.items():
            path = prefix + escape(name)
            self._count(column)
            if not isinstance(column.dtype, pl.Struct):
                yield path, _restored(column, self._words.pop(path, None))
                continue
            self.has_objects = True
            inner = _members(column)
            below = dict(self._of(inner, path + ".", depth - 1))
            # An object without any of its members is a leaf, and so is one with a _type.
            if (
                "_type" in inner
                or (_validity(column) & ~sum(map(_validity, below.values())).astype(bool)).any()
            ):
                raise _OtherWay
            yield from below.items()


def _members(column: Any) -> dict[str, Any]:
    """The members of objects, each a column."""
    import polars as pl

    if not isinstance(column.dtype, pl.Struct) or not column.dtype.fields:
        raise _OtherWay
    return {field.name: column.struct.field(field.name) for field in column.dtype.fields}


def _restored(column: Any, words: Any) -> Any:
    """A column with the numbers that the words are for."""
    import polars as pl

    if words is None:
        return column
    if column.dtype not in (pl.Float64, pl.Int64, pl.Null) or words.dtype != pl.String:
        raise _OtherWay
    places = _validity(words)
    numbers = column.cast(pl.Float64).to_numpy(writable=True)
    numbers[places] = [float(word) for word in words.drop_nulls()]
    is_known = pl.Series(_validity(column) | places)
    return pl.select(pl.when(is_known).then(pl.Series(column.name, numbers))).to_series()


def _validity(column: Any) -> Any:
    """Where a column has a value, ``(n,) bool``."""
    return column.is_not_null().to_numpy()


def _check_rows(flat: Mapping[str, Any]) -> None:
    """See that all columns are of plain values, and that the rows have what rows need."""
    import polars as pl

    kinds = (pl.Int64, pl.Float64, pl.Boolean, pl.String, pl.Null)
    if any(column.dtype not in kinds for column in flat.values()):
        raise _OtherWay
    step, time = flat.get("_step"), flat.get("_timestamp")
    if step is None or step.dtype != pl.Int64 or step.null_count():
        raise _OtherWay
    if time is None or time.dtype not in kinds[:2] or time.null_count():
        raise _OtherWay
    numbers = step.to_numpy()
    if numbers.min() < 0 or numbers.max() > MAX_STEP:
        raise _OtherWay


def _merged(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the rows of a step, the last value of each column, and sort by step (R040, R041)."""
    import numpy as np
    import polars as pl

    steps = flat["_step"].to_numpy()
    order = np.argsort(steps, kind="stable")
    starts = np.flatnonzero(np.diff(steps[order], prepend=-1))
    merged = {}
    for path, column in flat.items():
        places = np.where(_validity(column)[order], np.arange(len(order)), -1)
        last = np.maximum.reduceat(places, starts)
        # The last value may be of the step before.
        taken = pl.Series(np.where(last < starts, -1, order[last]))
        merged[path] = column.gather(taken.set(taken < 0, None))
        gone = column.null_count() - len(column) + len(starts) - merged[path].null_count()
        if path not in KINDS and gone < 0:
            _check_kind(merged[path])
    return merged


def _check_kind(column: Any) -> None:
    """See that a column is still one of floats: those that are gone may have been the only ones."""
    import numpy as np
    import polars as pl

    if column.dtype != pl.Float64:
        return
    numbers = column.drop_nulls().to_numpy()
    if (np.isfinite(numbers) & (numbers == np.floor(numbers))).all():
        raise _OtherWay


def _rows_with_one_of(keys: Sequence[str] | None, flat: Mapping[str, Any]) -> Any:
    """Which rows have a value for one of the keys, ``(n,) bool``; without keys, all."""
    import numpy as np

    kept: Any = np.full(len(flat["_step"]), keys is None)
    for key in keys or ():
        if key in flat:
            kept |= _validity(flat[key])
    return kept


def _with_one_of(keys: Sequence[str] | None, flat: Mapping[str, Any]) -> Mapping[str, Any]:
    if keys is None:
        return flat
    import polars as pl

    kept = _rows_with_one_of(keys, flat)
    wanted = {
        path: column
        for path, column in flat.items()
        if path in KINDS or (path in keys and column.null_count() < len(column))
    }
    return wanted if kept.all() else {path: column.filter(pl.Series(kept)) for path, column in wanted.items()}


# As arrays


def _from_polars(column: Any, path: str) -> Any:
    """The same array as :func:`as_array` makes of the column's values."""
    import polars as pl

    if column.dtype in (pl.Float64, pl.Null) or path == "_timestamp":
        return column.cast(pl.Float64).to_numpy()
    if column.dtype in (pl.Int64, pl.Boolean) and not column.null_count():
        return column.to_numpy()
    return as_array(column.to_list())
