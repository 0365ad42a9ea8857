"""A folder of runs that is shown as it is, without a store: nothing is written but ``edits.json``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runfmt.documents import read_document
from runfmt.errors import FormatError, explain
from runfmt.layout import RUN, is_uid
from runfmt.reading import StoredRun, find_runs
from runfmt_sync.server.reading import PAGE, Reading
from runfmt_sync.server.tokens import Caller

__all__ = ["Folder", "Paced", "mark_of"]

LOOK_EVERY = 1.0
"""Seconds, at least, between two looks for runs."""
REST = 10
"""So many times as long as a look took there is none."""


class Paced:
    """Does something at most so often, and rests for a multiple of the time that it took."""

    def __init__(self, what: Callable[[], None], every: float, rest: float) -> None:
        self._what, self._every, self._rest = what, every, rest
        self._lock = threading.Lock()
        self._at = time.monotonic() + every

    def __call__(self) -> None:
        with self._lock:
            began = time.monotonic()
            if began > self._at:
                self._what()
                done = time.monotonic()
                self._at = done + max(self._every, self._rest * (done - began))


def mark_of(runs: Mapping[str, Path]) -> str:
    """What changes when runs come or go."""
    return f"{hash(frozenset(dict(runs).items())):x}"


class Folder:
    """Runs at or below a folder, as they come and go; ``private`` is where what was read of them is kept."""

    def __init__(self, root: Path, private: Path, *, may_edit: bool) -> None:
        self.root = root
        self.scopes = ("read", "append") if may_edit else ("read",)
        self.reading = Reading(private)
        self._runs: dict[str, Path] = {}
        self._others: dict[str, str] = {}
        """Why a folder is none of the runs, by its path."""
        self._find()
        self._look = Paced(self._find, LOOK_EVERY, REST)

    def _find(self) -> None:
        runs: dict[str, Path] = {}
        others: dict[str, str] = {}
        for folder in find_runs(self.root):
            uid = _uid(folder)
            if uid is None:
                others[self._below(folder)] = _why(folder)
            elif uid in runs:
                others[self._below(folder)] = _is_copy(self._below(runs[uid]))
            else:
                runs[uid] = folder
        self._runs, self._others = runs, others

    def _below(self, folder: Path) -> str:
        return folder.relative_to(self.root).as_posix()

    def visible(self, _: Caller) -> Mapping[str, Path]:
        """The folder of each run, by uid."""
        self._look()
        return self._runs

    def mark(self) -> str:
        """What changes when runs come or go."""
        return f"{mark_of(self._runs)}{hash(tuple(self._others.items())):x}"

    def rows(self, caller: Caller, **wanted: Any) -> tuple[list[dict[str, Any]], str | None]:
        """A list of runs; behind the last of them the folders that are none, with the reason."""
        rows, last = self.reading.rows(self.visible(caller), self.root, **wanted)
        if last is None and not any(wanted.get(name) for name in ("uids", "project", "run_id")):
            others = [*self._others.items()][:PAGE]
            rows += [{"uid": None, "path": path, "refused": why} for path, why in others]
        return rows, last

    def about(self, uid: str, caller: Caller) -> dict[str, Any]:
        """What is to be said of a run but its rows."""
        return self.reading.about(self.visible(caller), self.root, uid)

    def edit(self, uid: str, data: bytes, caller: Caller) -> bytes:
        """Merge edits; gives what is there then."""
        return self.reading.edit(self.visible(caller), uid, data)


def _uid(folder: Path) -> str | None:
    try:
        uid = read_document(folder / RUN).get("uid")
    except (FormatError, OSError):
        return None
    return uid if is_uid(uid) else None


def _why(folder: Path) -> str:
    try:
        problems = StoredRun(folder).problems
    except (FormatError, OSError) as error:
        return explain(error)
    return next((str(one) for one in problems if one.rule == "R010"), f"{RUN} says no uid")


def _is_copy(other: str) -> str:
    return f"a copy of {other}, which is shown: `runfmt recover --new-uid` makes this a run of its own"
