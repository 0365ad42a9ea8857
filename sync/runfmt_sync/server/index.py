"""An index of the runs in a store, in SQLite: what lists of runs are made of.

Nothing stands in it that is not in the store: it may be deleted, and is made again.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from runfmt.errors import FormatError
from runfmt.fold import Fold
from runfmt.history import History
from runfmt.layout import CONFIG, EDITS, MAIN, RUN, is_private
from runfmt.reading import StoredRun, last_timestamp
from runfmt.rows import marked
from runfmt_sync.index import Behind
from runfmt_sync.server.indexes import Indexes

__all__ = ["Index"]

log = logging.getLogger("runfmt.server")

VERSION = 4
LOOKED_AT = (RUN, CONFIG, EDITS)
"""The files of which a row is made besides the streams; while they stand, it stands."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    uid TEXT PRIMARY KEY, look TEXT NOT NULL, row BLOB NOT NULL, times TEXT NOT NULL
) WITHOUT ROWID
"""
Look = dict[str, list[int]]
"""Size, time and inode of each file that was looked at, by name."""


class _Entry(NamedTuple):
    """What is kept of a run: its row, and what the next one is made of when its streams have grown.

    ``times`` are those of the newest line of each stream.
    """

    look: Look
    row: bytes
    times: dict[str, float | None]


class Index:
    """May be used by several threads and processes; ``indexes`` know what the streams come to."""

    def __init__(self, path: Path, indexes: Indexes) -> None:
        self._path, self._indexes = path, indexes
        self._lock = threading.Lock()
        try:
            self._prepare()
        except sqlite3.OperationalError:  # of the disk, not of what is in the file
            raise
        except sqlite3.DatabaseError as error:
            log.warning("%s is made anew: %s", path, error)
            for name in (path, *(path.with_name(path.name + ending) for ending in ("-wal", "-shm"))):
                name.unlink(missing_ok=True)
            self._prepare()

    def _prepare(self) -> None:
        with self._open() as database:
            if database.execute("PRAGMA user_version").fetchone()[0] != VERSION:
                database.execute("DROP TABLE IF EXISTS runs")
            database.execute(SCHEMA)
            database.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._lock, closing(sqlite3.connect(self._path, timeout=60)) as database:
            database.execute("PRAGMA journal_mode = WAL")
            with database:
                yield database

    def rows(self, folders: Sequence[tuple[str, Path]]) -> list[dict[str, Any]]:
        """A row a run, as it is now: made again where a file of it has moved, from what is new.

        One that has to be read for long is ``pending``: there is no more than what documents say.
        ``owner`` is the project that the trainer recorded, whatever people say afterwards.
        """
        looks = {uid: _look(folder) for uid, folder in folders}
        stood = {uid: (look, row) for uid, look, row in self._select("look, row", looks)}
        moved = [item for item in folders if stood.get(item[0], ("",))[0] != _text(looks[item[0]])]
        rows = {uid: row for uid, (_, row) in stood.items()}
        rows |= self._made(moved, looks) if moved else {}
        return [orjson.loads(rows[uid]) for uid, _ in folders]

    def _made(self, folders: Sequence[tuple[str, Path]], looks: Mapping[str, Look]) -> dict[str, bytes]:
        """Rows that are made and kept."""
        before = {
            uid: _Entry(orjson.loads(look), row, orjson.loads(times))
            for uid, look, row, times in self._select("look, row, times", dict(folders))
        }
        made = {
            uid: self._entry(uid, folder, looks[uid], before.get(uid, NOTHING)) for uid, folder in folders
        }
        with _without_it(), self._open() as database:
            database.executemany(
                "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?)",
                [(uid, _text(one.look), one.row, _text(one.times)) for uid, one in made.items() if one.look],
            )
        return {uid: one.row for uid, one in made.items()}

    def _entry(self, uid: str, folder: Path, look: Look, before: _Entry) -> _Entry:
        """What is to be kept of a run, made from what was and from what has come since."""
        times: dict[str, float | None] = {}
        try:
            run = StoredRun(folder)
            if run.is_damaged:
                raise FormatError("R010", f"no readable {RUN}")
            times = _times(run, look, before)
            said = {
                "owner": run.document.get("project", ""),
                "state": run.document["state"],
                "time": run.newest_of(times.values()),
                "attributes": {**run.attributes, "id": run.id},
                "config": run.config,
            }
            try:
                folded = self._folded(run)
                said |= {"rows": folded.rows, "summary": run.edited(folded.summary())}
            except Behind:
                said["pending"], look = True, {}  # it is not kept
        except (FormatError, OSError) as error:
            said = {"refused": str(error)}
        plain = {key: marked(value) if isinstance(value, dict) else value for key, value in said.items()}
        return _Entry(look, orjson.dumps({"uid": uid, **plain}), times)

    def _folded(self, run: StoredRun) -> Fold:
        """What the main writer's metrics come to."""
        with suppress(OSError):  # what cannot be read is said by `validate`
            if MAIN in run.writers:
                return self._indexes.fold_of(run.path)
        return Fold(History())

    def _select(self, columns: str, uids: Collection[str]) -> list[tuple[Any, ...]]:
        marks = ", ".join("?" * len(uids))
        with _without_it(), self._open() as database:
            return database.execute(
                f"SELECT uid, {columns} FROM runs WHERE uid IN ({marks})",  # noqa: S608
                [*uids],
            ).fetchall()
        return []

    def keep_only(self, uids: Collection[str]) -> None:
        """Forget the runs that are gone."""
        with self._open() as database:
            gone = [(uid,) for (uid,) in database.execute("SELECT uid FROM runs") if uid not in uids]
            database.executemany("DELETE FROM runs WHERE uid = ?", gone)


@contextmanager
def _without_it() -> Iterator[None]:
    """Go on where the database cannot be read or written: then rows are made each time."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        log.warning("rows of runs are not kept: %s", error)


NOTHING = _Entry({}, b"", {})


def _text(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value).decode()


def _look(folder: Path) -> Look:
    """What moves when a row may have to be made anew."""
    found = {}
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name in LOOKED_AT or (entry.name.endswith(".jsonl") and not is_private(entry.name)):
                status = entry.stat(follow_symlinks=False)
                found[entry.name] = [status.st_size, status.st_mtime_ns, status.st_ino]
    return dict(sorted(found.items()))


def _times(run: StoredRun, look: Look, before: _Entry) -> dict[str, float | None]:
    """The time of the newest line of each stream; those that stand are not read again."""
    return {
        name: before.times[name]
        if name in before.times and before.look[name] == look.get(name)
        else last_timestamp(run.path / name)
        for name in run.stream_names
        if name.endswith(".jsonl")
    }
