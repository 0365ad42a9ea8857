"""Locks among all who write to one folder: one file, in which each name has a byte of its own.

So there are no lock files to clean up, nobody asks again and again, and what a process
held is free when it dies (``fcntl(2)``, open file description locks). Where a file
system has no locks, none is held.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from pathlib import Path

from runfmt.documents import NO_LOCKS, open_lock

__all__ = ["Locks"]


class Locks:
    """Names that are held until ``release``. Of one thread; two threads make two.

    Who takes several takes them in alphabetical order, so that two never wait for each other.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._last = ""

    def __enter__(self) -> Locks:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def fits(self, name: str) -> bool:
        """Whether a name may be taken without giving back others before."""
        return name >= self._last

    def take(self, name: str) -> Locks:
        """Wait for a name; taking it again costs nothing. Raises ``OSError``."""
        if self._descriptor < 0:
            self._descriptor = open_lock(self._path)
        if name != self._last:
            _wait_for(self._descriptor, _byte_of(name))
            self._last = name
        return self

    def release(self) -> None:
        """Give all back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._last = -1, ""


def _byte_of(name: str) -> int:
    """Where in the file a name stands; so far apart that no two meet."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 2


def _wait_for(descriptor: int, byte: int) -> None:
    wanted = struct.pack("@hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)  # struct flock, 64 bits
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLKW, wanted)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
