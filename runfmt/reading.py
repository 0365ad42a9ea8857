"""One run directory, as any reader sees it; nothing here writes.

Works the same on a finished run, on one that is being written, on one that
crashed, and on one that is damaged.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from runfmt.edits import ATTRIBUTES, is_attribute, overlay
from runfmt.errors import FormatError, warn
from runfmt.history import MAX_PROBLEMS, History, Problem, is_step, is_time, read_history, read_lines
from runfmt.layout import (
    CONFIG,
    EDITS,
    MAIN,
    MAX_ROW,
    MAX_STEP,
    METRICS,
    PRIVATE_STORE,
    RUN,
    SUMMARY,
    id_problem,
    is_private,
    is_safe,
    is_stream,
    is_uid,
    writer_of,
)
from runfmt.live import LiveSummary
from runfmt.rows import decode, marked
from runfmt.summary import Aggregate, summarise

__all__ = [
    "StoredRun", "describe", "find_folders", "find_runs", "has_crashed", "last_timestamp", "refuse_future",
    "unix_time",
]  # fmt: skip

STATES = ("running", "finished", "failed", "killed", "preempted")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
CRASHED_AFTER = 300.0
"""Seconds without a new line after which a running run has crashed (R019)."""


def find_runs(root: Path, say: Callable[[str], None] = warn) -> Iterator[Path]:
    """All run directories at or below a folder, in the order of their paths (R001).

    Does not descend into runs, private folders (R005), symbolic links (R006), or a remote that
    lies among the runs, whose copies would count twice. A link to a run is warned of, and so is
    a folder that cannot be looked into: by ``say``.
    """
    return map(Path, find_folders(os.fspath(root), say))


def find_folders(root: str, say: Callable[[str], None] = warn, *, is_top: bool = True) -> Iterator[str]:
    """:func:`find_runs` in texts: making a ``Path`` of each would take most of the time."""
    try:
        if _is_file(f"{root}/{RUN}") or _is_file(f"{root}/{METRICS}"):
            yield root
            return
        if not is_top and os.path.isdir(f"{root}/{PRIVATE_STORE}"):
            return
        entries = sorted(os.scandir(root), key=lambda entry: entry.name)
    except NotADirectoryError:
        return
    except PermissionError as error:
        say(f"{error.strerror} ({root}): runs in it are left out")
        return
    for entry in entries:
        if is_private(entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from find_folders(entry.path, say, is_top=False)
        elif entry.is_symlink() and _is_file(f"{entry.path}/{RUN}"):
            say(f"{entry.path} is a symbolic link to a run and is left out: name it to have it")


def _is_file(path: str) -> bool:
    """Whether this is a file. Raises ``PermissionError`` where one may not look."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


