"""What the index of a stream says, and what the exact reader says of the same bytes, to be compared."""

from __future__ import annotations

import math
from typing import Any

from runfmt.history import read_history
from runfmt.layout import stream_name
from runfmt.rows import decode, leaves
from runfmt_sync.index import RunIndex


def said(index: RunIndex, **of: str) -> dict[str, list[Any]]:
    """All points of all columns; as text, for NaN is not equal to itself."""
    return {path: points(index, path, **of) for path in index.numbers(**of)}


def points(index: RunIndex, path: str, **of: str) -> list[Any]:
    """Step, time and value of each point of a column, as text."""
    arrays = (array.tolist() for array in index.column(path, **of))
    return [tuple(map(str, point)) for point in zip(*arrays, strict=True)]


def expected(data: bytes) -> dict[str, list[Any]]:
    """The same by the exact reader."""
    found: dict[str, list[Any]] = {}
    for row in read_history(data).rows:
        for path, value in leaves(row):
            if isinstance(value, (int, float)) and path not in ("_step", "_timestamp"):
                point = row["_step"], float(row.get("_timestamp", math.nan)), float(value)
                found.setdefault(path, []).append(tuple(map(str, point)))
    return found


def objects(index: RunIndex, data: bytes, **of: str) -> dict[Any, Any]:
    """Each object with its value, taken from the line that the index names."""
    found = {}
    for step, path, kind, offset, length in index.objects(**of):
        value = dict(leaves(decode(data[offset : offset + length])[0]))[path]
        assert str(value["_type"]) == kind
        found[step, path] = value
    return found


def expected_objects(data: bytes) -> dict[Any, Any]:
    """The same by the exact reader."""
    return {
        (row["_step"], path): value
        for row in read_history(data).rows
        for path, value in sorted(leaves(row), key=lambda leaf: leaf[0])
        if isinstance(value, dict) and "_type" in value
    }


def assert_exact(index: RunIndex, data: bytes, **of: str) -> None:
    """The index says of a metrics stream what the exact reader says."""
    assert said(index, **of) == expected(data)
    assert str(objects(index, data, **of)) == str(expected_objects(data))
    history = read_history(data, stream_name("metrics", **of))
    problems = [problem for problem in index.problems() if problem.path == stream_name("metrics", **of)]
    assert problems == [problem for problem in history.problems if problem.rule != "R020"]
    rows = history.rows
    assert index.column("_step", **of).step.tolist() == [row["_step"] for row in rows]
    assert points(index, "_timestamp", **of) == [
        (str(row["_step"]), str(float(row["_timestamp"])), str(float(row["_timestamp"])))
        for row in rows
        if "_timestamp" in row
    ]
