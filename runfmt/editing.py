"""Changes ``edits.json``: read, merge, replace, under a lock of all who edit on this machine.

People edit with :class:`runfmt.Api`, sync brings the edits of the other side. Neither
loses what the other writes: a trainer knows nothing of this file, nor of its lock.
"""

from __future__ import annotations

import errno
import getpass
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runfmt.documents import NO_LOCKS, replace
from runfmt.edits import are_same, merge_edits, stamped
from runfmt.errors import FormatError
from runfmt.layout import EDITS, PRIVATE_EDITS_LOCK
from runfmt.rows import decode_document, encode_document

__all__ = ["add_edits", "author", "laid_together", "lay_edits_together"]

WAIT = 30.0
"""Seconds after which the lock is given up; nobody holds it for longer than a write takes."""
POLL = 0.005
"""Seconds between two looks at the lock."""
TRIES = 10


def add_edits(run: Path, changes: Mapping[str, Any], by: str = "") -> None:
    """Write changes, as :func:`runfmt.edits.differences` gives them; they are durable when this returns.

    ``by`` is whoever makes them, the user of this process if nobody is named. Raises ``FormatError``
    (R091) if what is there cannot be read, and leaves it as it is: it may be mended by hand, and
    holds what others said. ``OSError`` where the disk refuses.
    """
    entries: dict[str, Any] = {}

    def change(there: bytes) -> bytes:
        ours = _read(there, str(run / EDITS))
        if not entries:
            entries.update(stamped(changes, ours, round(time.time(), 6), by or author()))
        merged = merge_edits(ours, entries)
        return there if are_same(merged, ours) else encode_document(merged)

    _change(run, change)


def lay_edits_together(run: Path, data: bytes) -> None:
    """Merge another side's ``edits.json`` into the one of a run (R096); equal sides end with equal bytes.

    Raises ``FormatError`` (R091) if one of the two cannot be read, ``OSError``.
    """
    _change(run, lambda there: laid_together(there, data, str(run / EDITS)))


def laid_together(there: bytes, data: bytes, path: str = EDITS) -> bytes:
    """What two sides' ``edits.json`` come to (R096). Raises ``FormatError`` (R091) for what is none."""
    if there in (b"", data):
        return data
    ours, theirs = _read(there, path), _read(data, f"{EDITS} of the other side")
    merged = merge_edits(ours, theirs)
    if are_same(merged, theirs):
        return data
    return there if are_same(merged, ours) else encode_document(merged)


def _change(run: Path, change: Callable[[bytes], bytes]) -> None:
    """Replace ``edits.json`` by what ``change`` makes of it, until that is what is there.

    Where locks work, the second look finds it so. Where they only seem to, as on some network
    file systems, it finds what another machine wrote meanwhile, and ``change`` comes on top.
    """
    path = run / EDITS
    if not run.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the run is gone, and no edit was saved", str(run))
    with _lock(run / PRIVATE_EDITS_LOCK):
        for _ in range(TRIES):
            there = _bytes_of(path)
            changed = change(there)
            if changed == there:
                return
            replace(path, changed)
    raise OSError(errno.EAGAIN, "others change it all the time: try again", str(path))


def _bytes_of(path: Path) -> bytes:
    if path.is_symlink():
        raise FormatError("R006", "a symbolic link is no part of a run: put a file in its place", str(path))
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _read(data: bytes, where: str) -> dict[str, Any]:
    try:
        return decode_document(data) if data else {}
    except FormatError as error:
        raise FormatError(error.rule, f"{error.message}: correct or remove it", where) from None


def _lock(path: Path) -> Any:
    """The lock, held; where the file system has none, a file that only one can make."""
    from filelock import FileLock, SoftFileLock, Timeout

    try:
        try:
            return FileLock(path).acquire(timeout=WAIT, poll_interval=POLL)
        except (NotImplementedError, OSError) as error:  # the former of older versions of filelock
            if isinstance(error, OSError) and error.errno not in NO_LOCKS:
                raise
            return SoftFileLock(f"{path}.soft").acquire(timeout=WAIT, poll_interval=POLL)
    except Timeout as error:
        text = f"another process has held it for {WAIT:.0f} seconds: try again, or remove it if there is none"
        raise TimeoutError(errno.ETIMEDOUT, text, error.lock_file) from None


def author() -> str:
    """Who edits here."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a name for its user
        return str(os.getuid())