class StoredRun:
    """A run directory, read when asked and then kept; make a new one to look again.

    Problems are collected, not raised; a run that must be refused (R011, R012)
    raises ``FormatError`` here already.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.document, self._document_problems = _read_run_document(self.path)

    def __repr__(self) -> str:
        return f"StoredRun({str(self.path)!r})"

    @property
    def id(self) -> str:
        """The id in ``run.json``, or else the directory's name (R014)."""
        found = self.document.get("id")
        return found if isinstance(found, str) else self.path.absolute().name

    @property
    def where(self) -> str:
        """Where the run is, for people."""
        return str(self.path)

    @property
    def url(self) -> str:
        """Where the run is, as a URL."""
        return self.path.absolute().as_uri()

    @property
    def uid(self) -> str | None:
        """The run's identity, None in a damaged run."""
        return None if self.is_damaged else self.document["uid"]

    @property
    def is_damaged(self) -> bool:
        """Whether ``run.json`` is missing or not readable (R010)."""
        return any(problem.rule == "R010" for problem in self._document_problems)

    def state(self, now: float | None = None) -> str:
        """The derived state at a Unix time, by default now (R010, R019)."""
        if self.is_damaged:
            return "damaged"
        state = str(self.document["state"])
        if state != "running":
            return state
        return "crashed" if has_crashed(self.newest_line, now) else "running"

    @cached_property
    def newest_line(self) -> float:
        """Unix time of the newest line, or of the creation, or 0 (R019)."""
        streams = (name for name in self.stream_names if name.endswith(".jsonl"))
        return self.newest_of(last_timestamp(self.path / name) for name in streams)

    def newest_of(self, times: Iterable[float | None]) -> float:
        """The time of the newest line, if these are the last ones of the streams (R019)."""
        known = [time for time in times if time is not None]
        return max(known) if known else unix_time(self.document.get("created_at"))

    @cached_property
    def stream_names(self) -> list[str]:
        """The names of the streams in the run, sorted (R003)."""
        try:
            with os.scandir(self.path) as entries:
                files = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        except OSError:  # the run was removed meanwhile, or may not be read: `problems` says so
            return []
        return sorted(name for name in files if is_stream(name) and not is_private(name))

    @cached_property
    def writers(self) -> dict[str, str]:
        """The metrics stream of each writer, the main one first if it is there."""
        named = [(writer_of(name), name) for name in self.stream_names]
        found = sorted((writer != "main", writer, name) for writer, name in named if writer is not None)
        return {writer: name for _, writer, name in found}

    @property
    def length(self) -> int:
        """How many logical rows the main writer has."""
        return len(self.history().rows)

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
        try:
            with open(self.path / name, "rb") as stream:
                return read_history(stream, name, writer, self.may_open)
        except OSError as error:
            return History(writer=writer, problems=[_unreadable(name, error)])

    def may_open(self, path: object) -> bool:
        """Whether a path in a value names a file of this run (R070)."""
        if not isinstance(path, str) or not is_safe(path):
            return False
        return not any(path == link or path.startswith(link + "/") for link in self.links)

    @cached_property
    def links(self) -> list[str]:
        """The symbolic links below the run, which are no part of it (R006)."""
        return self._tree[1]

    @cached_property
    def files(self) -> list[str]:
        """The relative paths of everything that is part of the run, sorted."""
        return self._tree[0]

    @cached_property
    def _tree(self) -> tuple[list[str], list[str], list[Problem]]:
        """Files, symbolic links, and what is neither or cannot be looked into (R002)."""
        files: list[str] = []
        links: list[str] = []
        problems: list[Problem] = []
        folders = [""]
        while folders:
            folder = folders.pop()
            try:
                entries = [entry for entry in os.scandir(self.path / folder) if not is_private(entry.name)]
            except OSError as error:
                problems.append(_unreadable(folder.rstrip("/"), error))
                continue
            for entry in entries:
                name = folder + entry.name
                if entry.is_symlink():
                    links.append(name)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(name + "/")
                elif entry.is_file(follow_symlinks=False):
                    files.append(name)
                else:
                    problems.append(Problem(name, -1, "R002", "neither a file nor a directory was left out"))
        return sorted(files), sorted(links), problems

    def events(self, kind: str = "events", writer: str = "main") -> list[dict[str, Any]]:
        """The good lines of ``events.jsonl`` or, with ``kind="system"``, of ``system.jsonl``."""
        names = [name for name in self.stream_names if writer_of(name, kind) == writer]
        rows: list[dict[str, Any]] = []
        for name in names:
            _check_lines(self.path, name, rows)
        return rows

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """``run.json`` with the edits laid over; an attribute that is missing is empty."""
        return {**self.document, **{key: self._edited.get(key, kind()) for key, kind in ATTRIBUTES.items()}}

    @property
    def config(self) -> dict[str, Any]:
        """``config.json`` with the edits laid over."""
        config: dict[str, Any] = self._edited["config"]
        return config

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The summary, computed from the main writer's stream, with the edits laid over."""
        return self.edited(self.recorded_summary())

    def recorded_summary(self) -> dict[str, Any]:
        """The summary as the main writer's stream says it, without the edits (R080-R088)."""
        if MAIN not in self._histories and (name := self.writers.get(MAIN)):  # piece by piece is faster
            with suppress(OSError):  # it is gone, or may not be read: `problems` says so
                return LiveSummary(self.path / name).recompute(MAX_STEP + 1)
        history = self.history()
        aggregate = Aggregate(history.definitions)
        for row in history.rows:
            aggregate.add(row)
        return summarise(aggregate, history.hand)

    def edited(self, summary: Mapping[str, Any]) -> dict[str, Any]:
        """A summary of this run with the edits laid over."""
        edited: dict[str, Any] = overlay({"config": {}, "summary": summary}, self._edits[0])[0]["summary"]
        return edited

    @cached_property
    def _edits(self) -> tuple[dict[str, Any], list[Problem]]:
        return self._read_optional(EDITS)

    @cached_property
    def _recorded_config(self) -> tuple[dict[str, Any], list[Problem]]:
        return self._read_optional(CONFIG)

    def _read_optional(self, name: str) -> tuple[dict[str, Any], list[Problem]]:
        return _read_document(self.path, name, "R091")

    @cached_property
    def _edited(self) -> dict[str, Any]:
        known = {key: self.document[key] for key in ATTRIBUTES if key in self.document}
        recorded = {key: value for key, value in known.items() if is_attribute(key, value)}
        return overlay({**recorded, "config": self._recorded_config[0], "summary": {}}, self._edits[0])[0]

    @property
    def unreadable(self) -> list[Problem]:
        """What is wrong with the documents of which config and edits come (R036, R091)."""
        return [*self._recorded_config[1], *self._edits[1]]

    @cached_property
    def problems(self) -> list[Problem]:
        """What in the run is not as the specification says, by path and offset; at most 1,000 a stream."""
        of_streams = (problem for name in self.stream_names for problem in self.problems_of_stream(name))
        return sorted({*self.problems_of_files, *of_streams})

    @cached_property
    def problems_of_files(self) -> list[Problem]:
        """What is wrong with anything but the streams."""
        found = [*self._document_problems, *self._tree[2]]
        found += [*self.unreadable, *self._read_optional(SUMMARY)[1]]
        if overlay({"config": {}, "summary": {}}, self._edits[0])[1]:
            found.append(
                Problem(EDITS, -1, "R094", "an entry has not the form of an edit, or may not be edited")
            )
        found += [Problem(link, -1, "R006", "a symbolic link is not part of a run") for link in self.links]
        return found

    def problems_of_stream(self, name: str) -> list[Problem]:
        """What is wrong with the lines of one stream; at most 1,000."""
        writer = writer_of(name)
        return self.history(writer).problems if writer else _check_lines(self.path, name, [])

    def describe(self, now: float | None = None) -> dict[str, Any]:
        """All of the run as one object of plain JSON values: what the conformance vectors expect."""
        return {
            "state": self.state(now),
            "run": {
                "id": self.id,
                **{key: self.attributes[key] for key in ("project", "name", "notes", "tags")},
            },
            "config": _plain(self.config),
            "rows": {writer: [_plain(row) for row in self.history(writer).rows] for writer in self.writers},
            "problems": [_problem(problem) for problem in self.problems],
            "summary": _plain(self.summary),
        }


