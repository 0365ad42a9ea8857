"""A range of a stream's lines as columns of numbers: pure functions on its lines, but for :func:`logged`.

What the lines say is decided by :mod:`runfmt.history`; here the logical rows are only turned on
their side. Most rows have the keys of the row before, so a row costs one look at its shape.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson

from runfmt.errors import FormatError
from runfmt.history import MAX_PROBLEMS, Reader, is_time
from runfmt.layout import MAX_DEPTH, MAX_ROW, MAX_STEP, is_safe
from runfmt.rows import RESERVED, decode, escape, leaves, split_path

__all__ = ["Lines", "Object", "Part", "logged", "metrics_part", "system_part"]

NUMBERS = {int, float, bool}
ALWAYS = ("_step", "_timestamp")
SPECIAL = frozenset(RESERVED).difference(ALWAYS)

Lines = Iterable[tuple[int, bytes | None]]
"""Lines with their offsets in the stream, as of :func:`runfmt.history.read_lines`."""


class Object(NamedTuple):
    """A value with a ``_type``: where it stands in the history, and the line that holds it in the stream."""

    step: int
    path: str
    type: str
    offset: int
    length: int


def logged(stream: Path, where: Object) -> tuple[Any, Any]:
    """A value with a ``_type`` as its line has it, and the line's time. Raises ``OSError``."""
    with open(stream, "rb") as file:
        value: Any = decode(os.pread(file.fileno(), where.length, where.offset))[0]
    time = value.get("_timestamp")
    for key in split_path(where.path):
        value = value[key]
    return value, time


@dataclass
class Part:
    """The logical rows of a range, sorted by step, and what else its lines say.

    Column ``i`` has ``counts[i]`` values; those of all columns lie one after the other in
    ``values``, and ``rows`` says to which row each belongs.
    """

    steps: Any  # (n,) int64
    times: Any  # (n,) float64, NaN where a row has none
    paths: list[str]
    counts: Any  # (columns,) uint32
    values: Any  # (sum of counts,) float64
    rows: Any  # (sum of counts,) uint32
    others: list[str] = field(default_factory=list)
    """Paths at which something else than a number or an object was, a null too."""
    objects: list[Object] = field(default_factory=list)
    definitions: list[Any] = field(default_factory=list)
    """The values of the ``_define`` rows."""
    rewinds: list[tuple[int, float | None]] = field(default_factory=list)
    """Step and time of each rewind; in the rows here they are done."""
    problems: list[tuple[int, str, str]] = field(default_factory=list)
    """Offset, rule and text of what is wrong in the lines."""


def metrics_part(lines: Lines) -> Part:
    """What a range of a metrics stream says, as if there were nothing else (R023-R056)."""
    reader = _Reader()
    for offset, line in lines:
        reader.take(offset, line)
    part = _part(reader.finish().rows, reader.objects)
    part.definitions, part.rewinds, part.problems = reader.definitions, reader.rewinds, reader.problems
    return part


def system_part(lines: Lines) -> Part:
    """The samples of a system stream (R100); the offset of a line is its step, a list is like an object."""
    problems: list[tuple[int, str, str]] = []
    part = _part([*_samples(lines, problems)], {})
    part.problems = problems
    return part


