"""A folder of runs that is shown as it is, without a store: nothing is written but ``edits.json``."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from runfmt.documents import read_document
from runfmt.errors import FormatError, explain
from runfmt.layout import RUN, is_uid
from runfmt.reading import StoredRun, find_runs
from runfmt_sync.server.reading import PAGE, Reading
from runfmt_sync.server.tokens import Caller
from runfmt_sync.whereabouts import whereabouts
from runfmt_sync.words import plain

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
    """Runs at or below a folder, as they come and go; what was read of them is kept elsewhere."""

    def __init__(self, root: Path, private: Path, indexes: Path, *, may_edit: bool) -> None:
        self.root = root
        self.scopes = ("read", "append") if may_edit else ("read",)
        self.reading = Reading(private, indexes)
        self._runs: dict[str, Path] = {}
        self._others: dict[str, str] = {}
        """What is shown of none of the runs, by its path, and why."""
        self._uids: dict[Path, _Named] = {}
        self._find()
        self._look = Paced(self._find, LOOK_EVERY, REST)

    def _find(self) -> None:
        """Find the runs; a document is read again only if it moved."""
        runs: dict[str, Path] = {}
        others: dict[str, str] = {}
        uids: dict[Path, _Named] = {}
        said: list[str] = []
        try:
            for folder in find_runs(self.root, said.append):
                uids[folder] = named = _named(folder, self._uids.get(folder))
                if named.uid is None:
                    others[self._below(folder)] = named.why
                elif named.uid in runs:
                    others[self._below(folder)] = _is_copy(self._below(runs[named.uid]))
                else:
                    runs[named.uid] = folder
        except OSError as error:
            said.append(explain(error))
        if said:
            others[str(self.root)] = "; ".join(said)
        self._runs, self._others, self._uids = runs, others, uids

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
        """A list of runs; behind the last of them what is none that can be shown, with the reason."""
        rows, last = self.reading.rows(self.visible(caller), self.root, **wanted)
        if last is None and not any(wanted.get(name) for name in ("uids", "project", "run_id")):
            others = [*self._others.items()][:PAGE]
            rows += [{"uid": None, "path": plain(path), "refused": plain(why)} for path, why in others]
        return rows, last

    def about(self, uid: str, caller: Caller) -> dict[str, Any]:
        """What is to be said of a run but its rows; also which remotes have it."""
        runs = self.visible(caller)
        said = self.reading.about(runs, self.root, uid)
        return said | {"remotes": whereabouts(runs[uid], uid)}

    def edit(self, uid: str, data: bytes, caller: Caller) -> bytes:
        """Merge edits of the user of this process; gives what is there then."""
        return self.reading.edit(self.visible(caller), uid, data)


class _Named(NamedTuple):
    """The uid in a ``run.json`` that had this size, time and inode; or why there is none."""

    look: tuple[int, int, int] | None
    uid: str | None
    why: str


def _named(folder: Path, known: _Named | None) -> _Named:
    look = None
    with suppress(OSError):
        status = os.lstat(folder / RUN)
        look = status.st_size, status.st_mtime_ns, status.st_ino
    if known is not None and look is not None and known.look == look:
        return known
    try:
        uid = read_document(folder / RUN).get("uid")
        return _Named(look, uid, "") if is_uid(uid) else _Named(look, None, _why(folder))
    except (FormatError, OSError) as error:
        return _Named(look, None, explain(error))


def _why(folder: Path) -> str:
    problems = StoredRun(folder).problems_of_files
    return next((str(problem) for problem in problems if problem.rule == "R010"), f"{RUN} says no uid")


def _is_copy(other: str) -> str:
    return f"a copy of {other}, which is shown: `runfmt recover --new-uid` makes this a run of its own"