def describe(path: str | Path, now: float | None = None) -> dict[str, Any]:
    """:meth:`StoredRun.describe`, also of a run that must be refused (R011, R012)."""
    try:
        return StoredRun(path).describe(now)
    except FormatError as error:
        return {"state": "refused", "problems": [_problem(Problem(RUN, -1, error.rule))]}


def _plain(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with null and ``_nonfinite`` for NaN and the infinities (R035)."""
    plain: dict[str, Any] = orjson.loads(orjson.dumps(marked(document)))
    return plain


def _problem(problem: Problem) -> dict[str, Any]:
    path = os.fsencode(problem.path).decode(errors="replace")
    return {"rule": problem.rule, "path": path, "offset": None if problem.offset < 0 else problem.offset}


def _unreadable(name: str, error: OSError) -> Problem:
    return Problem(name, -1, "R002", f"cannot be read: {error.strerror}")


def _read_document(run: Path, name: str, rule: str) -> tuple[dict[str, Any], list[Problem]]:
    """A document, empty if there is none; one that is not readable is empty and breaks ``rule``."""
    path = f"{run}/{name}"
    try:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            return {}, []
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            return {}, [Problem(name, -1, rule, "is no file")]
        with open(path, "rb", buffering=status.st_size + 2) as file:  # read in one go
            document, restored = decode(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return {}, []
    except FormatError as error:
        return {}, [Problem(name, -1, rule, error.message)]
    except OSError as error:
        return {}, [Problem(name, -1, rule, f"cannot be read: {error.strerror}")]
    if restored:
        return document, []
    return document, [
        Problem(name, -1, "R036", "an entry of _nonfinite does not say NaN or infinity of a null")
    ]


def _read_run_document(run: Path) -> tuple[dict[str, Any], list[Problem]]:
    document, problems = _read_document(run, RUN, "R010")
    if any(problem.rule == "R010" for problem in problems):
        return document, problems
    refuse_future(document, str(run / RUN))
    if wrong := _wrong_key(document):
        text = f"no readable {wrong}" if document else "missing or empty"
        return document, [
            *problems,
            Problem(RUN, -1, "R010", f"{text}; `runfmt recover` makes the run whole again"),
        ]
    if unfit := id_problem(document["id"]):
        problems.append(Problem(RUN, -1, "R013", f"id {document['id']!r} {unfit}"))
    if document["id"] != (run.name or run.absolute().name):
        problems.append(Problem(RUN, -1, "R014", f"id {document['id']!r} is not the directory's name"))
    return document, problems


def refuse_future(document: Mapping[str, Any], path: str) -> None:
    """Raise ``FormatError`` (R011, R012) for a ``run.json`` of a format that is not known here."""
    version, requires = document.get("runfmt"), document.get("requires")
    if not _is_integer(version):
        return
    if version != 1:
        raise FormatError("R011", f"format version {version} is not known to this runfmt: upgrade it", path)
    if isinstance(requires, list) and requires and all(isinstance(name, str) for name in requires):
        raise FormatError("R012", f"the run requires {', '.join(requires)}: upgrade runfmt", path)


def _is_integer(value: object) -> bool:
    """Whether a value is an integer, however it is spelled (R026)."""
    return is_step(value) or (isinstance(value, (int, float)) and is_step(-value))


def _wrong_key(document: dict[str, Any]) -> str | None:
    checks = {
        "runfmt": _is_integer(document.get("runfmt")),
        "requires": document.get("requires") == [],
        "uid": is_uid(document.get("uid")),
        "id": isinstance(document.get("id"), str),
        "state": document.get("state") in STATES,
    }
    return next((key for key, good in checks.items() if not good), None)


def _check_lines(run: Path, name: str, rows: list[dict[str, Any]]) -> list[Problem]:
    """Read any stream but metrics: the good lines go to ``rows``, the problems come back."""
    problems: list[Problem] = []
    try:
        with open(run / name, "rb") as stream:
            for offset, line in read_lines(stream):
                problem = _check_line(name, offset, line, rows)
                if problem is not None and len(problems) < MAX_PROBLEMS:
                    problems.append(problem)
    except OSError as error:
        problems.append(_unreadable(name, error))
    return problems


def _check_line(name: str, offset: int, line: bytes | None, rows: list[dict[str, Any]]) -> Problem | None:
    if line == b"":
        return Problem(name, offset, "R020", "an unfinished last line was left out")
    if name.endswith(".log"):
        return None
    if line is None:
        return Problem(name, offset, "R027", f"a line of more than {MAX_ROW:,} bytes was left out")
    try:
        rows.append(decode(line)[0])
    except FormatError as error:
        return Problem(name, offset, error.rule, error.message)
    return None


def has_crashed(newest_line: float, now: float | None = None) -> bool:
    """Whether a running run has crashed at a Unix time, by default now (R019)."""
    return (time.time() if now is None else now) - newest_line > CRASHED_AFTER


def last_timestamp(path: Path) -> float | None:
    """``_timestamp`` of the last good line that has one (R019), looked for from the end."""
    try:
        with open(path, "rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            for window in (2**12, 2**16, 2**20, 2 * MAX_ROW):
                start = max(0, size - window)
                stream.seek(start)
                *lines, _ = stream.read(window).split(b"\n")
                # The first is the end of a line, unless the window holds the whole stream.
                fitting = (line for line in reversed(lines[start > 0 :]) if len(line) < MAX_ROW)
                found = next((time for line in fitting if (time := _timestamp(line)) is not None), None)
                if found is not None or start == 0:
                    return found
            stream.seek(0)
            return _last_of(_timestamp(line) for _, line in read_lines(stream) if line)
    except OSError:
        return None


def _last_of(times: Iterable[float | None]) -> float | None:
    last = None
    for found in times:
        last = last if found is None else found
    return last


def _timestamp(line: bytes) -> float | None:
    try:
        value = decode(line)[0].get("_timestamp")
    except FormatError:
        return None
    return value if is_time(value) else None


def unix_time(text: object) -> float:
    """Unix seconds of a time in ``run.json``; 0 if it is none."""
    if not isinstance(text, str) or not _TIME.fullmatch(text):
        return 0.0
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:  # a month 13
        return 0.0
