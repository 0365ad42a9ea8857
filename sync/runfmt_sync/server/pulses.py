"""Whether runs have changed, for who asks every second: only stat, unless something moved (H077)."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runfmt.errors import FormatError
from runfmt.layout import RUN, is_private
from runfmt.reading import StoredRun, has_crashed

__all__ = ["Pulses"]

SETTLED_NS = 3 * 10**9
"""A folder that changed so lately may change again without its time showing it."""
MANY = 10_000
"""Runs from which those are forgotten that nobody asks for any more."""
Stat = tuple[int, int, int]


@dataclass
class _Known:
    """What is known of a folder: its names at a time, how each looked, the state, and the newest line."""

    names: tuple[str, ...] = ()
    listed: int = -1
    looks: dict[str, Stat] = field(default_factory=dict)
    state: str = ""
    newest: float = 0.0
    newest_of: dict[str, Stat] = field(default_factory=dict)


class Pulses:
    """May be used by several threads; ``times`` says how often a run was read in the background."""

    def __init__(self, times: Callable[[Path], int]) -> None:
        self._times = times
        self._known: dict[Path, _Known] = {}
        self._lock = threading.Lock()

    def of(self, runs: Mapping[str, Path]) -> dict[str, dict[str, str]]:
        """Of each run a mark that changes when anything of it does, and its state."""
        with self._lock:
            if len(self._known) > MANY + len(runs):
                self._known = {folder: self._known.get(folder, _Known()) for folder in runs.values()}
            return {uid: self._of(folder) for uid, folder in runs.items()}

    def _of(self, folder: Path) -> dict[str, str]:
        known = self._known.setdefault(folder, _Known())
        try:
            before, known.looks = known.looks, _look(str(folder), known)
            _see(folder, known, before)
        except FileNotFoundError:
            return {"mark": "", "state": "gone"}
        except OSError:
            return {"mark": "", "state": "refused"}
        state = "crashed" if known.state == "running" and has_crashed(known.newest) else known.state
        mark = hash((*known.looks.items(), self._times(folder)))
        return {"mark": f"{mark:x}", "state": state}


def _look(folder: str, known: _Known) -> dict[str, Stat]:
    """Size, time and inode of everything at the top of a run; the names are listed when they changed."""
    changed = os.stat(folder).st_mtime_ns
    if changed != known.listed:
        known.names = tuple(sorted(name for name in os.listdir(folder) if not is_private(name)))
        known.listed = changed if changed < time.time_ns() - SETTLED_NS else -1
    found: dict[str, Stat] = {}
    for name in known.names:
        try:
            status = os.lstat(f"{folder}/{name}")
        except FileNotFoundError:  # it went just now
            continue
        found[name] = status.st_size, status.st_mtime_ns, status.st_ino
    return found


def _see(folder: Path, known: _Known, before: Mapping[str, Stat]) -> None:
    """Read the state if it may be another; of a run that lives no newer line is looked for."""
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
