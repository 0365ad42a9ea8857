"""The index of one stream: blocks of 4 MiB in files, and what is behind them, the tail, in memory.

A tail is kept in a file too, so that the next process need not read it again, but nobody counts on it.

A block holds what its own lines say, as if there were nothing else. So blocks only have to be put
behind each other, and a rewind leaves of the blocks before it the rows up to its step. Where a
block also has steps that earlier ones have, the later value of a path counts, as in
:func:`runfmt.rows.merge`; only where a number there would meet something else than a number is
the stream read as a whole.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import numpy as np

from runfmt.documents import replace
from runfmt.errors import FormatError, warn
from runfmt.history import MAX_PROBLEMS, read_lines
from runfmt.rows import decode, escape, split_path
from runfmt.summary import Definitions
from runfmt_sync.index.blocks import Block, Damaged, encode_block, from_bytes, from_file
from runfmt_sync.index.parts import Lines, Object, Part

__all__ = ["BLOCK", "KEPT", "Behind", "Look", "Points", "Stream", "View", "signature"]

BLOCK = 4 * 2**20
"""Bytes of a stream from which a block is made."""
SEAM = 256
"""Bytes at the beginning and before the end of a block by which its stream is known again."""
PIECES = 16
"""So many times what is new behind the blocks is read alone, then all that is there at once."""
TAIL = "tail-"
"""How the name of a tail's file begins."""
KEPT = 2**16
"""Bytes of a stream from which a tail is kept in a file; less is as quickly read."""

BUFFER = 2**18

Look = tuple[int, int, int]
T = TypeVar("T")


class Behind(Exception):
    """More would have to be read than the caller has time for."""


class Points(NamedTuple):
    """The rows in which a column has a value, sorted by step: int64, and float64 for the others."""

    step: Any
    time: Any  # Unix seconds, NaN where the row has none
    value: Any


class _Piece(NamedTuple):
    """A block and the bytes of the stream that it is made of."""

    start: int
    end: int
    block: Block


