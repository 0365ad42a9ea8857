"""Brings runs to a tracker: rows whose step is closed, files, then what describes the run.

What was sent is kept at the far end as a cursor: how far each stream was translated, with a
proof of that part, and which files and documents arrived. So after any doubt the tracker is
asked, and what may have been lost is sent again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, BinaryIO

from runfmt.errors import CommError, FormatError, explain
from runfmt.layout import METRICS, is_stream, phase, writer_of
from runfmt.locks import Locks
from runfmt.reading import StoredRun
from runfmt_sync.closed import Part, closed_parts
from runfmt_sync.digests import Changed, prove_stream
from runfmt_sync.extents import Refused, open_entry
from runfmt_sync.faults import fault_point
from runfmt_sync.inventory import Entry, Inventory, is_beginning, recall, signatures, take_inventory
from runfmt_sync.push import Outcome, Progress, local_digests
from runfmt_sync.receipts import Receipt, Receipts
from runfmt_sync.state import store_state
from runfmt_sync.trackers import Row, Tracker

__all__ = ["Choice", "Track"]

TOGETHER = 1000
"""Rows that are sent at once."""
REWOUND = "rewinds of rows that were sent"


@dataclass(frozen=True)
class Choice:
    """What of the rows is sent, for a tracker that is slow: metrics that match, every so many steps.

    Media come with any step. What was left out is not sent later.
    """

    keys: Sequence[str] = ()
    every: int = 1

    def of(self, row: Row) -> Row | None:
        """What is sent of a row."""
        values = {path: value for path, value in row.values.items() if self._is_meant(row, path, value)}
        return Row(row.writer, row.step, row.time, values, row.is_late) if values else None

    def _is_meant(self, row: Row, path: str, value: Any) -> bool:
        is_medium = isinstance(value, dict) and "_type" in value
        is_due = is_medium or row.step % self.every == 0
        return is_due and (not self.keys or any(fnmatch(path, pattern) for pattern in self.keys))


@dataclass
class _Cursor:
    """How far a run has come at a tracker.

    ``streams``: by path the bytes that were translated, the digest that proves them, and the highest
    step in them; ``files``: by path the digest of what arrived; ``unsaid`` is what the tracker cannot
    express, with how often; ``state`` is what it was last told.
    """

    streams: dict[str, tuple[int, str, int]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    unsaid: Counter[str] = field(default_factory=Counter)
    state: str = ""

    def encode(self) -> dict[str, Any]:
        """The cursor as a JSON object."""
        return {
            "runfmt": 1,
            "streams": {path: [*at] for path, at in self.streams.items()},
            "files": self.files,
            "unsaid": dict(self.unsaid),
            "state": self.state,
        }


def _decode(document: Mapping[str, Any]) -> _Cursor:
    """The inverse of :meth:`_Cursor.encode`. Raises ``Refused`` for what another version wrote."""
    if not document:
        return _Cursor()
    if document.get("runfmt") != 1:
        raise Refused("another version of runfmt brought this run there: use that one, or a newer")
    streams = {path: (size, digest, step) for path, (size, digest, step) in document["streams"].items()}
    return _Cursor(streams, dict(document["files"]), Counter(document["unsaid"]), document["state"])


class Track:
    """Brings runs to a tracker, as :class:`runfmt_sync.push.Push` does to a mirror."""

    def __init__(
        self,
        tracker: Tracker,
        *,
        jobs: int = 4,
        choice: Choice | None = None,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self.tracker = tracker
        self.fault: CommError | None = None
        self._stopped = False
        self._jobs = min(jobs, tracker.most_at_once)
        self._choice, self._dry_run = choice or Choice(), dry_run
        self._progress = progress or Progress()
        self._digests = local_digests()
        if not dry_run:
            tracker.prepare()
        self.store_id = tracker.store_id
        self._receipts = Receipts(self.store_id)

    def run(self, folders: Sequence[Path]) -> list[Outcome]:
        """Bring these runs; ``fault`` says afterwards whether the tracker gave up. May be called again."""
        self.fault = None
        outcomes = [
            Outcome(path, path.name or path.absolute().name, rows=0)
            for path in folders
            if not is_beginning(path)
        ]
        with ThreadPoolExecutor(self._jobs) as pool:
            try:
                for _ in pool.map(self._bring, outcomes):
                    pass
            except BaseException:  # Ctrl-C
                self.stop()
                raise
        return outcomes

    def stop(self) -> None:
        """What is under way ends behind the next rows or the next file; what was sent stays."""
        self._stopped = True

    def _bring(self, outcome: Outcome) -> None:
        if self._stopped or self.fault is not None:
            return
        try:
            status = self._try_to_bring(outcome)
        except CommError as error:
            self.fault = self.fault or error
            return
        except Changed as error:
            status = self._failed(outcome, f"{error} changes while it is read: sync again")
        except (Refused, FormatError, OSError) as error:
            status = self._failed(outcome, explain(error))
        if status:
            outcome.status = status
            self._progress.done(outcome)

    @staticmethod
    def _failed(outcome: Outcome, problem: str) -> str:
        outcome.problems.append(problem)
        return "failed"

    def _try_to_bring(self, outcome: Outcome) -> str:
        """What became of a run, empty if it was told to stop."""
        standing = recall(outcome.folder, self._digests, signatures(outcome.folder))
        if standing and self._receipts.digest(standing.uid) == standing.digest:
            outcome.uid, outcome.id = standing.uid, standing.id
            return "planned" if self._dry_run else "unchanged"
        inventory = take_inventory(outcome.folder, self._digests)
        outcome.uid, outcome.id = inventory.uid, inventory.id
        outcome.problems += [str(problem) for problem in inventory.problems if problem.rule == "R091"]
        receipt = self._receipts.get(inventory.uid)
        if receipt and receipt.digest == inventory.digest:
            return "unchanged"
        size = sum(_new_bytes(entry, receipt) for entry in inventory.entries.values())
        self._progress.planned(size)
        if self._dry_run:
            outcome.size, outcome.extents = size, len(inventory.entries)
            return "planned"
        locks = store_state(self.store_id) / "locks"
        locks.parent.mkdir(parents=True, exist_ok=True)
        with Locks(locks).take(inventory.uid):
            is_whole = _Bringing(self, inventory, outcome).run()
        if not is_whole:
            return ""
        self._receipts.record(inventory)
        return "failed" if outcome.problems else "synced" if outcome.extents else "unchanged"

    @property
    def is_stopped(self) -> bool:
        """Whether nothing more is to be begun."""
        return self._stopped or self.fault is not None

    def chosen(self, rows: Sequence[Row]) -> list[Row]:
        """What is sent of rows."""
        return [chosen for row in rows if (chosen := self._choice.of(row))]

    def moved(self, size: int) -> None:
        """So many bytes of the run are done."""
        self._progress.moved(size)


class _Bringing:
    """One run on its way to a tracker."""

    def __init__(self, track: Track, inventory: Inventory, outcome: Outcome) -> None:
        self._track, self._inventory, self._outcome = track, inventory, outcome
        self._run = StoredRun(inventory.folder)
        self._state = self._run.state()
        self._tracked = track.tracker.open(self._run)
        self._cursor = _Cursor()

    def run(self) -> bool:
        """Send what is not there yet; gives whether all of it was."""
        try:
            self._cursor = _decode(self._tracked.cursor())
            is_whole = self._send_files(0) and self._send_rows() and self._send_rest()
            self._outcome.notes += [f"{count:,} {what}" for what, count in self._cursor.unsaid.items()]
            return is_whole
        finally:
            self._tracked.close()

    def _send_rows(self) -> bool:
        for path, entry in self._inventory.entries.items():
            writer = writer_of(path) if is_stream(path) else None
            if writer is not None and not self._send_stream(path, entry, writer):
                return False
        return True

    def _send_stream(self, path: str, entry: Entry, writer: str) -> bool:
        start, digest, highest = self._cursor.streams.get(path, (0, "", -1))
        ended = self._state != "running"
        with open_entry(self._inventory.folder, entry) as file:
            _check_prefix(file, entry, start, digest)
            parts = closed_parts(
                file, writer, start, entry.length, highest=highest, ended=ended, may_open=self._run.may_open
            )
            for part in parts:
                if self._track.is_stopped:
                    return False
                self._send_part(part)
                proof = prove_stream(file, part.end, entry.proof)
                self._cursor.streams[path] = (part.end, proof.digest, part.highest)
                self._keep(part.end - start)
                start = part.end
        return True

    def _send_part(self, part: Part) -> None:
        rows = self._track.chosen(part.rows)
        for first in range(0, len(rows), TOGETHER):
            sent = rows[first : first + TOGETHER]
            self._cursor.unsaid += Counter(self._tracked.rows(sent))
            self._outcome.rows = (self._outcome.rows or 0) + len(sent)
            fault_point("track.rows")
        self._cursor.unsaid += Counter({REWOUND: part.rewinds})

    def _send_files(self, due: int) -> bool:
        """Send what is due in a phase, and was not sent as it is now."""
        for path, entry in self._inventory.entries.items():
            if phase(path) != due or self._cursor.files.get(path) == entry.proof.digest:
                continue
            if self._track.is_stopped:
                return False
            self._send_file(entry)
            self._keep(0 if is_stream(path) else entry.length)
        return True

    def _send_file(self, entry: Entry) -> None:
        self._tracked.file(entry.path, self._inventory.folder / entry.path)
        fault_point("track.file")
        self._cursor.files[entry.path] = entry.proof.digest

    def _send_rest(self) -> bool:
        """What describes a run, and how it ended; of one that ended its streams before that."""
        if self._state != "running" and not self._send_files(phase(METRICS)):
            return False
        entries = self._inventory.entries.values()
        documents = [entry for entry in entries if phase(entry.path) > 0 and not is_stream(entry.path)]
        is_new = any(self._cursor.files.get(entry.path) != entry.proof.digest for entry in documents)
        if is_new or self._cursor.state != self._state:
            self._cursor.unsaid |= Counter(self._tracked.describe(self._run))
            fault_point("track.described")
            for entry in documents:
                self._send_file(entry)
            if self._state != "running":
                self._tracked.end(self._run)
                fault_point("track.ended")
            self._cursor.state = self._state
            self._keep(sum(entry.length for entry in documents))
        return True

    def _keep(self, size: int) -> None:
        """Keep how far it has come; so many bytes of the run were translated for it."""
        self._tracked.keep(self._cursor.encode())
        fault_point("track.kept")
        self._outcome.extents += 1
        self._outcome.size += size
        self._track.moved(size)


def _check_prefix(file: BinaryIO, entry: Entry, size: int, digest: str) -> None:
    """What was translated must be what is here, or have more behind it."""
    if size > entry.length:
        raise Refused(
            f"{entry.path}: rows were sent that are not here any more ({size - entry.length:,} bytes); bring "
            "the stream back from another remote, or make this copy a run of its own: `runfmt recover`"
        )
    if size and prove_stream(file, size, entry.proof).digest != digest:
        raise Refused(
            f"{entry.path} has diverged: other rows were sent from another copy of this run; "
            "`runfmt recover --new-uid` makes this copy a run of its own"
        )


def _new_bytes(entry: Entry, receipt: Receipt | None) -> int:
    """Bytes of an entry that were not sent by the last receipt."""
    before = receipt.files.get(entry.path) if receipt else None
    if before is None:
        return entry.length
    if is_stream(entry.path):
        return max(0, entry.length - before.size)
    return 0 if before == entry.proof else entry.length
