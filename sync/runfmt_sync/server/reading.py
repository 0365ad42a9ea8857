"""What can be asked of runs in folders, without HTTP: for the page, for lists, for reports.

Nothing is written into a run but its ``edits.json``. What is broken in one run is said of that
run, and costs no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from runfmt.editing import lay_edits_together
from runfmt.edits import overlay
from runfmt.errors import FormatError, explain
from runfmt.layout import EDITS, is_safe, writer_of
from runfmt.reading import StoredRun, has_crashed
from runfmt.rows import decode_document, marked
from runfmt_sync.server.index import Index
from runfmt_sync.server.pulses import Pulses
from runfmt_sync.server.questions import CurvesAsked, KeysAsked, ObjectsAsked
from runfmt_sync.server.series import Series

__all__ = ["PAGE", "Absent", "Reading"]

PAGE = 1000
"""Most rows of a list."""
MOST_KEYS = 20_000
MOST_FILES = 5_000
MOST_EVENTS = 1_000
MOST_STEPS = 10_000
KINDS = ("metrics", "system", "console")

Runs = Mapping[str, Path]
"""The folder of each run that the caller may see, by uid."""


class Absent(LookupError):
    """There is nothing of that name for this caller."""


class Reading:
    """May be called from several threads. ``private`` is a folder for what need not be made anew."""

    def __init__(self, private: Path) -> None:
        self._index = Index(private / "index.sqlite")
        self._pulses = Pulses()
        self._series = Series()

    def keep_only(self, runs: Runs) -> None:
        """Forget the runs that are gone."""
        self._index.keep_only(runs)

    # Lists

    def rows(
        self,
        runs: Runs,
        root: Path,
        *,
        may_see: Callable[[object], bool] = lambda _: True,
        uids: Sequence[str] = (),
        project: str | None = None,
        run_id: str | None = None,
        after: str = "",
        limit: int = PAGE,
    ) -> tuple[list[dict[str, Any]], str | None]:
        """So many rows behind one, in the order of their uids; and the last uid, if there are more (H041)."""
        found: list[dict[str, Any]] = []
        known = dict(runs)
        chosen = {uid: known[uid] for uid in uids if uid in known} if uids else known
        folders = sorted(item for item in chosen.items() if item[0] > after)
        for start in range(0, len(folders), PAGE):
            part = folders[start : start + PAGE]
            for row, (_, folder) in zip(self._index.rows(part), part, strict=True):
                about = row.get("attributes", {})
                if not may_see(row.pop("owner", None)):
                    continue
                if project not in (None, about.get("project")) or run_id not in (None, about.get("id")):
                    continue
                if len(found) == limit:
                    return found, found[-1]["uid"]
                found.append(_shown(row, folder, root))
        return found, None

    # One run

    def about(self, runs: Runs, root: Path, uid: str) -> dict[str, Any]:
        """What is to be said of one run but its rows (H071). Raises ``Absent``."""
        folder = _folder(runs, uid)
        row = self._index.rows([(uid, folder)])[0]
        row.pop("owner", None)
        said: dict[str, Any] = {"row": _shown(row, folder, root), **NOTHING_ABOUT}
        try:
            return said | self._about(StoredRun(folder))
        except (FormatError, OSError) as error:
            return said | {"problems": [{"path": "", "offset": None, "rule": "", "text": explain(error)}]}

    def _about(self, run: StoredRun) -> dict[str, Any]:
        main = self._series.of(run.path, "metrics", "main")
        problems = run.problems
        files = run.files
        return {
            "writers": _writers(run),
            "definitions": main.definitions,
            "events": [marked(event) for event in run.events()[-MOST_EVENTS:]],
            "problems": [
                {
                    "path": one.path,
                    "offset": one.offset if one.offset >= 0 else None,
                    "rule": one.rule,
                    "text": one.text,
                }
                for one in problems
            ],
            "gaps": sum(one.rule == "R052" for one in problems),
            "rewinds": main.rewinds,
            "links": run.links,
            "files": [*_sizes(run.path, files[:MOST_FILES])],
            "files_left": max(len(files) - MOST_FILES, 0),
        }

    def file(self, runs: Runs, uid: str, path: str) -> Path:
        """Where a file of a run lies; no link is followed to it (R006). Raises ``Absent``."""
        folder = _folder(runs, uid)
        with suppress(OSError):  # of names that are too long, say
            if is_safe(path) and _is_reached(folder, path) and (folder / path).is_file():
                return folder / path
        raise Absent(f"{uid} has no such file")

    def edit(self, runs: Runs, uid: str, data: bytes) -> bytes:
        """Merge edits into a run (R096); gives what is there then. Raises ``FormatError`` for none."""
        folder = _folder(runs, uid)
        if overlay({"config": {}, "summary": {}}, decode_document(data))[1]:
            raise FormatError("H050", "an entry has not the form of an edit, or may not be edited")
        lay_edits_together(folder, data)
        return (folder / EDITS).read_bytes()

    # What charts and panels are made of

    def keys(self, runs: Runs, asked: KeysAsked) -> dict[str, Any]:
        """Which keys some runs have (H072)."""
        kinds: dict[str, list[Any]] = {}
        definitions: dict[str, dict[str, Any]] = {}
        for folder in _there(runs, asked.uids):
            found: dict[str, str] = {}
            for stream in self._series.all_of(folder, asked.stream):
                found |= stream.kinds
                definitions |= {one["name"]: one for one in stream.definitions}
            for key, kind in found.items():
                kinds.setdefault(key, [kind, 0])[1] += 1
        listed = sorted(kinds)[:MOST_KEYS]
        return {
            "keys": [{"key": key, "kind": kinds[key][0], "runs": kinds[key][1]} for key in listed],
            "definitions": [*definitions.values()],
            "left": len(kinds) - len(listed),
        }

    def curves(self, runs: Runs, asked: CurvesAsked) -> dict[str, Any]:
        """The points of some curves, or what a chart needs of them (H073)."""
        return self._series.curves(runs, asked)

    def objects(self, runs: Runs, asked: ObjectsAsked) -> dict[str, Any]:
        """The value of a key at a step, and the steps that have one (H074)."""
        found: dict[str, Any] = {}
        for uid in asked.uids:
            if uid not in runs:
                continue
            stream = self._series.of(runs[uid], "metrics", asked.writer)
            rows = stream.rows_with(asked.key)
            below = [row for row in rows if asked.step is None or row[0] <= asked.step]
            step, time, value = below[-1] if below else (None, None, None)
            said = {
                "steps": [row[0] for row in rows[-MOST_STEPS:]],
                "step": step,
                "time": time,
                "value": value,
            }
            found[uid] = marked(said)
        return {"runs": found}

    def pulse(self, runs: Runs, uids: Iterable[str]) -> dict[str, Any]:
        """Of each run that is there a mark that changes with it, and its state (H075)."""
        return {uid: self._pulses.of(uid, runs[uid]) for uid in uids if uid in runs}


NOTHING_ABOUT: Mapping[str, Any] = {
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


def _folder(runs: Runs, uid: str) -> Path:
    folder = runs.get(uid)
    if folder is None:
        raise Absent(f"there is no run {uid}")
    return folder


def _there(runs: Runs, uids: Iterable[str]) -> Iterator[Path]:
    return (runs[uid] for uid in uids if uid in runs)


def _shown(row: dict[str, Any], folder: Path, root: Path) -> dict[str, Any]:
    """A row with what changes without a file moving."""
    row["path"] = folder.relative_to(root).as_posix()
    if row.get("state") == "running" and has_crashed(row["time"]):
        row["state"] = "crashed"
    return row


def _writers(run: StoredRun) -> dict[str, list[str]]:
    names = run.stream_names
    return {kind: [w for name in names if (w := writer_of(name, kind)) is not None] for kind in KINDS}


def _sizes(folder: Path, paths: Iterable[str]) -> Iterator[dict[str, Any]]:
    for path in paths:
        with suppress(OSError):  # it went just now
            yield {"path": path, "size": (folder / path).lstat().st_size}


def _is_reached(folder: Path, path: str) -> bool:
    """Whether no link is on the way to a path."""
    place = folder
    for name in path.split("/"):
        place = place / name
        if place.is_symlink():
            return False
    return True
