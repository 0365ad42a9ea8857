"""Event files for TensorBoard, below a folder: ``tensorboard:DIR``.

A run is ``DIR/<project>/<id>``, other writers are folders in it. Rows are appended to one file, ``.rows``;
``.about`` has what describes the run, and is replaced. It comes first in the order of names, as TensorBoard
reads no file any more when it has come to a later one. Beside them lies ``.runfmt.json`` with the run's
uid, the cursor, and the length of each file up to which it goes: what lies behind that is cut off before
anything is appended.
"""

from __future__ import annotations

import json
import math
import os
import re
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from runfmt.documents import read_document, replace, replace_document
from runfmt.errors import CommError, explain
from runfmt.layout import MAIN
from runfmt.locks import Locks
from runfmt.reading import StoredRun, unix_time
from runfmt.rows import leaves
from runfmt_sync.trackers import Row, Tracked, Tracker, eventfile, own_summary

__all__ = ["TensorBoard"]

KEPT, LOCK = ".runfmt.json", ".runfmt.lock"
LATE = "late rows: TensorBoard drops what it showed of their metrics from their steps on"
SHOWN = (".png", ".jpg", ".jpeg", ".gif", ".bmp")


class TensorBoard(Tracker):
    """A folder of event files."""

    def __init__(self, url: str) -> None:
        self.root = Path(url.partition(":")[2] or ".").expanduser().absolute()
        self.url = f"tensorboard:{self.root}"
        if not self.root.parent.is_dir():
            raise CommError(f"there is no folder {self.root.parent} for {self.root}: mount it, or make it")
        if self.root.exists() and not self.root.is_dir():
            raise CommError(f"{self.root} is a file: name a folder")

    @property
    def store_id(self) -> str:
        """The id in the folder, so that one that was emptied gets everything again."""
        return str(read_document(self.root / KEPT).get("id", ""))

    def prepare(self) -> None:
        """Make the folder, if its parent is there, and give it an id."""
        try:
            self.root.mkdir(exist_ok=True)
            with Locks(self.root / LOCK).take("store"):
                if not self.store_id:
                    replace_document(self.root / KEPT, {"runfmt": 1, "id": str(uuid4())})
        except OSError as error:
            raise CommError(f"{self.url} gave up: {explain(error)}; mend it, then try again") from error

    def open(self, run: StoredRun) -> Tracked:
        """Find the folder of a run, or make it; nobody else has it until it is closed."""
        if not (self.root / KEPT).exists():
            raise CommError(f"the folder {self.root} was taken away: sync again where it is")
        plain = self.root / _part(run.document.get("project"), "uncategorized") / _part(run.id, "run")
        locks = Locks(self.root / LOCK).take(str(plain).lower())
        folders = (plain, plain.with_name(f"{plain.name}-{run.uid}"))
        return _Run(next(filter(partial(_is_for, run.uid), folders)), run, locks)


def _part(name: object, otherwise: str) -> str:
    """A name as one part of a path, wherever it comes from."""
    return re.sub(r"[^\w .+=@-]", "_", str(name or ""))[:100].strip(" .") or otherwise


def _is_for(uid: str | None, folder: Path) -> bool:
    """Whether a folder is a run's, or nobody's."""
    known = read_document(folder / KEPT).get("uid")
    return known == uid or (known is None and not any(folder.glob("*tfevents*")))


