"""The metrics of many streams as tables: columns of each, and all below each other as a DataFrame."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from runfmt.columns import EXACT, Columns, exact_columns, ordered
from runfmt.history import Problem, read_history
from runfmt.plain import plain_columns
from runfmt.reading import StoredRun

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Stream", "Table", "read_tables", "stack"]

TOGETHER = 2**20
"""Bytes of short streams that are parsed as one: each parsing costs as much as a hundred kilobytes."""
THREADS = 4
"""Each holds a stream and what it is parsed to."""


class Stream(NamedTuple):
    """The metrics of a writer of a run: the name of the file, and what was in it."""

    run: StoredRun
    writer: str
    name: str
    data: bytes


class Table(NamedTuple):
    """The metrics of a writer of a run as columns."""

    run: StoredRun
    writer: str
    columns: Columns


def read_tables(
    streams: Iterable[Stream], keys: Sequence[str] | None
) -> Iterator[tuple[Table, list[Problem]]]:
    """The columns and the problems of each stream, in turn; some are parsed while others are read."""
    cores = min(os.cpu_count() or 1, THREADS)
    ahead: deque[Future[list[tuple[Table, list[Problem]]]]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        for parsing in (pool.submit(_parse, batch, keys) for batch in _batches(streams)):
            ahead.append(parsing)
            if len(ahead) > cores:  # only so many streams are held
                yield from ahead.popleft().result()
        while ahead:
            yield from ahead.popleft().result()


def _batches(streams: Iterable[Stream]) -> Iterator[list[Stream]]:
    batch: list[Stream] = []
    size = 0
    for stream in streams:
        batch.append(stream)
        size += len(stream.data)
        if size >= TOGETHER:
            yield batch
            batch, size = [], 0
    yield batch


def _parse(streams: Sequence[Stream], keys: Sequence[str] | None) -> list[tuple[Table, list[Problem]]]:
    found = plain_columns([data[: data.rfind(b"\n") + 1] for *_, data in streams], keys)
    return [
        (Table(stream.run, stream.writer, columns), [])
        if columns is not None
        else _parse_exactly(stream, keys)
        for columns, stream in zip(found, streams, strict=True)
    ]


def _parse_exactly(stream: Stream, keys: Sequence[str] | None) -> tuple[Table, list[Problem]]:
    history = read_history(io.BytesIO(stream.data), stream.name, stream.writer)
    return Table(stream.run, stream.writer, exact_columns(history.rows, keys)), history.problems


def stack(tables: Sequence[Columns], levels: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """The tables below each other, their labels as levels of the index; takes the columns out of them.

    Without levels there is one table.
    """
    import pandas as pd

    frame: pd.DataFrame
    if not levels:
        frame = pd.DataFrame(tables[0])
        return frame
    counts = [len(table["_step"]) for table in tables]
    # One without rows has no say in the types.
    filled = [place for place, count in enumerate(counts) if count] or [*range(len(tables))]
    tables, counts = [tables[place] for place in filled], [counts[place] for place in filled]
    index = _index({name: [labels[place] for place in filled] for name, labels in levels.items()}, counts)
    names = ordered({name for table in tables for name in table})
    columns = {name: _below([table.pop(name, None) for table in tables], counts) for name in names}
    frame = pd.DataFrame(columns, index=index, copy=False)
    return frame


def _index(levels: Mapping[str, Sequence[str]], counts: Sequence[int]) -> pd.MultiIndex:
    """The labels of each table, and the number of each of its rows."""
    import numpy as np
    import pandas as pd

    codes, names = zip(*(pd.factorize(np.array(labels, object)) for labels in levels.values()), strict=True)
    columns: Any = [np.repeat(each, counts) for each in codes] + [np.concatenate([*map(np.arange, counts)])]
    index: pd.MultiIndex = pd.MultiIndex(
        levels=[*names, pd.RangeIndex(max(counts))], codes=columns, names=[*levels, None]
    )
    return index


def _below(pieces: Sequence[Any], counts: Sequence[int]) -> Any:
    """The pieces of a column below each other, None where a table does not have it."""
    import numpy as np
    import pandas as pd

    kinds = {None if piece is None else str(piece.dtype) for piece in pieces}
    if kinds == {"int64"}:
        return np.concatenate(pieces)
    if kinds <= {"int64", "float64", None} and not (None in kinds and any(map(_has_large, pieces))):
        column = np.full(sum(counts), np.nan)
        for piece, end in zip(pieces, np.cumsum(counts).tolist(), strict=True):
            if piece is not None:
                column[end - len(piece) : end] = piece
        return column
    frames = [pd.DataFrame(index=range(count)) for count in counts]
    for frame, piece in zip(frames, pieces, strict=True):
        if piece is not None:
            frame[""] = pd.array(piece, "Int64") if None in kinds and _has_large(piece) else piece
    return pd.concat(frames, ignore_index=True)[""].array


def _has_large(piece: Any) -> bool:
    """Whether there are integers that a float would not hold, with which missing values could not be told."""
    return piece is not None and piece.dtype == "int64" and bool(((piece > EXACT) | (piece < -EXACT)).any())
