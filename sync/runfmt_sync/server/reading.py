"""What can be asked of runs in folders, without HTTP: for the page, for lists, for reports.

Nothing is written into a run but its ``edits.json``. What is broken in one run is said of that
run, and costs no other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from runfmt.editing import add_edits, lay_edits_together
from runfmt.edits import overlay
from runfmt.errors import FormatError, explain
from runfmt.history import Problem
from runfmt.layout import EDITS, is_safe
from runfmt.reading import StoredRun, has_crashed
from runfmt.rows import decode_document, encode_document
from runfmt_sync.index import Behind, RunIndex
from runfmt_sync.server.about import NOTHING, describe, problem_to_json
from runfmt_sync.server.index import Index
from runfmt_sync.server.indexes import Indexes
from runfmt_sync.server.pulses import Pulses
from runfmt_sync.server.questions import CurvesAsked, KeysAsked, ObjectsAsked
from runfmt_sync.server.series import Series
from runfmt_sync.words import plain

__all__ = ["PAGE", "Absent", "Reading"]

PAGE = 1000
"""Most rows of a list."""
PIECE = 100
"""Runs that are looked at together."""
PATIENCE = 1.0
"""Seconds after which a list is cut short."""

Runs = Mapping[str, Path]
"""The folder of each run that the caller may see, by uid."""


class Absent(LookupError):
    """There is nothing of that name for this caller."""


class Reading:
    """May be called from several threads.

    ``private`` is a folder for what need not be made anew, ``indexes`` one for those of streams.
    """

    def __init__(self, private: Path, indexes: Path) -> None:
        self._indexes = Indexes(indexes)
        self._index = Index(private / "index.sqlite", self._indexes)
        self._pulses = Pulses(self._indexes.backlog.times)
        self._series = Series(self._indexes)

    def close(self) -> None:
        """Read no more in the background."""
        self._indexes.backlog.close()

    def keep_only(self, runs: Runs) -> None:
        """Forget the runs that are gone."""
        self._index.keep_only(runs)
        self._indexes.keep_only(runs)

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
        """So many rows behind one, in the order of their uids; and the last uid, if there are more (H041).

        It may be fewer: where they take long, what there is comes first.
        """
        begun = time.monotonic()
        found: list[dict[str, Any]] = []
        known = dict(runs)
        chosen = {uid: known[uid] for uid in uids if uid in known} if uids else known
        folders = sorted(item for item in chosen.items() if item[0] > after)
        for start in range(0, len(folders), PIECE):
            if start and not uids and time.monotonic() - begun > PATIENCE:
                return found, folders[start - 1][0]
            part = folders[start : start + PIECE]
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
        said: dict[str, Any] = {"row": _shown(row, folder, root), **NOTHING}
        try:
            return said | describe(StoredRun(folder), self._indexes.of(folder))
        except Behind:  # what does not stand in its streams
            return said | describe(StoredRun(folder), RunIndex(folder, None)) | {"pending": True}
        except FileNotFoundError:
            raise Absent(f"the run {uid} is gone") from None
        except (FormatError, OSError) as error:
            rule = error.rule if isinstance(error, FormatError) else "R002"
            return said | {"problems": [problem_to_json(Problem("", -1, rule, explain(error)))]}

    def file(self, runs: Runs, uid: str, path: str) -> Path:
        """Where a file of a run lies; no link is followed to it (R006). Raises ``Absent``."""
        folder = _folder(runs, uid)
        with suppress(OSError):  # of names that are too long, say
            if is_safe(path) and _is_reached(folder, path) and (folder / path).is_file():
                return folder / path
        raise Absent(f"{uid} has no such file")

    def edit(self, runs: Runs, uid: str, data: bytes, by: str = "") -> bytes:
        """Merge edits into a run (R096); gives what is there then. Raises ``FormatError`` for none.

        Those without a time are made now (H053), ``by`` somebody, or by the user of this process.
        """
        folder = _folder(runs, uid)
        edits = decode_document(data)
        new = {pointer: entry for pointer, entry in edits.items() if _is_new(entry)}
        whole = edits | {pointer: {**entry, "time": 0.0, "author": by} for pointer, entry in new.items()}
        if overlay({"config": {}, "summary": {}}, whole)[1]:
            raise FormatError("H050", "an entry has not the form of an edit, or may not be edited")
        if len(new) < len(edits):
            given = {pointer: entry for pointer, entry in edits.items() if pointer not in new}
            lay_edits_together(folder, encode_document(given) if new else data)
        if new:
            add_edits(folder, {p: {"value": e["value"]} if "value" in e else {} for p, e in new.items()}, by)
        return (folder / EDITS).read_bytes() if (folder / EDITS).exists() else encode_document({})

    # What charts and panels are made of

    def keys(self, runs: Runs, asked: KeysAsked) -> dict[str, Any]:
        """Which keys some runs have (H072)."""
        return self._series.keys(runs, asked)

    def curves(self, runs: Runs, asked: CurvesAsked) -> dict[str, Any]:
        """The points of some curves, or what a chart needs of them (H073)."""
        return self._series.curves(runs, asked)

    def objects(self, runs: Runs, asked: ObjectsAsked) -> dict[str, Any]:
        """The value of a key at a step, and the steps that have one (H076)."""
        return self._series.objects(runs, asked)

    def pulse(self, runs: Runs, uids: Iterable[str]) -> dict[str, Any]:
        """Of each run that is there a mark that changes with it, and its state (H077)."""
        folders = {uid: folder for uid in uids if (folder := runs.get(uid)) is not None}
        return self._pulses.of(folders)


def _folder(runs: Runs, uid: str) -> Path:
    folder = runs.get(uid)
    if folder is None:
        raise Absent(f"there is no run {uid}")
    return folder


def _is_new(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.keys().isdisjoint(("time", "author"))


def _shown(row: dict[str, Any], folder: Path, root: Path) -> dict[str, Any]:
    """A row with what changes without a file moving."""
    row["path"] = plain(folder.relative_to(root).as_posix())
    if row.get("state") == "running" and has_crashed(row["time"]):
        row["state"] = "crashed"
    return row


def _is_reached(folder: Path, path: str) -> bool:
    """Whether no link is on the way to a path."""
    place = folder
    for name in path.split("/"):
        place = place / name
        if place.is_symlink():
            return False
    return True