class Stream:
    """One stream; ``refresh`` looks at it, all else is as it was then. Threads may share it."""

    def __init__(self, path: Path, folder: Path | None, read: Callable[[Lines], Part]) -> None:
        """``folder`` is where the blocks lie, ``read`` makes a part of lines."""
        self._path, self._folder, self._read = path, folder, read
        self._lock = threading.RLock()
        self._forget()

    def _forget(self) -> None:
        self._signature: Look | None = None
        self._size, self._seam = 0, b""
        self._blocks: list[_Piece] = []
        self._tail: list[_Piece] = []
        self._view: View | None = None
        self._files = _listed(self._folder)

    def refresh(self, most: int | None = None) -> bool:
        """Read what is new into blocks; whether anything is.

        Raises ``Behind`` where blocks had to be made of more than ``most`` bytes, ``OSError``.
        """
        with self._lock:
            if signature(os.stat(self._path)) == self._signature:
                return False
            with open(self._path, "rb", buffering=BUFFER) as file:
                self._follow(file, most)
            return True

    def _follow(self, file: BinaryIO, most: int | None) -> None:
        """Put what is new into blocks."""
        look = signature(os.fstat(file.fileno()))
        if _seam(file, self._end) != self._seam:
            self._forget()
        size = look[0]
        if size - self._sealed >= BLOCK:
            self._files = _listed(self._folder)  # other processes make blocks too
        while piece := self._known(file, size):
            self._take(piece)
        is_behind = most is not None and size - self._sealed > max(most, BLOCK)
        while not is_behind and (piece := self._known(file, size) or self._made(file, size)):
            self._take(piece)
        self._signature, self._size, self._view = look, size, None
        self._seam = _seam(file, self._end)
        if is_behind:
            self._signature, self._size = None, self._sealed
            raise Behind

    def _take(self, block: _Piece) -> None:
        self._blocks.append(block)
        self._tail = []

    @property
    def _end(self) -> int:
        """Up to where the stream was read."""
        pieces = self._tail or self._blocks
        return pieces[-1].end if pieces else 0

    @property
    def _sealed(self) -> int:
        """Up to where there are blocks."""
        return self._blocks[-1].end if self._blocks else 0

    def _known(self, file: BinaryIO, size: int) -> _Piece | None:
        """The next block if there is a file of it."""
        for end, path in self._files.get(self._sealed, ()):
            if end <= size and path.name == _name(file, self._sealed, end):
                try:
                    return _Piece(self._sealed, end, from_file(path))
                except Damaged:
                    return None
        return None

    def _made(self, file: BinaryIO, size: int) -> _Piece | None:
        """The next block made of the lines, if there are enough."""
        start = self._sealed
        end = _cut(file, start) if size - start >= BLOCK else None
        if end is None:
            return None
        data = encode_block(self._read(_Lines(file, start, end)))
        path = self._keep(_name(file, start, end), data)
        try:
            return _Piece(start, end, from_file(path) if path else from_bytes(data))
        except Damaged:  # another process has just removed it
            return _Piece(start, end, from_bytes(data))

    def _keep(self, name: str, data: bytes) -> Path | None:
        """Write a file of the index; None if there is to be none, or none can be."""
        if self._folder is None:
            return None
        path = self._folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace(path, data, durable=False)
        except OSError as error:
            whole, self._folder = self._folder.parent.parent, None
            warn(f"no index can be kept in {whole} ({error.strerror}): it is made again each time")
            return None
        return path

    def ask(self, question: Callable[[View], T]) -> T:
        """The answer to a question; files that are gone or damaged are made anew. Raises ``OSError``."""
        for is_again in (False, True):
            try:
                return question(self._looked())
            except Damaged:
                with self._lock:
                    if is_again:  # at first a file may only be gone, as another process has removed it
                        _remove(self._folder, "*")
                    self._forget()
                    self.refresh()
        return question(self._looked())

    def _looked(self) -> View:
        with self._lock:
            if self._view is None:
                self._view = self._look()
            return self._view

    def _look(self) -> View:
        """All pieces; or the whole stream as one, where pieces cannot be laid over each other."""
        with open(self._path, "rb", buffering=BUFFER) as file:
            if not self._tail:
                self._tail = self._kept_tail(file)
            elif len(self._tail) >= PIECES:
                self._tail = []
            if piece := self._read_on(file, self._end):
                self._tail.append(piece)
            view = View([piece.block for piece in (*self._blocks, *self._tail)])
            if len(self._tail) > 1 and view.is_confused and (piece := self._read_on(file, self._sealed)):
                self._tail = [piece]
                view = View([piece.block for piece in (*self._blocks, piece)])
            if view.is_confused and (piece := self._read_on(file, 0)):
                view = View([piece.block])
            self._seam = _seam(file, self._end)
        return view

    def _read_on(self, file: BinaryIO, start: int) -> _Piece | None:
        """What lies behind a place, up to what was there at the last look."""
        lines = _Lines(file, start, self._size)
        data = encode_block(self._read(lines))
        if start == self._sealed and lines.end - start >= KEPT:
            name = TAIL + _name(file, start, lines.end)
            if self._keep(name, data):
                _remove(self._folder, f"{TAIL}*", name)
        return _Piece(start, lines.end, from_bytes(data)) if lines.end > start else None

    def _kept_tail(self, file: BinaryIO) -> list[_Piece]:
        """The tail as a file has it, which may be some time ago."""
        start = self._sealed
        for end, path in _listed(self._folder, TAIL).get(start, ()):
            if end <= self._size and path.name == TAIL + _name(file, start, end):
                with suppress(OSError):
                    return [_Piece(start, end, from_bytes(path.read_bytes()))]
        return []


def signature(status: os.stat_result) -> Look:
    """What moves when a file changes."""
    return status.st_size, status.st_mtime_ns, status.st_ino


