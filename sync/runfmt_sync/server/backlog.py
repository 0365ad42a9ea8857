"""Runs that are too long to be read while somebody waits: processes of their own do it, one run each.

What they find they leave in the indexes, so nothing comes back but that it is done.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

from runfmt_sync.index.making import Made, Processes, looks, read

__all__ = ["Backlog"]

log = logging.getLogger("runfmt.server")

NICENESS = 10
"""Who waits for an answer comes first."""


class Backlog:
    """May be used by several threads; ``cache`` is the folder of the indexes."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._processes: Processes | None = None
        self._is_closed = False
        self._reading: set[Path] = set()
        self._tried: dict[Path, object] = {}
        """How the streams of each run looked when it was last to be read."""
        self._broken: set[Path] = set()
        """Those that were being read, or were to be, when a process was killed."""
        self._done = Counter[Path]()
        self._lock = threading.Lock()

    def add(self, folder: Path) -> bool:
        """Have a run read, if it is not already; False if it was, as it is now, and that was no use."""
        with self._lock:
            if folder in self._reading:
                return True
            look = looks(folder)
            if self._tried.get(folder) == look:
                return False
            self._tried[folder] = look
            processes = self._processes = self._processes or Processes(NICENESS)
            try:
                future = processes.submit(read, folder, self._cache)
            except (RuntimeError, OSError) as error:  # the server ends, or there can be no process
                log.warning("%s is read at once: %s", folder, error)
                return False
            self._reading.add(folder)
        future.add_done_callback(partial(self._note, folder, processes))
        return True

    def times(self, folder: Path) -> int:
        """How many times a run was read: another number says that there is more to be had of it."""
        return self._done[folder]

    def _note(self, folder: Path, processes: Processes, done: Future[Made]) -> None:
        with self._lock:
            self._reading.discard(folder)
            self._done[folder] += 1
            if self._is_closed or not (error := done.exception()):
                return
            if isinstance(error, BrokenProcessPool):  # perhaps for want of memory, which another run had
                if self._processes is processes:
                    self._processes = None
                if folder not in self._broken:
                    del self._tried[folder]
                self._broken.add(folder)
        log.warning("%s was not read: %s", folder, error)

    def close(self) -> None:
        """End the processes, whatever they do."""
        with self._lock:
            self._is_closed = True
        if self._processes:
            self._processes.end()
