"""The indexes of runs that were asked for lately, held open so that the next look costs what is new.

Nobody waits for more than a little of that: what is more is read in the background.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from runfmt.fold import Fold
from runfmt.layout import stream_name
from runfmt_sync.index import Behind, RunIndex, keep_only
from runfmt_sync.index.streams import BLOCK
from runfmt_sync.server.backlog import Backlog
from runfmt_sync.server.questions import STREAMS

__all__ = ["Indexes"]

KEPT = 2_000
"""Indexes that are held."""
KEPT_BYTES = 256 * 2**20
"""Bytes of streams that they hold in memory: what is behind the last block of each, or all of a short one."""


AT_ONCE = 2**20
"""Bytes of a stream that are read while somebody waits; an index is made from 4 MiB on."""

T = TypeVar("T")


class Indexes:
    """May be used by several threads; ``cache`` is the folder in which the indexes lie.

    What has to be read for long raises ``Behind``, until that is done in the background.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self.backlog = Backlog(cache)
        self._held: OrderedDict[str, tuple[RunIndex, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def of(self, folder: Path) -> RunIndex:
        """The index of a run as it is now. Raises ``FormatError`` if it must be refused, ``OSError``."""
        return self._soon(folder, lambda most: self._of(folder, most))

    def fold_of(self, folder: Path) -> Fold:
        """What the metrics of a run's main writer come to now. Raises as :meth:`of`."""
        return self._soon(folder, RunIndex(folder, self._cache).fold)

    def _soon(self, folder: Path, read: Callable[[int | None], T]) -> T:
        try:
            return read(AT_ONCE)
        except Behind:
            if self.backlog.add(folder):
                raise
            return read(None)  # as nothing can be kept, say

    def _of(self, folder: Path, most: int | None) -> RunIndex:
        key = str(folder)
        with self._lock:
            index, cost = self._held.get(key, (None, 0))
        is_new = index is None
        index = index or RunIndex(folder, self._cache)
        if index.refresh(most) or is_new:
            cost = _cost(folder, index)
        self._keep(key, index, cost)
        return index

    def keep_only(self, uids: Collection[str]) -> None:
        """Forget the runs that are gone, where nobody else has indexes."""
        keep_only(self._cache, uids)

    def _keep(self, key: str, index: RunIndex, cost: int) -> None:
        """Hold an index, and let go of those that nobody asked for the longest time."""
        with self._lock:
            self._bytes += cost - self._held.pop(key, (index, 0))[1]
            self._held[key] = index, cost
            while len(self._held) > 1 and (len(self._held) > KEPT or self._bytes > KEPT_BYTES):
                _, (_, freed) = self._held.popitem(last=False)
                self._bytes -= freed


def _cost(folder: Path, index: RunIndex) -> int:
    """How many bytes of a run's streams are in no block, at most."""
    found = 0
    for name in (stream_name(kind, writer) for kind in STREAMS for writer in index.writers(kind)):
        with suppress(FileNotFoundError):  # it went just now
            found += min(os.stat(folder / name).st_size, BLOCK)
    return found
