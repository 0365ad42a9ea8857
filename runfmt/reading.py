"""One run directory, as any reader sees it; nothing here writes.

Works the same on a finished run, on one that is being written, on one that
crashed, and on one that is damaged.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

from runfmt.documents import read_document
from runfmt.edits import ATTRIBUTES, overlay
from runfmt.errors import FormatError
from runfmt.history import History, Problem, read_history, read_lines
from runfmt.layout import (
    CONFIG,
    EDITS,
    METRICS,
    RUN,
    SUMMARY,
    is_private,
    is_safe,
    is_stream,
    is_uid,
    writer_of,
)
from runfmt.rows import decode
from runfmt.summary import Aggregate, summarise

__all__ = ["StoredRun", "find_runs"]

STATES = ("running", "finished", "failed", "killed", "preempted")
CRASHED_AFTER = 300.0
"""Seconds without a new line after which a running run has crashed (R019)."""


def find_runs(root: Path) -> Iterator[Path]:
    """All run directories at or below a folder, in the order of their paths (R001).

    Does not descend into runs, private folders (R005) or symbolic links (R006).
    """
    if (root / RUN).is_file() or (root / METRICS).is_file():
        yield root
        return
    try:
        entries = sorted(os.scandir(root), key=lambda entry: entry.name)
    except NotADirectoryError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False) and not is_private(entry.name):
            yield from find_runs(Path(entry.path))


class StoredRun:
    """A run directory, read when asked and then kept; make a new one to look again.

    Problems are collected, not raised; a run that must be refused (R011, R012)
    raises ``FormatError`` here already.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.document, self._document_problem = _read_run_document(self.path)

    def __repr__(self) -> str:
        return f"StoredRun({str(self.path)!r})"

    @property
    def id(self) -> str:
        """The id in ``run.json``, or the directory's name in a damaged run."""
        return str(self.document.get("id") or self.path.absolute().name)

    @property
    def uid(self) -> str | None:
        """The run's identity, None in a damaged run."""
        return None if self.is_damaged else self.document["uid"]

    @property
    def is_damaged(self) -> bool:
        """Whether ``run.json`` is missing or not readable (R010)."""
        return self._document_problem is not None and self._document_problem.rule == "R010"

    def state(self, now: float | None = None) -> str:
        """The derived state at a Unix time, by default now (R010, R019)."""
        if self.is_damaged:
            return "damaged"
        state = str(self.document["state"])
        if state != "running":
            return state
        newest = self.newest_line
        age = (time.time() if now is None else now) - newest
        return "crashed" if age > CRASHED_AFTER else "running"

    @cached_property
    def newest_line(self) -> float:
        """Unix time of the newest line, or of the creation (R019)."""
        times = [_last_timestamp(self.path / name) for name in self.stream_names if name.endswith(".jsonl")]
        known = [found for found in times if found is not None]
        return max(known) if known else _unix_time(self.document.get("created_at"))

    @cached_property
    def stream_names(self) -> list[str]:
        """The names of the streams in the run, sorted (R003)."""
        with os.scandir(self.path) as entries:
            files = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        return sorted(name for name in files if is_stream(name) and not is_private(name))

    @cached_property
    def writers(self) -> dict[str, str]:
        """The metrics stream of each writer, the main one first if it is there."""
        named = [(writer_of(name), name) for name in self.stream_names]
        found = sorted((writer != "main", writer, name) for writer, name in named if writer is not None)
        return {writer: name for _, writer, name in found}

    def history(self, writer: str = "main") -> History:
        """The history of a writer; empty if there is no such stream."""
        if writer not in self._histories:
            self._histories[writer] = self._read_history(writer)
        return self._histories[writer]

    @cached_property
    def _histories(self) -> dict[str, History]:
        return {}

    def _read_history(self, writer: str) -> History:
        name = self.writers.get(writer)
        if name is None:
            return History(writer=writer)
        with open(self.path / name, "rb") as stream:
            return read_history(stream, name, writer, self.may_open)

    def may_open(self, path: object) -> bool:
        """Whether a path in a value names a file of this run (R070)."""
        if not isinstance(path, str) or not is_safe(path):
            return False
        return not any(path == link or path.startswith(link + "/") for link in self.links)

    @cached_property
    def links(self) -> list[str]:
        """The symbolic links below the run, which are no part of it (R006)."""
        return sorted(name for name, is_link in _walk(self.path) if is_link)

    @cached_property
    def files(self) -> list[str]:
        """The relative paths of everything that is part of the run, sorted."""
        return sorted(name for name, is_link in _walk(self.path) if not is_link)

    def events(self, kind: str = "events", writer: str = "main") -> list[dict[str, Any]]:
        """The good lines of ``events.jsonl`` or, with ``kind="system"``, of ``system.jsonl``."""
        names = [name for name in self.stream_names if writer_of(name, kind) == writer]
        rows: list[dict[str, Any]] = []
        for name in names:
            _check_lines(self.path, name, rows)
        return rows

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """``run.json`` with the edits laid over."""
        return {**self.document, **{key: self._edited[key] for key in ATTRIBUTES}}

    @property
    def config(self) -> dict[str, Any]:
        """``config.json`` with the edits laid over."""
        config: dict[str, Any] = self._edited["config"]
        return config

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The summary, computed from the main writer's stream, with the edits laid over (R080-R088)."""
        history = self.history()
        aggregate = Aggregate(history.definitions)
        for row in history.rows:
            aggregate.add(row)
        recorded = {"config": {}, "summary": summarise(aggregate, history.hand)}
        summary: dict[str, Any] = overlay(recorded, self._edits[0])[0]["summary"]
        return summary

    @cached_property
    def _edits(self) -> tuple[dict[str, Any], list[Problem]]:
        return self._read_optional(EDITS)

    @cached_property
    def _recorded_config(self) -> tuple[dict[str, Any], list[Problem]]:
        return self._read_optional(CONFIG)

    def _read_optional(self, name: str) -> tuple[dict[str, Any], list[Problem]]:
        try:
            return ({} if (self.path / name).is_symlink() else read_document(self.path / name)), []
        except (FormatError, OSError) as error:
            return {}, [Problem(name, -1, "R091", str(error))]

    @cached_property
    def _edited(self) -> dict[str, Any]:
        recorded = {key: _typed(self.document.get(key), kind) for key, kind in ATTRIBUTES.items()}
        return overlay({**recorded, "config": self._recorded_config[0], "summary": {}}, self._edits[0])[0]

    @cached_property
    def problems(self) -> list[Problem]:
        """Everything in the run that is not as the specification says, by path and offset."""
        found = [self._document_problem] if self._document_problem else []
        found += [*self._recorded_config[1], *self._edits[1], *self._read_optional(SUMMARY)[1]]
        if overlay({"config": {}, "summary": {}}, self._edits[0])[1]:
            found.append(
                Problem(EDITS, -1, "R094", "an entry has not the form of an edit, or may not be edited")
            )
        found += [Problem(link, -1, "R006", "a symbolic link is not part of a run") for link in self.links]
        for name in self.stream_names:
            writer = writer_of(name)
            known = self.history(writer).problems if writer else _check_lines(self.path, name, [])
            found += known
        return sorted(set(found))

    def describe(self, now: float | None = None) -> dict[str, Any]:
        """All of the run as one object: what the conformance vectors expect."""
        return {
            "state": self.state(now),
            "run": {
                "id": self.id,
                **{key: self.attributes[key] for key in ("project", "name", "notes", "tags")},
            },
            "config": self.config,
            "rows": {writer: self.history(writer).rows for writer in self.writers},
            "problems": self.problems,
            "summary": self.summary,
        }


