"""A directory of runs as a remote: a USB stick, a network share, another disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from runfmt.errors import CommError, FormatError, warn
from runfmt.reading import StoredRun
from runfmt_sync.digests import KnownDigests
from runfmt_sync.extents import Piece
from runfmt_sync.plan import Ask, Have
from runfmt_sync.state import state_folder
from runfmt_sync.store import Refused, Store

__all__ = ["DirectoryRemote"]

ONE_FILE = {
    errno.EACCES,
    errno.EFBIG,
    errno.EINVAL,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
}
"""What is refused of one file while others may be fine: FAT has no files of 4 GiB, and few signs in names."""


class DirectoryRemote:
    """A :class:`runfmt_sync.remotes.Remote` on a path; makes the folder if its parent is there."""

    def __init__(self, path: str) -> None:
        root = Path(path).expanduser()
        self.url = str(root)
        if not root.parent.is_dir():
            raise CommError(f"there is no folder {root.parent} for the remote {root}: mount it, or make it")
        with self._faults():
            root.mkdir(exist_ok=True)
            self.store = Store(root)
        self.store_id = self.store.id
        self._digests = KnownDigests(state_folder() / "remotes" / self.store_id / "digests.jsonl")

    def have(self, asks: Iterable[Ask], *, believe: bool = True) -> dict[str, Have]:
        """What is in the directory of runs, of those that are not the same."""
        with self._faults():
            return self.store.have(asks, self._digests, believe=believe)

    def apply(self, pieces: Iterable[Piece]) -> None:
        """Write extents to the directory."""
        with self._faults():
            self.store.apply(_guarded(pieces))

    def read(self, uid: str, path: str, offset: int = 0) -> BinaryIO:
        """A file in the directory."""
        with self._faults():
            return self.store.read(uid, path, offset)

    def runs(self) -> Iterator[StoredRun]:
        """The runs in the directory; one that must be refused is warned of."""
        for folder in self.store.runs.values():
            try:
                yield StoredRun(folder)
            except FormatError as error:
                warn(str(error))

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Say of what the disk refuses whether it is one run's or the remote's."""
        try:
            yield
        except _Source as source:
            raise source.error from None
        except OSError as error:
            where = error.filename or self.url
            what = f"{error.strerror or error} ({os.fsdecode(where)})"
            if error.errno in ONE_FILE:
                raise Refused(f"the remote cannot take it: {what}") from error
            raise CommError(
                f"the remote {self.url} gave up: {what}: make room or mend it, and sync again"
            ) from error


class _Source(Exception):
    """An error of this side's disk, which is not the remote's fault."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


def _guarded(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The pieces, with errors in reading them told apart from those in writing."""
    iterator = iter(pieces)
    while True:
        try:
            piece = next(iterator)
        except StopIteration:
            return
        except OSError as error:
            raise _Source(error) from error
        yield piece
