"""Streams as series of points, for charts and panels."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard

from runfmt.errors import FormatError
from runfmt.history import Reader, read_lines
from runfmt.layout import MAIN, is_safe, stream_name, writer_of
from runfmt.reading import StoredRun
from runfmt.rows import leaves
from runfmt_sync.server.questions import Curve, CurvesAsked

__all__ = ["Series", "Stream"]

KEPT = 32
"""Streams that are held."""
MOST_MARKS = 100
Points = tuple[list[float], list[float], list[tuple[float, str]]]


@dataclass
class Stream:
    """The logical rows of one stream."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    definitions: list[dict[str, Any]] = field(default_factory=list)
    rewinds: list[dict[str, Any]] = field(default_factory=list)

    @cached_property
    def flat(self) -> list[dict[str, Any]]:
        """The rows by path."""
        return [dict(leaves(row)) for row in self.rows]

    @cached_property
    def kinds(self) -> dict[str, str]:
        """What the values of each key are."""
        found: dict[str, str] = {}
        for row in self.flat:
            for key, value in row.items():
                if value is not None and key not in ("_step", "_timestamp") and found.get(key) != "number":
                    found[key] = _kind(value)
        return found

    def rows_with(self, key: str) -> list[tuple[int, float | None, Any]]:
        """Step, time and value where a key has one."""
        return [
            (row["_step"], row.get("_timestamp"), row[key]) for row in self.flat if row.get(key) is not None
        ]

    def points(self, key: str, x: str) -> Points:
        """``x`` and the numbers of a key; what is not finite stands apart."""
        begin = next((row["_timestamp"] for row in self.flat if "_timestamp" in row), 0.0)
        xs: list[float] = []
        ys: list[float] = []
        marks: list[tuple[float, str]] = []
        for row in self.flat:
            at, value = row.get("_timestamp" if x == "_runtime" else x), row.get(key)
            if not _is_number(value) or not _is_number(at) or not math.isfinite(at):
                continue
            at = at - begin if x == "_runtime" else at
            if math.isfinite(value):
                xs.append(float(at))
                ys.append(float(value))
            else:
                marks.append((float(at), _word(value)))
        return xs, ys, marks


def _kind(value: Any) -> str:
    if _is_number(value):
        return "number"
    if isinstance(value, dict):
        return str(value.get("_type", "object"))
    return "text" if isinstance(value, str) else "list"


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float))


def _word(value: float) -> str:
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def stream_names(folder: Path) -> list[str]:
    """The names of a run's streams; none where it must be refused."""
    try:
        return StoredRun(folder).stream_names
    except FormatError:
        return []


class Series:
    """The streams of runs, those that were asked for lately held; may be used by several threads."""

    def __init__(self) -> None:
        self._held: OrderedDict[Path, tuple[tuple[int, int, int], Stream]] = OrderedDict()
        self._lock = threading.Lock()

    def all_of(self, folder: Path, kind: str) -> Iterator[Stream]:
        """The streams of a kind, one a writer."""
        for name in stream_names(folder):
            if (writer := writer_of(name, kind)) is not None:
                yield self.of(folder, kind, writer)

    def of(self, folder: Path, kind: str, writer: str = MAIN) -> Stream:
        """A writer's stream, empty if there is none that can be read."""
        try:
            path = folder / stream_name(kind, writer)
            status = path.lstat()
            look = status.st_size, status.st_mtime_ns, status.st_ino
            with self._lock:
                held = self._held.get(path)
            if held is None or held[0] != look:
                held = look, _read(path, kind)
            with self._lock:
                self._held[path] = held
                self._held.move_to_end(path)
                while len(self._held) > KEPT:
                    self._held.popitem(last=False)
            return held[1]
        except (OSError, ValueError):
            return Stream()

    def curves(self, runs: Mapping[str, Path], asked: CurvesAsked) -> dict[str, Any]:
        """Each curve as it is asked for, reduced where it has more points than wanted."""
        found = [self._points(runs, curve, asked) for curve in asked.curves]
        every = [x for points in found for x in points[0]]
        low = asked.low if asked.low is not None else min(every, default=0.0)
        high = asked.high if asked.high is not None else max(every, default=0.0)
        curves = []
        for curve, points in zip(asked.curves, found, strict=True):
            said = {"uid": curve.uid, "key": curve.key, "writer": curve.writer}
            curves.append(said | _shown(points, low, high, asked.points))
            if curve.uid not in runs:
                curves[-1]["problem"] = "the run is not there"
            else:
                curves[-1]["rewinds"] = [
                    r["step"] for r in self.of(runs[curve.uid], curve.stream, curve.writer).rewinds
                ]
        return {"from": low, "to": high, "curves": curves}

    def _points(self, runs: Mapping[str, Path], curve: Curve, asked: CurvesAsked) -> Points:
        if curve.uid not in runs:
            return [], [], []
        return self.of(runs[curve.uid], curve.stream, curve.writer).points(curve.key, asked.x)


class _Reader(Reader):
    """Also says where the stream went back."""

    def __init__(self, path: str) -> None:
        super().__init__(path, MAIN, is_safe)
        self.rewinds: list[dict[str, Any]] = []

    def _rewind(self, offset: int, step: int, value: Any) -> bool:
        is_one = super()._rewind(offset, step, value)
        if is_one:
            self.rewinds.append({"step": int(value), "time": self.history.last_timestamp})
        return is_one


def _read(path: Path, kind: str) -> Stream:
    with open(path, "rb") as file:
        if kind == "metrics":
            reader = _Reader(path.name)
            for offset, line in read_lines(file):
                reader.take(offset, line)
            history = reader.finish()
            definitions = [one.row() for one in history.definitions.by_name.values()]
            return Stream(history.rows, definitions, reader.rewinds)
    rows = StoredRun(path.parent).events(kind, writer_of(path.name, kind) or MAIN)
    return Stream([{"_step": step, **row} for step, row in enumerate(rows)])


def _shown(points: Points, low: float, high: float, count: int) -> dict[str, Any]:
    inside = [(x, y) for x, y in zip(*points[:2], strict=True) if low <= x <= high]
    marks = [[x, word] for x, word in points[2] if low <= x <= high][:MOST_MARKS]
    said: dict[str, Any] = {"count": len(inside), "marks": marks, "rewinds": []}
    if len(inside) <= count:
        return said | {"x": [x for x, _ in inside], "y": [y for _, y in inside]}
    buckets: dict[int, list[tuple[float, float]]] = {}
    for x, y in inside:
        number = int((x - low) / (high - low) * count) if high > low else 0
        buckets.setdefault(min(number, count - 1), []).append((x, y))
    there = sorted(buckets.items())
    values = [[y for _, y in part] for _, part in there]
    return said | {
        "x": [part[0][0] for _, part in there],
        "y": [math.fsum(ys) / len(ys) for ys in values],
        "min": [*map(min, values)],
        "max": [*map(max, values)],
        "bucket": [number for number, _ in there],
    }
