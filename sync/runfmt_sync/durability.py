"""What has to be on the disk before anything is said of it.

A file is durable by its own fsync, and its name by that of its folder. Of many files that
would be thousands of waits, so where the file system promises as much of ``syncfs(2)``,
one call stands for all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from runfmt.documents import sync
from runfmt_sync.faults import fault_point

__all__ = ["Barrier", "Disk"]

MANY = 16
"""Files and folders from which one call for all of the disk costs less."""
PROMISING = {0xEF53, 0x58465342}
"""ext2 to ext4, and XFS (``statfs(2)``): syncfs writes all they hold, waits for the disk, and says what
failed, the latter from Linux 5.8. Network and FUSE file systems need not even hear of it."""


class Disk:
    """The disk below a folder, while something is written there."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._descriptor = -1

    def __enter__(self) -> Disk:
        with suppress(FileNotFoundError):
            self._descriptor = os.open(self._root, os.O_RDONLY | os.O_CLOEXEC)
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def make_durable(self, files: Collection[Path], folders: Collection[Path]) -> None:
        """Make files, and the names in folders, durable; passes over what is gone. Raises ``OSError``."""
        if len(files) + len(folders) > MANY and _promises(self._descriptor):
            _sync_all(self._descriptor, self._root)
            return
        for path in (*sorted(files), *sorted(folders)):
            with suppress(FileNotFoundError):
                sync(path)


class Barrier:
    """What has to become durable together, and files that have their names only then."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.files: set[Path] = set()
        self.folders: set[Path] = set()
        self.renames: dict[Path, Path] = {}

    def add(self, path: Path) -> None:
        """A file that was written or made."""
        self.files.add(path)
        self.folders.add(path.parent)

    def wait(self) -> None:
        """Make the files durable, then let those appear that are to be renamed."""
        fault_point("store.before-fsync")
        self._disk.make_durable([*self.files, *self.renames], self.folders)
        fault_point("store.before-rename")
        for part, path in self.renames.items():
            os.replace(part, path)
            fault_point("store.renamed")
        if self.renames:
            self._disk.make_durable((), {path.parent for path in self.renames.values()})
        self.files, self.folders, self.renames = set(), set(), {}


def _promises(descriptor: int) -> bool:
    import ctypes  # loaded by none of the syncs that find nothing new

    about = (ctypes.c_long * 15)()  # struct statfs, of which the kind comes first
    known = descriptor >= 0 and ctypes.CDLL(None).fstatfs(descriptor, about) == 0
    return known and about[0] in PROMISING and _kernel() >= (5, 8)


def _kernel() -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", os.uname().release)[:2]))


def _sync_all(descriptor: int, root: Path) -> None:
    import ctypes

    if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(root))
