"""Keys, curves and values of runs, out of their indexes (H072-H076): no stream is read twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from runfmt.errors import FormatError, explain
from runfmt.layout import stream_name
from runfmt.rows import marked
from runfmt_sync.curves import XY, against, extent, over_runtime, over_step, over_time, reduce
from runfmt_sync.index import Behind, Object, RunIndex, logged
from runfmt_sync.server.indexes import Indexes
from runfmt_sync.server.questions import Curve, CurvesAsked, KeysAsked, ObjectsAsked

__all__ = ["Series"]

KEPT_POINTS = 8 * 2**20
"""Points that are held from finding the range of a question to answering it; others are read again."""
MOST_KEYS = 20_000
MOST_STEPS = 10_000
GONE = {"problem": "the run is not there any more"}
PENDING = {"pending": True}

Runs = Mapping[str, Path]


class Series:
    """May be used by several threads."""

    def __init__(self, indexes: Indexes) -> None:
        self._indexes = indexes

    def _all(self, runs: Runs, uids: Iterable[str]) -> tuple[dict[str, RunIndex], dict[str, dict[str, Any]]]:
        """The index of each run; or what is said of it instead, that it is read or what is wrong with it."""
        found: dict[str, RunIndex] = {}
        others: dict[str, dict[str, Any]] = {}
        for uid in dict.fromkeys(uids):
            folder = runs.get(uid)
            if folder is None:
                others[uid] = GONE
                continue
            try:
                found[uid] = self._indexes.of(folder)
            except Behind:
                others[uid] = PENDING
            except FileNotFoundError:
                others[uid] = GONE
            except (FormatError, OSError) as error:
                others[uid] = {"problem": explain(error)}
        return found, others

    def keys(self, runs: Runs, asked: KeysAsked) -> dict[str, Any]:
        """Which keys some runs have (H072)."""
        found, others = self._all(runs, asked.uids)
        counts: Counter[str] = Counter()
        kinds: dict[str, str] = {}
        definitions: dict[str, dict[str, Any]] = {}
        writers: set[str] = set()
        for index in found.values():
            numbers: set[str] = set()
            objects: dict[str, str] = {}
            writers.update(index.writers(asked.stream))
            for writer in index.writers(asked.stream):
                numbers.update(index.numbers(asked.stream, writer))
                objects |= {one.path: one.type for one in index.objects(asked.stream, writer)}
            counts.update(numbers | objects.keys())
            kinds |= objects | dict.fromkeys(numbers & objects.keys(), "number")
            if asked.stream == "metrics":
                definitions |= {name: one.row() for name, one in index.definitions().by_name.items()}
        keys = sorted(counts)[:MOST_KEYS]
        return {
            "keys": [{"key": key, "kind": kinds.get(key, "number"), "runs": counts[key]} for key in keys],
            "definitions": [*definitions.values()],
            "writers": sorted(writers),
            "left": len(counts) - len(keys),
            "problems": {uid: said["problem"] for uid, said in others.items() if "problem" in said},
            "pending": [uid for uid, said in others.items() if "pending" in said],
        }

    def curves(self, runs: Runs, asked: CurvesAsked) -> dict[str, Any]:
        """Each curve as it is asked for, reduced where it has more points than wanted (H073)."""
        found, others = self._all(runs, (curve.uid for curve in asked.curves))
        points = _Points(found, asked.x)
        low, high = asked.low, asked.high
        if low is None or high is None:
            ends = points.extent(curve for curve in asked.curves if curve.uid in found)
            low, high = ends[0] if low is None else low, ends[1] if high is None else high
        curves = []
        for curve in asked.curves:
            said: dict[str, Any] = {"uid": curve.uid, "key": curve.key, "writer": curve.writer}
            if curve.uid in others:
                curves.append(said | NO_POINTS | others[curve.uid])
            else:
                curves.append(said | points.reduced(curve, low, max(low, high), asked.points))
        return {"from": low, "to": high, "curves": curves}

    def objects(self, runs: Runs, asked: ObjectsAsked) -> dict[str, Any]:
        """The value of a key at a step, and the steps that have one (H076)."""
        found, others = self._all(runs, asked.uids)
        said: dict[str, Any] = {uid: NO_STEPS | instead for uid, instead in others.items()}
        for uid, index in found.items():
            there = [one for one in index.objects("metrics", asked.writer) if one.path == asked.key]
            below = [one for one in there if asked.step is None or one.step <= asked.step]
            said[uid] = NO_STEPS | {"steps": [one.step for one in there[-MOST_STEPS:]]}
            if below:
                path = runs[uid] / stream_name("metrics", asked.writer)
                said[uid] |= _value(path, below[-1])
                if asked.many:
                    said[uid]["values"] = [_value(path, one) for one in _evenly(below, asked.many)]
                said[uid] = marked(said[uid])
        return {"runs": said}


NO_STEPS: dict[str, Any] = {"steps": [], "step": None}
NO_POINTS: dict[str, Any] = {"count": 0, "x": [], "y": [], "marks": [], "rewinds": []}


def _evenly(found: Sequence[Object], many: int) -> list[Object]:
    """At most so many, the last among them."""
    stride = -(-len(found) // many)
    return [*found[::-1][::stride]][::-1]


def _value(stream: Path, where: Object) -> dict[str, Any]:
    """A value as it was logged."""
    value, time = logged(stream, where)
    return {"step": where.step, "time": time, "value": value}


class _Points:
    """The points of curves over one kind of ``x``; each curve is had once, if memory allows."""

    def __init__(self, found: Mapping[str, RunIndex], x: str) -> None:
        self._found, self._x = found, x
        self._kept: dict[Curve, XY] = {}
        self._left = KEPT_POINTS

    def extent(self, curves: Iterable[Curve]) -> tuple[float, float]:
        """The least and the greatest x of all."""
        ends = [found for curve in curves if (found := extent([self._of(curve)]))]
        return min((low for low, _ in ends), default=0.0), max((high for _, high in ends), default=0.0)

    def reduced(self, curve: Curve, low: float, high: float, buckets: int) -> dict[str, Any]:
        """A curve as it is told."""
        shown = reduce(self._of(curve), low, high, buckets)
        said = {"count": shown.count, "x": shown.x, "y": shown.y, "marks": shown.marks}
        if shown.bucket is not None:
            said |= {"min": shown.low, "max": shown.high, "bucket": shown.bucket}
        return said | {"rewinds": self._rewinds(curve)}

    def _of(self, curve: Curve) -> XY:
        kept = self._kept.get(curve)
        if kept is None:
            kept = self._read(curve)
            self._left -= len(kept[0])
            if self._left >= 0:
                self._kept[curve] = kept
        return kept

    def _read(self, curve: Curve) -> XY:
        index = self._found[curve.uid]
        points = index.column(curve.key, curve.stream, curve.writer)
        if self._x == "_step":
            return over_step(points)
        if self._x == "_timestamp":
            return over_time(points)
        if self._x == "_runtime":
            return over_runtime(points, _begin(index))
        return against(points, index.column(self._x, curve.stream, curve.writer))

    def _rewinds(self, curve: Curve) -> list[float]:
        """Where the stream went back, as far as that has a place on the axis."""
        if curve.stream != "metrics" or self._x not in ("_step", "_timestamp", "_runtime"):
            return []
        index = self._found[curve.uid]
        rewinds = index.rewinds(curve.writer)
        if self._x == "_step":
            return [step for step, _ in rewinds]
        begin = _begin(index) if self._x == "_runtime" else 0.0
        return [time - begin for _, time in rewinds if time is not None]


def _begin(index: RunIndex) -> float:
    """When the first row was logged, else the first sample was taken."""
    for stream in ("metrics", "system"):
        times = index.column("_step", stream).time
        if len(times) and not np.isnan(times).all():
            return float(times[np.argmax(~np.isnan(times))])
    return 0.0