class _Lines:
    """The whole lines of a file between two places, with their offsets; then ``end`` says how far they go."""

    def __init__(self, file: BinaryIO, start: int, limit: int) -> None:
        self._file, self._start, self._limit = file, start, limit
        self.end = start

    def __iter__(self) -> Iterator[tuple[int, bytes | None]]:
        self._file.seek(self._start)
        for offset, line in read_lines(self._file):
            self.end = self._start + offset
            if line == b"" or self.end >= self._limit:
                return
            yield self.end, line
            self.end = self._file.tell()


def _listed(folder: Path | None, prefix: str = "") -> dict[int, list[tuple[int, Path]]]:
    """The files of blocks by the places where they begin: where they end, the longest first."""
    found: dict[int, list[tuple[int, Path]]] = {}
    if folder is not None and folder.is_dir():
        for path in sorted(folder.glob(f"{prefix}[0-9]*-[0-9]*-*"), reverse=True):
            start, end, _ = path.name.removeprefix(prefix).split("-", 2)
            if start.isdecimal() and end.isdecimal():
                found.setdefault(int(start), []).append((int(end), path))
    return found


def _remove(folder: Path | None, pattern: str, kept: str = "") -> None:
    """Remove files of the index but one."""
    for path in folder.glob(pattern) if folder is not None else ():
        if path.name != kept:
            path.unlink(missing_ok=True)


def _name(file: BinaryIO, start: int, end: int) -> str:
    """The name of the file of a block: equal ones are of equal bytes of a stream."""
    return f"{start:020}-{end:020}-{blake2b(_seam(file, end), digest_size=8).hexdigest()}"


def _seam(file: BinaryIO, end: int) -> bytes:
    """What is at the beginning of a stream and before a place: it tells the stream from others."""
    begin = os.pread(file.fileno(), min(SEAM, end), 0)
    return begin + os.pread(file.fileno(), min(SEAM, end), max(0, end - SEAM))


def _cut(file: BinaryIO, start: int) -> int | None:
    """Where a block ends: before the last step of 4 MiB, which may go on; None if there is no whole line."""
    data = os.pread(file.fileno(), BLOCK, start)
    last = data.rfind(b"\n") + 1
    if not last:  # a line longer than that
        file.seek(start)
        _, line = next(read_lines(file), (0, b""))
        return None if line == b"" else file.tell()
    cut, step = last, None
    while cut:
        begin = data.rfind(b"\n", 0, cut - 1) + 1
        step, before = _step(data[begin:cut]), step
        if cut < last and step != before:
            return start + cut
        cut = begin
    return start + last


def _step(line: bytes) -> Any:
    try:
        return decode(line)[0].get("_step")
    except FormatError:
        return None


