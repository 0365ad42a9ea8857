"""The words in which vectors are written. Nothing here reads a run: what a reader finds stands by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

T0 = 1732417554.0
"""2024-11-24T03:05:54Z: row k of a vector was written k seconds later."""
NOW = T0 + 246
"""The time at which all vectors are read."""
UID = "0193572c-7c8e-7cc1-a4a5-0f3c2d1b9e77"
IDENTITY = {"runfmt": 1, "requires": [], "uid": UID, "id": "run", "state": "finished"}
SHOWN = {"id": "run", "project": "", "name": "", "notes": "", "tags": []}
METRICS = "metrics.jsonl"


@dataclass(frozen=True)
class Link:
    """A symbolic link, which is no part of a run (R006)."""

    target: str


def row(step: Any, keys: dict[str, Any] | None = None, *, at: Any = None, **more: Any) -> dict[str, Any]:
    """A row of the metrics stream; ``at`` is its time."""
    return {"_step": step, "_timestamp": T0 + step if at is None else at, **(keys or {}), **more}


def line(item: Any) -> bytes:
    """An object or a text as a whole line; bytes stand as they are."""
    if isinstance(item, bytes):
        return item
    return (item if isinstance(item, str) else text(item)).encode() + b"\n"


def text(value: Any, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, **(options or {"separators": (",", ":")}))


def run(**changes: Any) -> dict[str, Any]:
    """A ``run.json``; a change to None takes the key away."""
    return {key: value for key, value in {**IDENTITY, **changes}.items() if value is not None}


@dataclass
class Named:
    """What every vector has: a name in its group, the rules that it shows, and what it is, in a sentence."""

    name: str
    rules: str
    what: str

    def all_rules(self) -> list[str]:
        return sorted(self.rules.split())


@dataclass
class Vector(Named):
    """A run, and what a reader must give.

    ``files`` maps a path to its contents: a list of lines (see :func:`line`), an object,
    bytes, or a :class:`Link`; ``metrics`` is short for ``metrics.jsonl``. ``rows`` are
    those of the main writer, or a map from writer to rows. A problem is
    ``(rule, path, number of the line)``, ``(rule, path)`` for a whole file, or
    ``(rule, number)`` for a line of ``metrics.jsonl``.
    """

    metrics: list[Any] | None = None
    files: dict[str, Any] = field(default_factory=dict)
    run: Any = field(default_factory=run)
    state: str = "finished"
    shown: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    rows: Any = None
    problems: list[tuple[Any, ...]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)

    def all_rules(self) -> list[str]:
        return sorted({*self.rules.split(), *(problem[0] for problem in self.problems)})

    def contents(self) -> dict[str, Any]:
        """Everything that lies in the vector's directory, by path."""
        files = {"run.json": self.run, METRICS: self.metrics, **self.files}
        below = {f"run/{path}": as_bytes(item) for path, item in files.items() if item is not None}
        return {**below, "expected.json": as_bytes(self.expected())}

    def expected(self) -> dict[str, Any]:
        problems = [self._problem(*problem) for problem in self.problems]
        if self.state == "refused":
            return {"state": self.state, "problems": problems}
        return {
            "state": self.state,
            "run": {**SHOWN, **self.shown},
            "config": self.config,
            "rows": self._rows(),
            "problems": problems,
            "summary": self.summary,
        }

    def _rows(self) -> dict[str, Any]:
        if isinstance(self.rows, dict):
            return self.rows
        return {} if self.metrics is None else {"main": self.rows or []}

    def _problem(self, rule: str, path: Any, number: int | None = None) -> dict[str, Any]:
        if isinstance(path, int):
            path, number = METRICS, path
        if number is None:
            return {"rule": rule, "path": path, "offset": None}
        lines = self.metrics if path == METRICS else self.files[path]
        return {"rule": rule, "path": path, "offset": sum(len(line(item)) for item in lines[:number])}


@dataclass
class Merging(Named):
    """Two ``edits.json`` of one run, and what both are after they met (R096)."""

    ours: dict[str, Any]
    theirs: dict[str, Any]
    merged: dict[str, Any]

    def contents(self) -> dict[str, Any]:
        files = {"ours.json": self.ours, "theirs.json": self.theirs, "expected.json": self.merged}
        return {name: as_bytes(document) for name, document in files.items()}


@dataclass
class Writing(Named):
    """What a writer is asked to do, and the lines that it then writes, or the rule that refuses."""

    calls: list[dict[str, Any]]
    rows: list[dict[str, Any]] | None = None
    refused: str | None = None

    def contents(self) -> dict[str, Any]:
        expected = {"rows": self.rows} if self.refused is None else {"refused": self.refused}
        calls = json.dumps(self.calls, indent=2).encode() + b"\n"  # in ASCII: a lone surrogate has no UTF-8
        return {"input.json": calls, "expected.json": as_bytes(expected)}


def as_bytes(item: Any) -> bytes | Link:
    if isinstance(item, dict):
        return text(item, indent=2).encode() + b"\n"
    return b"".join(map(line, item)) if isinstance(item, list) else item


def write(folder: Path, contents: dict[str, Any]) -> None:
    """Lay files out below a folder."""
    for path, item in contents.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(item, Link):
            target.symlink_to(item.target)
        else:
            target.write_bytes(item)
