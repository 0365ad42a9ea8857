"""An index of the runs in a store, in SQLite: what lists of runs are made of.

Nothing stands in it that is not in the store: it may be deleted, and is made again.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import orjson

from runfmt.errors import FormatError
from runfmt.layout import CONFIG, EDITS, METRICS, RUN
from runfmt.reading import StoredRun
from runfmt.rows import marked

__all__ = ["Index"]

VERSION = 2
LOOKED_AT = (RUN, CONFIG, EDITS, METRICS)
"""The files of which a row is made; while they stand, it stands."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    uid TEXT PRIMARY KEY, look TEXT NOT NULL, row BLOB NOT NULL
) WITHOUT ROWID
"""


class Index:
    """May be used by several threads and processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
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
        """A row a run, as it is now: made again where a file of it has moved.

        ``owner`` is the project that the trainer recorded, whatever people say afterwards.
        """
        with self._open() as database:
            marks = ", ".join("?" * len(folders))
            known = database.execute(
                f"SELECT uid, look, row FROM runs WHERE uid IN ({marks})",  # noqa: S608
                [uid for uid, _ in folders],
            )
            rows = {uid: (look, row) for uid, look, row in known}
        looks = {uid: _look(folder) for uid, folder in folders}
        news = {uid: _row(uid, folder) for uid, folder in folders if rows.get(uid, "")[:1] != (looks[uid],)}
        if news:
            with self._open() as database:
                made = [(uid, looks[uid], row) for uid, row in news.items()]
                database.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?)", made)
        return [orjson.loads(news[uid] if uid in news else rows[uid][1]) for uid, _ in folders]

    def keep_only(self, uids: Collection[str]) -> None:
        """Forget the runs that are gone."""
        with self._open() as database:
            gone = [(uid,) for (uid,) in database.execute("SELECT uid FROM runs") if uid not in uids]
            database.executemany("DELETE FROM runs WHERE uid = ?", gone)


def _look(folder: Path) -> str:
    """What moves when a row may have to be made anew."""
    return str([_stands(f"{folder}{os.sep}{name}") for name in LOOKED_AT])


def _stands(path: str) -> tuple[int, int, int]:
    try:
        found = os.lstat(path)
    except OSError:
        return (0, 0, 0)
    return found.st_size, found.st_mtime_ns, found.st_ino


def _row(uid: str, folder: Path) -> bytes:
    try:
        run = StoredRun(folder)
        if run.is_damaged:
            raise FormatError("R010", f"no readable {RUN}")
        about = {**run.attributes, "id": run.id}
        said: dict[str, Any] = {
            "owner": run.document.get("project", ""),
            "state": run.document["state"],
            "time": run.newest_line,
            "rows": len(run.history().rows),
            "attributes": about,
            "config": run.config,
            "summary": run.summary,
        }
    except (FormatError, OSError) as error:
        said = {"refused": str(error)}
    plain = {key: marked(value) if isinstance(value, dict) else value for key, value in said.items()}
    return orjson.dumps({"uid": uid, **plain})
