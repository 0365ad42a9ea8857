"""The files of a bundle, its volumes: their names, and how one is written that is never seen half."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from runfmt.documents import move, replace, sync, temporary_beside
from runfmt_sync import bundle
from runfmt_sync.digests import Proof
from runfmt_sync.faults import fault_point
from runfmt_sync.signing import ENDING, SecretKey, sign

__all__ = ["SUFFIX", "Volume", "remove_unfinished", "remove_volume", "volumes_in"]

SUFFIX = ".runfmt"
MOST_DATA = bundle.MAX_UNPACKED // 2
"""Bytes of extents in one volume, so that it unpacks to less than a reader's limit."""


def _name(channel: str, number: int, volume: int) -> str:
    return f"{channel}-{number:06}-{volume}{SUFFIX}"


def _parse(name: str, channel: str) -> tuple[int, int] | None:
    """The inverse of :func:`_name`: number and volume, None of a name that is no volume of the channel."""
    found = re.fullmatch(rf"{re.escape(channel)}-(\d{{6,}})-(\d+){re.escape(SUFFIX)}", name)
    return (int(found[1]), int(found[2])) if found else None


def volumes_in(folder: Path, channel: str) -> Iterator[tuple[int, int, Path]]:
    """The volumes of a channel that lie in a folder, each with its number and which of that it is."""
    for path in folder.glob(f"*{SUFFIX}"):
        if found := _parse(path.name, channel):
            yield *found, path


def remove_volume(path: Path) -> None:
    """Remove a volume, and its signature, if they are there."""
    path.unlink(missing_ok=True)
    path.with_name(path.name + ENDING).unlink(missing_ok=True)


def remove_unfinished(folder: Path, channel: str) -> None:
    """Remove what calls left that were killed: of volumes and of signatures."""
    for path in folder.glob(f".*{SUFFIX}.*.tmp"):
        if _parse(path.name[1:].rsplit(".", 2)[0].removesuffix(ENDING), channel):
            path.unlink()


class Volume:
    """A file that is being written under a private name, of less than ``limit`` bytes.

    ``said`` is what it says of itself (B021). ``runs`` are those in it, each with the version that it
    builds on; ``files`` those that end in it. Raises ``OSError``.
    """

    def __init__(self, folder: Path, said: Mapping[str, Any], limit: int) -> None:
        self.path = folder / _name(said["channel"], said["number"], said["volume"])
        self.version: str = said["created_at"]
        self.runs: dict[str, str] = {}
        self.files: dict[tuple[str, str], Proof] = {}
        self._limit, self._size, self._data = limit, 0, 0
        self._writer, self._digest = bundle.Writer(), hashlib.blake2b()
        self._temporary = temporary_beside(self.path)
        self._file = open(self._temporary, "xb")  # noqa: SIM115
        with _frame(lambda file: self._writer.begin(file, said)) as frame:
            self._append(frame)

    def add(self, group: bundle.Group, after: Mapping[str, str]) -> bool:
        """Write a group if it fits; ``after`` are the versions that its runs build on."""
        length = sum(extent.length for extent in group.extents)
        writer = self._writer.copy()
        with _frame(lambda file: writer.add(file, group)) as frame:
            room = self._limit - self._size - 1024 - 80 * len(self.runs.keys() | after.keys())
            if frame.tell() >= room or (self.runs and self._data + length > MOST_DATA):
                return False
            self._append(frame)
        self._writer, self._data = writer, self._data + length
        self.runs = {**after, **self.runs}
        self.files |= {(e.uid, e.path): e.whole for e in group.extents if e.whole}
        fault_point("bundle.group")
        return True

    def finish(self, *, last: bool) -> None:
        """Write the end, and make the file durable."""
        with _frame(lambda file: self._writer.end(file, last=last, after=self.runs)) as frame:
            self._append(frame)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        fault_point("bundle.written")

    def appear(self, key: SecretKey | None) -> None:
        """Take the name under which it is carried, with its signature there before it."""
        remove_volume(self.path)  # of a call that was killed; what is signed now is another
        if key:
            beside = self.path.with_name(self.path.name + ENDING)
            replace(beside, sign(self._digest.digest(), self.path.name, key).encode())
            fault_point("bundle.signed")
        move(self._temporary, self.path)
        sync(self.path.parent)

    def abandon(self) -> None:
        """Leave nothing behind."""
        with suppress(OSError):  # a disk that was full is asked again to take what it refused
            self._file.close()
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)

    def _append(self, frame: BinaryIO) -> None:
        frame.seek(0)
        while chunk := frame.read(2**20):
            self._digest.update(chunk)
            self._size += self._file.write(chunk)


@contextmanager
def _frame(write: Callable[[BinaryIO], None]) -> Iterator[BinaryIO]:
    """What is written, compressed by itself, so that its size is known before it goes into a volume."""
    with tempfile.SpooledTemporaryFile(bundle.IN_MEMORY) as spool:
        file = cast(BinaryIO, spool)
        with bundle.packed(file) as packed:
            write(packed)
        yield file
