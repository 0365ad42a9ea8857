"""Whether runs have changed, for who asks every second: only stat, unless something moved."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from runfmt.errors import FormatError
from runfmt.layout import RUN, is_private
from runfmt.reading import StoredRun, has_crashed

__all__ = ["Pulses"]

SETTLED_NS = 3 * 10**9
"""A folder that changed so lately may change again without its time showing it."""
Stat = tuple[int, int, int]


@dataclass
class _Known:
    """What is known of a folder: its names at a time, the files' looks, the state and the newest line."""

    names: tuple[str, ...] = ()
    folder: int = -1
    looks: dict[str, Stat] = field(default_factory=dict)
    state: str = ""
    newest: float = 0.0
    newest_of: dict[str, Stat] = field(default_factory=dict)


class Pulses:
    """May be used by several threads."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()

    def of(self, uid: str, folder: Path) -> dict[str, str]:
        """A mark that changes when anything of a run does, and its state."""
        with self._lock:
            known = self._known.setdefault(uid, _Known())
        try:
            before = known.looks
            known.looks = _look(folder, known)
            _see(folder, known, before)
        except OSError as error:
            return {"mark": "", "state": "gone" if isinstance(error, FileNotFoundError) else "refused"}
        state = "crashed" if known.state == "running" and has_crashed(known.newest) else known.state
        return {"mark": f"{hash((folder, *known.looks.items())):x}", "state": state}


def _look(folder: Path, known: _Known) -> dict[str, Stat]:
    """Size, time and inode of everything at the top of a run; its names are listed when it changed."""
    path = str(folder)
    changed = os.stat(path).st_mtime_ns
    if changed != known.folder:
        known.names = tuple(sorted(name for name in os.listdir(path) if not is_private(name)))
        known.folder = changed if changed < time.time_ns() - SETTLED_NS else -1
    found: dict[str, Stat] = {}
    for name in known.names:
        try:
            status = os.lstat(f"{path}/{name}")
        except FileNotFoundError:  # it went just now
            continue
        found[name] = status.st_size, status.st_mtime_ns, status.st_ino
    return found


def _see(folder: Path, known: _Known, before: dict[str, Stat]) -> None:
    """Read the state again if it may be another: a line of now need not be looked for in a run that lives."""
    if known.state and before.get(RUN) == known.looks.get(RUN):
        lives = known.state != "running" or not has_crashed(known.newest)
        if lives or known.newest_of == known.looks:
            return
    known.newest_of = known.looks
    try:
        run = StoredRun(folder)
    except FormatError:
        known.state = "refused"
        return
    known.state = "damaged" if run.is_damaged else str(run.document["state"])
    known.newest = run.newest_line