def _typed(value: Any, kind: type) -> Any:
    return value if isinstance(value, kind) else kind()


def _read_run_document(path: Path) -> tuple[dict[str, Any], Problem | None]:
    try:
        document = {} if (path / RUN).is_symlink() else read_document(path / RUN)
    except (FormatError, OSError) as error:
        return {}, Problem(RUN, -1, "R010", str(error))
    _refuse_future(document, str(path / RUN))
    if wrong := _wrong_key(document):
        text = (
            f"no readable {wrong}; `runfmt recover` makes the run whole again"
            if document
            else "missing or empty"
        )
        return document, Problem(RUN, -1, "R010", text)
    if document["id"] != path.absolute().name:
        return document, Problem(RUN, -1, "R014", f"id {document['id']!r} is not the directory's name")
    return document, None


def _refuse_future(document: dict[str, Any], path: str) -> None:
    version, requires = document.get("runfmt"), document.get("requires")
    if isinstance(version, int) and not isinstance(version, bool) and version != 1:
        raise FormatError("R011", f"format version {version} is newer than this runfmt: upgrade it", path)
    if isinstance(requires, list) and requires and all(isinstance(name, str) for name in requires):
        raise FormatError("R012", f"the run requires {', '.join(requires)}: upgrade runfmt", path)


def _wrong_key(document: dict[str, Any]) -> str | None:
    checks = {
        "runfmt": document.get("runfmt") == 1 and not isinstance(document.get("runfmt"), (bool, float)),
        "requires": document.get("requires") == [],
        "uid": is_uid(document.get("uid")),
        "id": isinstance(document.get("id"), str),
        "state": document.get("state") in STATES,
    }
    return next((key for key, good in checks.items() if not good), None)


def _check_lines(run: Path, name: str, rows: list[dict[str, Any]]) -> list[Problem]:
    """Read any stream but metrics: the good lines go to ``rows``, the problems come back."""
    problems: list[Problem] = []
    with open(run / name, "rb") as stream:
        for offset, line in read_lines(stream):
            if line == b"":
                problems.append(Problem(name, offset, "R020", "an unfinished last line was left out"))
            elif name.endswith(".log"):
                continue
            elif line is None:
                problems.append(Problem(name, offset, "R027", "a line over 10 MiB was left out"))
            else:
                try:
                    rows.append(decode(line)[0])
                except FormatError as error:
                    problems.append(Problem(name, offset, error.rule, error.message))
    return problems


def _last_timestamp(path: Path) -> float | None:
    """``_timestamp`` of the last committed line that has one, read from the end."""
    with open(path, "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        window = min(size, 65536)
        while True:
            stream.seek(size - window)
            *lines, _ = stream.read(window).split(b"\n")
            for line in reversed(lines if window == size else lines[1:]):
                found = _timestamp(line)
                if found is not None:
                    return found
            if window == size:
                return None
            window = min(size, window * 8)


def _timestamp(line: bytes) -> float | None:
    try:
        value = decode(line)[0].get("_timestamp")
    except FormatError:
        return None
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _unix_time(text: object) -> float:
    """Unix seconds of a time in ``run.json``; 0 if it is none."""
    try:
        return datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return 0.0


def _walk(root: Path, prefix: str = "") -> Iterator[tuple[str, bool]]:
    """Relative paths of the files and symbolic links below a run, private names left out."""
    with os.scandir(root) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.name.startswith("."):
                continue
            if entry.is_symlink():
                yield name, True
            elif entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path), name + "/")
            elif entry.is_file(follow_symlinks=False):
                yield name, False
