"""Syncs again and again while runs are written: on a machine that sees their disk and has a network.

Each round looks at times and sizes, as nothing else tells what happens on a shared file
system. Runs that ended and are confirmed cost one look at their folder, those that stand
still one look at their files; only what has moved is read and sent.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runfmt.errors import CommError, FormatError, UsageError, explain
from runfmt.reading import CRASHED_AFTER, StoredRun
from runfmt_sync.digests import Signature
from runfmt_sync.inventory import signatures
from runfmt_sync.push import Outcome, Push
from runfmt_sync.track import Track

__all__ = ["Watch", "Watcher"]

LOOK_AT_ALL = 600.0
"""Seconds after which runs that ended are looked at file by file too."""
LONGEST_WAIT = 60.0
"""Seconds between two tries while the remote is away."""
FINAL = ("synced", "unchanged", "deleted")


class Watcher:
    """Is told what happens."""

    def outcome(self, outcome: Outcome) -> None:
        """Something moved, or a run has a problem that it had not before."""

    def say(self, line: str) -> None:
        """Something that is not about one sync of one run."""


@dataclass
class _Seen:
    """How a run was when it was last looked at; ``grew`` is the clock's time at which it last moved."""

    files: dict[str, Signature] | None = None
    folder: int = -1
    grew: float = 0.0
    is_final: bool = False
    is_confirmed: bool = False
    is_silent: bool = False
    problems: list[str] = field(default_factory=list)


class Watch:
    """Rounds of looking and pushing.

    ``connect`` opens the remote, and may raise ``CommError`` for as long as it is away;
    ``look`` gives the folders of the runs that may be meant, ``is_meant`` judges one that has
    moved; ``clock`` is monotonic, in seconds.
    """

    def __init__(
        self,
        connect: Callable[[], Push | Track],
        look: Callable[[], Sequence[Path]],
        watcher: Watcher,
        *,
        interval: float,
        is_meant: Callable[[Path], bool] = lambda _: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect, self._look, self._watcher = connect, look, watcher
        self._interval, self._is_meant, self._clock = interval, is_meant, clock
        self._push: Push | Track | None = None
        self._stop = threading.Event()
        self._seen: dict[Path, _Seen] = {}
        self._looked_at_all = clock()
        self._faults = 0
        self._away: set[str] = set()

    def stop(self) -> None:
        """End after the extent that is under way; may be called from a signal handler or another thread."""
        self._stop.set()
        if self._push is not None:
            self._push.stop()

    def pause(self, seconds: float) -> None:
        """Wait, for a remote that has to be tried again. Raises ``CommError`` if the end comes first."""
        if self._stop.wait(seconds):
            raise CommError("told to stop")

    def run(self) -> None:
        """Go on until :meth:`stop`."""
        while not self._stop.is_set():
            began = self._clock()
            self.round()
            self._stop.wait(max(0.0, began + self._wait() - self._clock()))

    def _wait(self) -> float:
        return max(self._interval, min(LONGEST_WAIT, 2.0 ** min(self._faults, 6)))

    def round(self) -> None:
        """Look once, and bring what has moved."""
        moved = self._moved()
        if not moved:
            return
        try:
            self._push = self._push or self._connect()
            outcomes = self._push.run(moved)
            fault = self._push.fault
        except CommError as error:
            outcomes, fault = [], error
        if not self._stop.is_set():
            self._note_fault(fault)
        for outcome in outcomes:
            self._note(outcome, self._seen[outcome.folder])

    def _moved(self) -> list[Path]:
        """The runs that do not stand as they were confirmed."""
        now, found = self._clock(), self._found()
        at_all = now - self._looked_at_all > LOOK_AT_ALL
        if at_all:
            self._looked_at_all = now
        self._seen = {folder: self._seen.get(folder) or _Seen(grew=now) for folder in found}
        moved = (folder for folder, seen in self._seen.items() if self._has_moved(folder, seen, now, at_all))
        return [folder for folder in moved if self._is_meant(folder)]

    def _found(self) -> Sequence[Path]:
        """The folders of runs; a disk that is away for a while has the ones that it had."""
        try:
            found = self._look()
        except (UsageError, OSError) as error:
            self._tell("disk", explain(error))
            return [*self._seen]
        self._tell("disk", "")
        return found

    def _tell(self, about: str, trouble: str) -> None:
        """Say that something is away, once, and that it is back."""
        if trouble and about not in self._away:
            self._watcher.say(f"{trouble}; it is tried again and again")
        elif not trouble and about in self._away:
            self._watcher.say(f"the {about} is there again")
        self._away = self._away | {about} if trouble else self._away - {about}

    def _has_moved(self, folder: Path, seen: _Seen, now: float, at_all: bool) -> bool:
        stands = _stands(folder)
        if seen.is_final and seen.is_confirmed and seen.folder == stands and not at_all:
            return False
        files = signatures(folder)
        if files is not None and files == seen.files:
            self._note_silence(folder, seen, now)
            return not seen.is_confirmed and (at_all or not seen.problems)
        seen.files, seen.folder, seen.grew = files, stands, now
        seen.is_silent = seen.is_confirmed = False
        return True

    def _note(self, outcome: Outcome, seen: _Seen) -> None:
        seen.is_confirmed = outcome.status in FINAL
        seen.is_final = _has_ended(outcome.folder)
        if outcome.extents or outcome.problems != seen.problems:
            self._watcher.outcome(outcome)
        seen.problems = outcome.problems

    def _note_silence(self, folder: Path, seen: _Seen, now: float) -> None:
        if now - seen.grew > CRASHED_AFTER and not (seen.is_silent or seen.is_final):
            seen.is_silent = True
            self._watcher.say(
                f"{folder.name}: nothing was written for {CRASHED_AFTER / 60:.0f} minutes: crashed"
            )

    def _note_fault(self, fault: CommError | None) -> None:
        self._tell("remote", explain(fault) if fault else "")
        self._faults = self._faults + 1 if fault else 0


def _stands(folder: Path) -> int:
    """What moves when a name comes into a folder or goes: also when a run that ended is resumed."""
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return -1


def _has_ended(folder: Path) -> bool:
    try:
        return StoredRun(folder).document.get("state") != "running"
    except (FormatError, OSError):
        return False