class _Run(Tracked):
    """One run's folder, while it is locked."""

    def __init__(self, folder: Path, run: StoredRun, locks: Locks) -> None:
        self._folder, self._run, self._locks = folder, run, locks
        self._began = unix_time(run.document.get("created_at"))
        self._files: dict[str, BinaryIO] = {}
        kept = read_document(folder / KEPT)
        self._sizes: dict[str, int] = kept.get("sizes", {})
        self._cursor: Mapping[str, Any] = kept.get("cursor", {})
        if any(_size(self._path(writer)) < size for writer, size in self._sizes.items()):
            self._sizes, self._cursor = {}, {}  # somebody removed a file: all is written anew
        if not kept:
            folder.mkdir(parents=True, exist_ok=True)
            self.keep({})

    def _path(self, writer: str, what: str = "rows") -> Path:
        folder = self._folder if writer == MAIN else self._folder / writer
        return folder / f"events.out.tfevents.{self._began:.0f}.{what}"

    def cursor(self) -> Mapping[str, Any]:
        return self._cursor

    def keep(self, cursor: Mapping[str, Any]) -> None:
        """Keep the cursor, behind the rows that it covers."""
        for writer, file in self._files.items():
            if file.tell() > self._sizes.get(writer, 0):
                file.flush()
                os.fsync(file.fileno())
                self._sizes[writer] = file.tell()
        document = {"runfmt": 1, "uid": self._run.uid, "sizes": self._sizes, "cursor": cursor}
        replace_document(self._folder / KEPT, document)

    def rows(self, rows: Sequence[Row]) -> Mapping[str, int]:
        """Append rows to the file of their writer."""
        file, unsaid = self._file(rows[0].writer), Counter[str]()
        for row in rows:
            said = [self._try_to_say(path, value, unsaid) for path, value in row.values.items()]
            if values := [*filter(None, said)]:
                file.write(eventfile.event(self._began if row.time is None else row.time, row.step, values))
                unsaid[LATE] += row.is_late
        return +unsaid

    def _file(self, writer: str) -> BinaryIO:
        if writer not in self._files:
            path, size = self._path(writer), self._sizes.get(writer, 0)
            path.parent.mkdir(exist_ok=True)
            path.touch()
            file = self._files[writer] = path.open("r+b")
            file.truncate(size)
            file.seek(size)
            if not size:
                file.write(eventfile.header(self._began))
        return self._files[writer]

    def _try_to_say(self, path: str, value: Any, unsaid: Counter[str]) -> bytes | None:
        try:
            return self._say(path, value, unsaid)
        except (LookupError, TypeError, ValueError, AttributeError, struct.error):
            unsaid["values that have not the form of their type"] += 1  # whoever wrote them
            return None

    def _say(self, path: str, value: Any, unsaid: Counter[str]) -> bytes | None:
        """A value as TensorBoard's, None if there is nothing like it."""
        if isinstance(value, (int, float)):
            data, holds = eventfile.scalar(path, value)
            unsaid["numbers that 32 bits do not hold"] += not holds
            return data
        if isinstance(value, str):
            return eventfile.text(path, value)
        if isinstance(value, dict) and value.get("_type") == "histogram":
            return eventfile.histogram(path, value["bins"], value["values"])
        if isinstance(value, dict) and value:
            return self._say_media(path, value, unsaid)
        unsaid["lists and empty objects"] += value is not None
        return None

    def _say_media(self, path: str, value: dict[str, Any], unsaid: Counter[str]) -> bytes | None:
        items = value.get(value["_type"].removesuffix("/separated"), [value])
        kind, say = items[0]["_type"], None
        if kind == "image-file" and all(item["path"].endswith(SHOWN) for item in items):
            size = items[0].get("width", 0), items[0].get("height", 0)
            unsaid["pictures without their boxes and masks"] += sum(map(_has_overlays, items))
            say = partial(eventfile.pictures, path, size)
        elif kind == "audio-file" and all(item["path"].endswith(".wav") for item in items):
            say = partial(eventfile.sounds, path)
        if say is None:
            unsaid[f"values of the type {kind}"] += len(items)
            return None
        found = [data for item in items if (data := self._contents(item["path"])) is not None]
        unsaid["media that are not there"] += len(items) - len(found)
        return say(found) if found else None

    def _contents(self, path: str) -> bytes | None:
        try:
            return (self._run.path / path).read_bytes() if self._run.may_open(path) else None
        except FileNotFoundError:
            return None

    def describe(self, run: StoredRun) -> Mapping[str, int]:
        """Take config, summary and what else there is to say of a run."""
        self._describe(run, None)
        return {}

    def end(self, run: StoredRun) -> None:
        """Take the state and the time of the end."""
        self._describe(run, unix_time(run.document.get("finished_at")) or run.newest_line)

    def _describe(self, run: StoredRun, ended: float | None) -> None:
        state = "running" if ended is None else run.state()
        about = {key: run.attributes[key] for key in ("name", "project", "group", "job_type", "tags")}
        lines = [f"- {key}: {value}" for key, value in ({"state": state, "uid": run.uid} | about).items()]
        config = {path: _plain(value) for path, value in leaves(run.config)}
        values = [
            eventfile.text("run", "\n".join(lines)),
            *eventfile.hparams(config, self._began, state, ended),
            *(eventfile.scalar(path, value)[0] for path, value in own_summary(run) if _is_number(value)),
        ]
        if run.attributes["notes"]:
            values.append(eventfile.text("notes", run.attributes["notes"]))
        events = [eventfile.header(self._began), eventfile.event(self._began, 0, values)]
        replace(self._path(MAIN, "about"), b"".join(events))

    def close(self) -> None:
        """Let others have the run."""
        for file in self._files.values():
            file.close()
        self._locks.release()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _has_overlays(item: Mapping[str, Any]) -> bool:
    return "boxes" in item or "masks" in item


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _plain(value: Any) -> Any:
    """A value that the hparams plugin takes: lists, nothing and non-finite numbers as text."""
    is_taken = isinstance(value, (bool, str)) or (_is_number(value) and math.isfinite(value))
    return value if is_taken else json.dumps(value)
