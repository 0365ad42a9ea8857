"""What a power cut may leave of a folder: of the changes that were made, the durable ones and any others.

POSIX promises no more: a name is durable once its folder is fsynced, the bytes of a file once the file is.
Until then each change of names (a rename is one) and each write may have reached the disk or not, whatever
came first, and a write in part; what was never written before what was reads as zeros.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from systemcalls import Call

FOLDER = -1
"""Stands for the number of a file."""
FEW = 4
"""Changes of which each part is tried; of more, some parts."""
PARTS = 12


class Names(NamedTuple):
    """Names that change at once; None is no file any more."""

    now: dict[str, int | None]


class Bytes(NamedTuple):
    """Bytes of a file from a place on."""

    file: int
    at: int
    data: bytes


class Length(NamedTuple):
    """The new length of a file."""

    file: int
    size: int


class Synced(NamedTuple):
    """A file, or the names in a folder, as they were before the ``end``-th change, are durable."""

    what: int | str
    end: int


class _Opened:
    def __init__(self, file: int | str, *, appends: bool = False) -> None:
        self.file, self.appends, self.at = file, appends, 0


class Recorder:
    """Takes the calls of :class:`systemcalls.SystemCalls` below a folder as changes, in their order."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.changes: list[Names | Bytes | Length | Synced] = []
        self._names: dict[str, int] = {self.root: FOLDER}
        self._sizes: list[int] = []
        self._opened: dict[int, _Opened] = {}
        self._begun: dict[int, int] = {}
        self._lock = threading.RLock()

    def decide(self, call: Call) -> None:
        """What comes while an fsync lasts is not made durable by it; a descriptor that is closed is free."""
        with self._lock:
            self._begun[threading.get_ident()] = len(self.changes)
            if call.name == "close":
                self._opened.pop(call.arguments[0], None)

    def done(self, call: Call, result: Any) -> None:
        """Take a call that was made."""
        with self._lock:
            if take := getattr(self, f"on_{call.name}", None):
                take(call, result)

    def _name(self, now: dict[str, int | None]) -> None:
        self.changes.append(Names(now))
        for path, file in now.items():
            if file is None:
                del self._names[path]
            else:
                self._names[path] = file

    def on_open(self, call: Call, descriptor: int) -> None:
        flags = call.arguments[1]
        if call.path.startswith(self.root + "/") and call.path not in self._names and flags & os.O_CREAT:
            self._sizes.append(0)
            self._name({call.path: len(self._sizes) - 1})
        file = self._names.get(call.path)
        if file is not None:
            self._opened[descriptor] = _Opened(
                call.path if file == FOLDER else file, appends=bool(flags & os.O_APPEND)
            )
            if flags & os.O_TRUNC and self._sizes[file]:
                self._cut(file, 0)

    def on_write(self, call: Call, count: int) -> None:
        if (to := self._opened.get(call.arguments[0])) is not None:
            at = self._sizes[to.file] if to.appends else to.at
            self.changes.append(Bytes(to.file, at, bytes(call.arguments[1])[:count]))
            to.at = at + count
            self._sizes[to.file] = max(self._sizes[to.file], to.at)

    def on_lseek(self, call: Call, position: int) -> None:
        if (to := self._opened.get(call.arguments[0])) is not None:
            to.at = position

    def on_ftruncate(self, call: Call, _: None) -> None:
        if (to := self._opened.get(call.arguments[0])) is not None:
            self._cut(to.file, call.arguments[1])

    def _cut(self, file: int, size: int) -> None:
        self._sizes[file] = size
        self.changes.append(Length(file, size))

    def on_fsync(self, call: Call, _: None) -> None:
        if (to := self._opened.get(call.arguments[0])) is not None:
            self.changes.append(Synced(to.file, self._begun[threading.get_ident()]))

    on_fdatasync = on_fsync

    def on_mkdir(self, call: Call, _: None) -> None:
        if call.path.startswith(self.root + "/"):
            self._name({call.path: FOLDER})

    def on_replace(self, call: Call, _: None) -> None:
        old, new = (os.path.abspath(path) for path in call.arguments[:2])
        if old in self._names:
            self._name({new: self._names[old], old: None})

    on_rename = on_replace

    def on_unlink(self, call: Call, _: None) -> None:
        if call.path in self._names:
            self._name({call.path: None})

    on_rmdir = on_unlink


class Disk(NamedTuple):
    """Names and files that are durable."""

    names: dict[str, int]
    files: dict[int, bytes]

    def with_(self, changes: Sequence[Names | Bytes | Length]) -> Disk:
        """What it is after some changes."""
        names, files = {**self.names}, {**self.files}
        for change in changes:
            if isinstance(change, Names):
                names |= {path: file for path, file in change.now.items() if file is not None}
                for path in (path for path, file in change.now.items() if file is None):
                    names.pop(path, None)
            elif isinstance(change, Length):
                data = files.get(change.file, b"")
                files[change.file] = data[: change.size].ljust(change.size, b"\0")
            else:
                data = files.get(change.file, b"").ljust(change.at, b"\0")
                files[change.file] = data[: change.at] + change.data + data[change.at + len(change.data) :]
        return Disk(names, files)

    def write(self, root: str, to: Path) -> None:
        """Put it into a folder; what lies in a folder that is not there is lost."""
        to.mkdir()
        for path, file in sorted(self.names.items()):
            place = Path(to, os.path.relpath(path, root))
            if file == FOLDER:
                if place.parent.is_dir():
                    place.mkdir()
            elif place.parent.is_dir():
                place.write_bytes(self.files.get(file, b""))


def cuts(recorder: Recorder, random: Random) -> Iterator[tuple[int, Disk]]:
    """After each change, what the disk may hold if the power went then."""
    disk = Disk({}, {})
    waiting: list[tuple[int, Names | Bytes | Length]] = []
    for number, change in enumerate(recorder.changes):
        if isinstance(change, Synced):
            due = [(at, one) for at, one in waiting if at < change.end and _is_of(one, change.what)]
            disk = disk.with_([one for _, one in due])
            waiting = [one for one in waiting if one not in due]
        else:
            waiting.append((number, change))
        for part in _parts([one for _, one in waiting], random):
            yield number + 1, disk.with_(part)


def _is_of(change: Names | Bytes | Length, what: int | str) -> bool:
    if isinstance(change, Names):
        return what in map(os.path.dirname, change.now)
    return change.file == what


def _parts(changes: list[Names | Bytes | Length], random: Random) -> Iterator[list[Names | Bytes | Length]]:
    """Some of the changes: each choice of few; none, all, all but one, one alone, and others of many."""
    count = len(changes)
    if count <= FEW:
        choices = {*product((False, True), repeat=count)}
    else:
        one = random.randrange(count)
        choices = {(False,) * count, (True,) * count}
        choices |= {tuple((at == one) is kept for at in range(count)) for kept in (False, True)}
        while len(choices) < PARTS:
            choices.add(tuple(random.random() < 0.5 for _ in range(count)))
    for choice in sorted(choices):
        kept = [change for change, is_kept in zip(changes, choice, strict=True) if is_kept]
        yield kept
        if kept and isinstance(kept[-1], Bytes) and len(kept[-1].data) > 1:
            yield [*kept[:-1], kept[-1]._replace(data=kept[-1].data[: len(kept[-1].data) // 2])]
