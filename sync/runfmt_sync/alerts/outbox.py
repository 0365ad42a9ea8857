"""What is to be sent to whom, and what was: an SQLite file. What is said of a delivery is on the disk then.

A delivery is *claimed* before it is sent and *confirmed* after it. If the sender is killed between the
two, nobody knows whether it arrived, and it is sent again, under the same key.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import orjson

from runfmt_sync.alerts.notices import Notice, Seen
from runfmt_sync.alerts.targets import Target
from runfmt_sync.faults import fault_point

__all__ = ["MAX_AGE", "Delivery", "Outbox", "Standing"]

MAX_AGE = 7 * 86400.0
"""Seconds after which what happened is told no more."""
FIRST_WAIT, LONGEST_WAIT = 5.0, 3600.0
"""Seconds between two tries: the first, doubled with each, and the longest."""
NO_ANSWER = "it gave no answer"
SCHEMA = """
CREATE TABLE IF NOT EXISTS seen (folder TEXT PRIMARY KEY, how BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deliveries (
    target TEXT, key TEXT, time REAL NOT NULL,
    urgency TEXT NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL DEFAULT 0,
    sent REAL, problem TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (target, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS made (at REAL NOT NULL);
"""


class Delivery(NamedTuple):
    """One notice on its way to one target."""

    key: str
    urgency: str
    title: str
    body: str


class Standing(NamedTuple):
    """How it stands with a target: what was sent since a time, what waits, and why."""

    sent: int
    waiting: int
    problem: str


class Outbox:
    """May be opened by several processes and threads. Raises ``sqlite3.Error``, ``OSError``."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._path, self._clock = folder / "outbox.sqlite", clock
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._open() as database:
            database.executescript(SCHEMA)
            database.execute(
                "INSERT INTO made SELECT ? WHERE NOT EXISTS (SELECT * FROM made)", [round(clock(), 6)]
            )
            self.made: float = database.execute("SELECT at FROM made").fetchone()[0]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self._path, timeout=60, isolation_level=None)
        try:
            database.execute("PRAGMA synchronous = EXTRA")
            yield database
        finally:
            database.close()

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            with database:  # durable when this ends
                yield database

    # What was found

    def since(self, target: Target) -> float:
        """From when on a target is told what happened: an outbox that was lost says nothing twice."""
        return max(target.since, self.made, self._clock() - MAX_AGE)

    def seen(self) -> dict[str, Seen]:
        """How the runs were when they were last looked at, by folder."""
        with self._open() as database:
            return {
                folder: Seen(*orjson.loads(how)) for folder, how in database.execute("SELECT * FROM seen")
            }

    def note(
        self, looks: Iterable[tuple[str, Seen]], notices: Iterable[Notice], targets: Collection[Target]
    ) -> None:
        """Keep how runs were, and what is to be told to whom; what was noted before is not noted again."""
        rows = [
            (target.id, notice.key, notice.time, notice.urgency, notice.title, notice.body)
            for notice in notices
            for target in targets
            if _wants(target, notice) and notice.time >= self.since(target)
        ]
        kept = [(folder, orjson.dumps(tuple(vars(seen).values()))) for folder, seen in looks]
        with self._changing() as database:
            database.executemany(
                "INSERT OR IGNORE INTO deliveries (target, key, time, urgency, title, body)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )
            fault_point("alert.noting")
            database.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?)", kept)
        fault_point("alert.noted")

    # What is sent

    def due(self) -> set[str]:
        """The ids of the targets to which something is to be sent now."""
        with self._open() as database:
            found = database.execute(
                "SELECT DISTINCT target FROM deliveries WHERE sent IS NULL AND due <= ? AND time >= ?",
                self._now(),
            )
            return {target for (target,) in found}

    def claim(self, target: str) -> Delivery | None:
        """Take what is to be sent to a target next, if there is anything; it comes again if it fails."""
        with self._changing() as database:
            found = database.execute(
                "SELECT key, urgency, title, body, tries FROM deliveries"
                " WHERE target = ? AND sent IS NULL AND due <= ? AND time >= ?"
                " ORDER BY tries > 0, time LIMIT 1",
                [target, *self._now()],
            ).fetchone()
            if found is None:
                return None
            *delivery, tries = found
            again = self._clock() + min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(tries, 20))
            database.execute(
                "UPDATE deliveries SET tries = tries + 1, due = ?, problem = ? WHERE target = ? AND key = ?",
                [again, NO_ANSWER, target, delivery[0]],
            )
        fault_point("alert.claimed")
        return Delivery(*delivery)

    def confirm(self, target: str, key: str) -> None:
        """It was sent."""
        with self._changing() as database:
            database.execute(
                "UPDATE deliveries SET sent = ?, problem = '' WHERE target = ? AND key = ?",
                [self._clock(), target, key],
            )
        fault_point("alert.confirmed")

    def failed(self, target: str, key: str, problem: str) -> None:
        """It could not be sent, and is tried again later."""
        with self._changing() as database:
            database.execute(
                "UPDATE deliveries SET problem = ? WHERE target = ? AND key = ?", [problem, target, key]
            )

    def _now(self) -> tuple[float, float]:
        now = self._clock()
        return now, now - MAX_AGE

    # How it stands

    def standing(self, target: str, since: float) -> Standing:
        """How it stands with a target."""
        with self._open() as database:
            sent, waiting = database.execute(
                "SELECT total(sent >= ?), total(sent IS NULL) FROM deliveries WHERE target = ?",
                [since, target],
            ).fetchone()
            problem = database.execute(
                "SELECT problem FROM deliveries WHERE target = ? AND problem > '' ORDER BY due DESC LIMIT 1",
                [target],
            ).fetchone()
        return Standing(int(sent), int(waiting), problem[0] if problem else "")

    def forget(self, target: str) -> None:
        """A target is told no more."""
        with self._changing() as database:
            database.execute("DELETE FROM deliveries WHERE target = ?", [target])

    def prune(self) -> dict[str, int]:
        """Forget what is too old to come again; gives how much of it was never sent, by target."""
        old = self._clock() - MAX_AGE
        with self._changing() as database:
            lost = database.execute(
                "SELECT target, count(*) FROM deliveries WHERE time < ? AND sent IS NULL GROUP BY target",
                [old],
            ).fetchall()
            database.execute("DELETE FROM deliveries WHERE time < ?", [old])
        return dict(lost)


def _wants(target: Target, notice: Notice) -> bool:
    return notice.kind in target.on and target.project in (None, notice.project)