class _Reader(Reader):
    """Also notes in which lines objects stand, and what the control rows said."""

    def __init__(self) -> None:
        super().__init__("", "", is_safe)
        self.time: float | None = None
        self.objects: dict[int, tuple[Any, int, int]] = {}
        self.definitions: list[Any] = []
        self.rewinds: list[tuple[int, float | None]] = []
        self.problems: list[tuple[int, str, str]] = []

    def report(self, offset: int, rule: str, text: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append((offset, rule, text))

    def take(self, offset: int, line: bytes | None) -> None:
        """Take a line; of one that is a row behind the others and nothing else there is little to ask."""
        row = _plain_row(line) if line and self.ascends else None
        if row is None or row["_step"] <= next(reversed(self.steps), -1):
            super().take(offset, line)
        else:
            self.steps[row["_step"]] = row

    def take_row(self, offset: int, step: int, row: dict[str, Any], line: bytes) -> None:
        time = row.get("_timestamp")
        self.time = time if is_time(time) else None
        if b"_type" in line or b"\\u" in line:
            for _, value in leaves(row):
                if isinstance(value, dict):  # itself, so that no other has its id
                    self.objects[id(value)] = (value, offset, len(line))
        super().take_row(offset, step, row, line)

    def _rewind(self, offset: int, step: int, value: Any) -> bool:
        is_good = super()._rewind(offset, step, value)
        if is_good:
            self.rewinds.append((int(value), self.time))
        return is_good

    def _define(self, offset: int, step: int, value: Any) -> bool:
        is_good = super()._define(offset, step, value)
        if is_good:
            self.definitions.append(value)
        return is_good


def _plain_row(line: bytes) -> dict[str, Any] | None:
    """The row of a line without any key that has a meaning but step and time, None for all others."""
    is_flat = line.find(b"{", 1) < 0 and line.find(b"[") < 0
    if not is_flat and (
        line.count(b'"_') != 2 or b"\\" in line or line.count(b"{") + line.count(b"[") > MAX_DEPTH
    ):
        return None
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if type(row) is not dict or not row.keys().isdisjoint(SPECIAL) or not is_time(row.get("_timestamp")):
        return None
    step = row.get("_step")
    return row if type(step) is int and step <= MAX_STEP else None


def _samples(lines: Lines, problems: list[tuple[int, str, str]]) -> Iterator[dict[str, Any]]:
    for offset, line in lines:
        try:
            if line is None:
                raise FormatError("R027", f"a line of more than {MAX_ROW:,} bytes was left out")
            row = decode(line)[0]
        except FormatError as error:
            if len(problems) < MAX_PROBLEMS:
                problems.append((offset, error.rule, error.message))
            continue
        time = row.pop("_timestamp", None)
        said = {key: _as_object(value) for key, value in row.items() if key != "_step"}
        yield {"_step": offset, **({"_timestamp": time} if is_time(time) else {}), **said}


def _as_object(value: Any) -> Any:
    if isinstance(value, list):
        value = {str(place): item for place, item in enumerate(value)}
    return {key: _as_object(item) for key, item in value.items()} if isinstance(value, dict) else value


def _part(rows: list[dict[str, Any]], places: Mapping[int, tuple[Any, int, int]]) -> Part:
    """Turn rows on their side."""
    table = _Table()
    objects = []
    for number, row in enumerate(rows):
        if set(map(type, row.values())) <= NUMBERS:
            table.add(number, tuple(row), row.values())
            continue
        numbers = {}
        for path, value in leaves(row):
            if type(value) in NUMBERS:
                numbers[path] = value
            elif isinstance(value, dict) and "_type" in value and id(value) in places:
                _, offset, length = places[id(value)]
                objects.append(Object(row["_step"], path, str(value["_type"]), offset, length))
            else:
                table.others[path] = None
        table.add(number, tuple(numbers), numbers.values(), are_paths=True)
    return table.part(rows, objects)


class _Table:
    """Collects the numbers of rows, row by row."""

    def __init__(self) -> None:
        self.others: dict[str, None] = {}
        self._columns: dict[str, int] = {}
        self._shapes: dict[tuple[bool, tuple[str, ...]], Any] = {}
        self._numbers: list[int] = []
        self._ids: list[Any] = []
        self._values: list[float] = []

    def add(
        self, number: int, names: tuple[str, ...], values: Iterable[Any], *, are_paths: bool = False
    ) -> None:
        """Add a row: its values, and their paths or top-level keys."""
        ids = self._shapes.get((are_paths, names))
        if ids is None:
            paths = names if are_paths else map(escape, names)
            ids = [self._columns.setdefault(path, len(self._columns)) for path in paths]
            ids = self._shapes[are_paths, names] = np.array(ids, dtype=np.uint32)
        self._numbers.append(number)
        self._ids.append(ids)
        self._values.extend(values)

    def part(self, rows: list[dict[str, Any]], objects: list[Object]) -> Part:
        """All of them, column by column."""
        lengths = [len(ids) for ids in self._ids]
        ids = np.concatenate([np.zeros(0, np.uint32), *self._ids])
        numbers: Any = np.repeat(np.array(self._numbers, dtype=np.uint32), lengths)
        values = np.fromiter(self._values, np.float64, len(ids))
        for name in ALWAYS:  # they have arrays of their own
            kept = ids != self._columns.get(name, len(self._columns))
            ids, numbers, values = ids[kept], numbers[kept], values[kept]
        if len(self._columns) < 2**16:  # numpy sorts these by radix
            ids = ids.astype(np.uint16)
        order = np.argsort(ids, kind="stable")
        counts = np.bincount(ids, minlength=len(self._columns))
        paths = [path for path, count in zip(self._columns, counts, strict=True) if count]
        return Part(
            steps=np.array([row["_step"] for row in rows], dtype=np.int64),
            times=np.array([row.get("_timestamp", np.nan) for row in rows], dtype=np.float64),
            paths=paths,
            counts=counts[counts > 0].astype(np.uint32),
            values=values[order],
            rows=numbers[order],
            others=[*self.others],
            objects=objects,
        )
