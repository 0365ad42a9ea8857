"""The logical rows of a stream that are closed: what a tracker gets, and gets only once.

A step is closed when another one follows, or when the run has ended. A part of a stream is
itself a stream, and is read as one, so steps that alternate within a part become one row
each, and what a later rewind supersedes is never sent if the rewind is there already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

from runfmt.errors import FormatError
from runfmt.history import Reader, is_step, read_lines
from runfmt.rows import decode, leaves
from runfmt_sync.trackers import Row

__all__ = ["Part", "closed_parts"]

PART = 4 * 2**20
"""Bytes of lines that are read at once, unless one step has more."""
REWIND = b'"_rewind"'


@dataclass
class Part:
    """Rows of a stream up to an offset, and the highest step up to there; ``rewinds`` reach below rows of
    parts before it."""

    end: int
    highest: int
    rows: list[Row] = field(default_factory=list)
    rewinds: int = 0


def closed_parts(
    file: BinaryIO,
    writer: str,
    start: int,
    end: int,
    *,
    highest: int,
    ended: bool,
    may_open: Callable[[object], bool],
) -> Iterator[Part]:
    """The closed rows from one offset to another, both at the beginning of a line, in the order of steps.

    ``highest`` is the highest step before ``start``, -1 if there is none. A line that is no row is passed
    over, as by every reader. Memory is bounded by a part, and by the lines of one step.
    """
    rewinds = _rewinds(file, start, end)
    while lines := _lines(file, start, end, whole=ended):
        after = lines[-1].end
        rewinds = [(offset, step) for offset, step in rewinds if offset >= start]
        floor = min((step for offset, step in rewinds if offset >= after), default=None)
        reader = Reader(writer, writer, may_open)
        for line in lines:
            reader.take(line.offset, line.data)
        rows = [row for row in reader.finish().rows if floor is None or row["_step"] <= floor]
        part = Part(after, max([highest, *(row["_step"] for row in rows)]))
        part.rewinds = sum(step < highest for offset, step in rewinds if offset < after)
        part.rows = [_row(row, writer, highest) for row in rows]
        yield part
        start, highest = after, part.highest


def _row(row: dict[str, Any], writer: str, highest: int) -> Row:
    step, time = row.pop("_step"), row.pop("_timestamp", None)
    return Row(writer, step, time, dict(leaves(row)), is_late=step <= highest)


class _Line(NamedTuple):
    """A committed line, None if it is longer than a row may be, and where it is."""

    offset: int
    end: int
    data: bytes | None

    def get(self, key: str) -> Any:
        """A value of the row, None if it has none or is no row."""
        try:
            return decode(self.data)[0].get(key) if self.data else None
        except FormatError:
            return None


def _rewinds(file: BinaryIO, start: int, end: int) -> list[tuple[int, int]]:
    """Offset and step of each rewind; they are few, so few lines are decoded for it."""
    meant = (line for line in _until(file, start, end) if line.data and REWIND in line.data)
    found = ((line.offset, line.get("_rewind")) for line in meant)
    return [(offset, int(step)) for offset, step in found if is_step(step) or step == -1]


def _lines(file: BinaryIO, start: int, end: int, *, whole: bool) -> list[_Line]:
    """Lines of about a part, that end where a step is closed, none if none is. ``whole``: at the end."""
    lines: list[_Line] = []
    closed, current = 0, None
    for line in _until(file, start, end):
        step = line.get("_step")
        if is_step(step) and step != current:
            closed, current = 0 if current is None else len(lines), step
            if closed and line.offset - start >= PART:
                return lines
        lines.append(line)
    return lines if whole else lines[:closed]


def _until(file: BinaryIO, start: int, end: int) -> Iterator[_Line]:
    """The lines up to an offset, at which one ends."""
    file.seek(start)
    before: tuple[int, bytes | None] | None = None
    for offset, data in read_lines(file):
        if before is not None:
            yield _Line(before[0], start + offset, before[1])
        before = (start + offset, data) if start + offset < end else None
        if before is None:
            return
    if before is not None:
        yield _Line(before[0], end, before[1])