@dataclass(frozen=True)
class View:
    """Blocks in the order of the stream, and what they say together."""

    blocks: Sequence[Block]

    @cached_property
    def kept(self) -> list[int]:
        """How many rows of each block no later rewind superseded (R050)."""
        kept: list[int] = []
        for block in self.blocks:
            if block.rewinds:
                step = min(step for step, _ in block.rewinds)
                pairs = zip(self.blocks, kept, strict=False)
                kept = [min(count, int(np.searchsorted(b.steps, step, "right"))) for b, count in pairs]
            kept.append(len(block.steps))
        return kept

    @cached_property
    def overlaps(self) -> bool:
        """Whether a block has steps that are not above those of the blocks before."""
        last = -1
        for block, count in zip(self.blocks, self.kept, strict=True):
            if count:
                if block.steps[0] <= last:
                    return True
                last = int(block.steps[count - 1])
        return False

    @cached_property
    def is_confused(self) -> bool:
        """Whether a number may meet something else at its step, and the order of all lines would count."""
        if not self.overlaps:
            return False
        numbers = {path for block in self.blocks for path in block.paths}
        objects = {each.path for block in self.blocks for each in block.objects}
        others = {path for block in self.blocks for path in block.others}
        if numbers & objects or numbers & others or objects & others:
            return True
        every = numbers | objects | others
        return not every.isdisjoint(above for path in every for above in _above(path))

    @cached_property
    def _rows(self) -> Points:
        """Step and time of all rows, the time twice."""
        steps = np.concatenate([np.zeros(0, "<i8"), *(b.steps[:n] for b, n in self._pairs)])
        times = np.concatenate([np.zeros(0, "<f8"), *(b.times[:n] for b, n in self._pairs)])
        if self.overlaps:
            is_known = ~np.isnan(times)
            known = _last(Points(steps[is_known], times[is_known], times[is_known]))
            steps = np.unique(steps)
            times = np.full(len(steps), np.nan)
            times[np.searchsorted(steps, known.step)] = known.value
        return Points(steps, times, times)

    @property
    def _pairs(self) -> Iterable[tuple[Block, int]]:
        return zip(self.blocks, self.kept, strict=True)

    def column(self, path: str) -> Points:
        """The points of a path; of ``_step`` and ``_timestamp`` all rows that have one."""
        if path == "_step":
            return self._rows._replace(value=self._rows.step.astype(np.float64))
        if path == "_timestamp":
            has_time = ~np.isnan(self._rows.time)
            return Points(*(array[has_time] for array in self._rows))
        found = [_points(block, count, path) for block, count in self._pairs]
        points = Points(*map(np.concatenate, zip(_points_of_nothing(), *found, strict=True)))
        if self.overlaps:
            points = _last(points)
            points = points._replace(time=self._rows.time[np.searchsorted(self._rows.step, points.step)])
        return points

    @cached_property
    def numbers(self) -> list[str]:
        """The paths that have a number in a row, sorted."""
        found: set[str] = set()
        for block, count in self._pairs:
            is_whole = count == len(block.steps)
            found.update(p for p in block.paths if is_whole or len(_points(block, count, p).step))
        return sorted(found)

    @cached_property
    def objects(self) -> list[Object]:
        """The values with a ``_type``, sorted by step and path."""
        last = {
            each[:2]: each
            for block, count in self._pairs
            for each in block.objects
            if count and each.step <= block.steps[count - 1]
        }
        return [last[where] for where in sorted(last)]

    @cached_property
    def definitions(self) -> Definitions:
        """All that was defined (R051, R080)."""
        definitions = Definitions()
        for block in self.blocks:
            for said in block.definitions:
                definitions.take(said)
        return definitions

    @cached_property
    def rewinds(self) -> list[tuple[int, float | None]]:
        """Step and time of each rewind, in the order of the stream."""
        return [each for block in self.blocks for each in block.rewinds]

    @property
    def problems(self) -> list[tuple[int, str, str]]:
        """Offset, rule and text of what is wrong in the lines, of the first 1,000."""
        return [each for block in self.blocks for each in block.problems][:MAX_PROBLEMS]


def _points_of_nothing() -> Points:
    return Points(np.zeros(0, "<i8"), np.zeros(0, "<f8"), np.zeros(0, "<f8"))


def _points(block: Block, count: int, path: str) -> Points:
    """The points of a path in the first rows of a block."""
    rows, values = block.column(path)
    if rows is None:
        return Points(block.steps[:count], block.times[:count], values[:count])
    rows = rows[: np.searchsorted(rows, count)]
    return Points(block.steps[rows], block.times[rows], values[: len(rows)])


def _last(points: Points) -> Points:
    """The last point of each step, steps in order (R040)."""
    order = np.argsort(points.step, kind="stable")
    steps = points.step[order]
    order = order[np.append(steps[1:] != steps[:-1], True)[: len(steps)]]
    return Points(*(array[order] for array in points))


def _above(path: str) -> Iterator[str]:
    """The paths of the objects in which a path lies."""
    if "." in path:
        keys = [escape(key) for key in split_path(path)]
        yield from (".".join(keys[:length]) for length in range(1, len(keys)))
