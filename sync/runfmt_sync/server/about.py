"""What is to be said of one run besides its rows (H071)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from runfmt.history import Problem
from runfmt.layout import writer_of
from runfmt.reading import StoredRun
from runfmt.rows import marked
from runfmt_sync.index import RunIndex
from runfmt_sync.inventory import committed_size
from runfmt_sync.words import plain

__all__ = ["NOTHING", "describe", "problem_to_json"]

MOST_FILES = 5_000
MOST_EVENTS = 1_000
KINDS = ("metrics", "system", "console")
GAP = "R052"

NOTHING: Mapping[str, Any] = {
    "writers": {kind: [] for kind in KINDS},
    "definitions": [],
    "events": [],
    "problems": [],
    "gaps": 0,
    "rewinds": [],
    "links": [],
    "files": [],
    "files_left": 0,
}
"""What is said of a run of which nothing can be read."""


def describe(run: StoredRun, index: RunIndex) -> dict[str, Any]:
    """All of it, in plain JSON; of long lists the first, of events the last."""
    problems = sorted({*run.problems_of_files, *_problems_of_streams(run, index)})
    return {
        "writers": {kind: [*_writers(run, kind)] for kind in KINDS},
        "definitions": [one.row() for one in index.definitions().by_name.values()],
        "events": [marked(event) for event in run.events()[-MOST_EVENTS:]],
        "problems": [*map(problem_to_json, problems)],
        "gaps": sum(problem.rule == GAP for problem in problems),
        "rewinds": [{"step": step, "time": time} for step, time in index.rewinds()],
        "links": [*map(plain, run.links)],
        "files": [*_sizes(run.path, run.files[:MOST_FILES])],
        "files_left": max(len(run.files) - MOST_FILES, 0),
    }


def problem_to_json(problem: Problem) -> dict[str, Any]:
    """A problem as an object; ``offset`` is null of a whole file."""
    offset = problem.offset if problem.offset >= 0 else None
    return {"path": plain(problem.path), "offset": offset, "rule": problem.rule, "text": plain(problem.text)}


def _writers(run: StoredRun, kind: str) -> Iterator[str]:
    return (writer for name in run.stream_names if (writer := writer_of(name, kind)) is not None)


def _problems_of_streams(run: StoredRun, index: RunIndex) -> Iterator[Problem]:
    """What the index found; of other streams the lines, but of what was printed only the end."""
    yield from index.problems()
    for name in run.stream_names:
        is_indexed = writer_of(name, "metrics") or writer_of(name, "system")
        if not is_indexed and not name.endswith(".log"):
            yield from run.problems_of_stream(name)
            continue
        with suppress(FileNotFoundError), open(run.path / name, "rb") as stream:  # it went just now
            committed = committed_size(stream)
            if committed < os.fstat(stream.fileno()).st_size:
                yield Problem(name, committed, "R020", "an unfinished last line was left out")


def _sizes(folder: Path, paths: Iterable[str]) -> Iterator[dict[str, Any]]:
    for path in paths:
        with suppress(OSError):  # it went just now
            yield {"path": plain(path), "size": (folder / path).lstat().st_size}
