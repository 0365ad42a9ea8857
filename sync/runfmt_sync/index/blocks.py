"""One block: a part of a stream in bytes, of which a column can be read alone.

Behind a line that says the version come the length and the CRC-32 of the head. The head is two JSON
lines, of which the first is the paths, and these arrays, little-endian: steps (int64) and times (float64)
of the rows, and of the columns how many values each has and the CRC-32 of its own bytes (uint32). Then
the columns: the values of each (float64), and behind all values the rows to which they belong (uint32),
but for columns that have a value in every row. The lengths of all follow from the counts.

A file may be anybody's: whatever does not fit raises ``Damaged``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import orjson

from runfmt_sync.index.parts import Object, Part

__all__ = ["Block", "Damaged", "encode_block", "from_bytes", "from_file"]

MAGIC = b"runfmt index 2\n\n"
FRAME = len(MAGIC) + 8

Read = Callable[[int, int], bytes]
"""Gives the bytes at an offset."""


class Damaged(OSError):
    """A block is not what was written: make it anew."""


def encode_block(part: Part) -> bytes:
    """The bytes of a block; equal parts give equal bytes."""
    said = {
        "rows": len(part.steps),
        "others": part.others,
        "objects": [list(each) for each in part.objects],
        "definitions": part.definitions,
        "rewinds": part.rewinds,
        "problems": part.problems,
    }
    sparse: Any = np.repeat(part.counts < len(part.steps), part.counts)
    values, rows = part.values.astype("<f8").tobytes(), part.rows[sparse].astype("<u4").tobytes()
    bounds = np.column_stack(_ends(part.counts, len(part.steps))).tolist()
    checks = [
        crc32(rows[4 * low : 4 * high], crc32(values[8 * first : 8 * last]))
        for (first, low), (last, high) in pairwise([[0, 0], *bounds])
    ]
    head = b"".join(
        (
            orjson.dumps(part.paths, option=orjson.OPT_APPEND_NEWLINE),
            orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE),
            part.steps.astype("<i8").tobytes(),
            part.times.astype("<f8").tobytes(),
            part.counts.astype("<u4").tobytes(),
            np.array(checks, dtype="<u4").tobytes(),
        )
    )
    frame = np.array([len(head), crc32(head)], dtype="<u4").tobytes()
    return b"".join((MAGIC, frame, head, values, rows))


def _ends(counts: Any, rows: int) -> tuple[Any, Any]:
    """Where each column ends among all values, and among the rows of those that need them."""
    sparse = np.where(counts < rows, counts, 0)
    return np.cumsum(counts, dtype=np.uint32), np.cumsum(sparse, dtype=np.uint32)


@lru_cache(128)
def _numbered(paths: bytes) -> dict[str, int]:
    """The place of each path. Most blocks have the paths of others, and share this."""
    return {path: number for number, path in enumerate(orjson.loads(paths))}


class Block:
    """A block as it is asked; what was read once of its head is kept, of its columns nothing."""

    def __init__(self, read: Read) -> None:
        self._read = read
        frame = read(0, FRAME)
        if frame[: len(MAGIC)] != MAGIC or len(frame) < FRAME:
            raise Damaged("no block of this version")
        length, check = np.frombuffer(frame, "<u4", offset=len(MAGIC)).tolist()
        head = read(FRAME, length)
        if len(head) != length or crc32(head) != check:
            raise Damaged("another head")
        line = head.index(b"\n") + 1
        self.paths: Mapping[str, int] = _numbered(head[:line])
        begin = head.index(b"\n", line) + 1
        said = orjson.loads(head[line:begin])
        count = said["rows"]
        arrays = head[begin:]  # a copy, so that the rest does not stay
        self.steps = np.frombuffer(arrays, "<i8", count)
        self.times = np.frombuffer(arrays, "<f8", count, 8 * count)
        columns = np.frombuffer(arrays, "<u4", 2 * len(self.paths), 16 * count)
        self._counts, self._checks = columns.reshape(2, -1)
        self._ends = _ends(self._counts, count)
        self.others: list[str] = said["others"]
        self.objects = [Object(*each) for each in said["objects"]]
        self.definitions: list[Any] = said["definitions"]
        self.rewinds: list[tuple[int, float | None]] = [(step, time) for step, time in said["rewinds"]]
        self.problems: list[tuple[int, str, str]] = [(at, rule, text) for at, rule, text in said["problems"]]
        self._begin = FRAME + length

    def column(self, path: str) -> tuple[Any, Any]:
        """Numbers of rows and values of a column; no rows (None) if every row has one."""
        place = self.paths.get(path)
        if place is None:
            return np.zeros(0, "<u4"), np.zeros(0, "<f8")
        count, end, all_end, rows_end = map(
            int, (self._counts[place], self._ends[0][place], self._ends[0][-1], self._ends[1][place])
        )
        is_whole = count == len(self.steps)
        values = self._read(self._begin + 8 * (end - count), 8 * count)
        rows = b"" if is_whole else self._read(self._begin + 8 * all_end + 4 * (rows_end - count), 4 * count)
        if len(values) != 8 * count or crc32(rows, crc32(values)) != self._checks[place]:
            raise Damaged("other values")
        return None if is_whole else np.frombuffer(rows, "<u4"), np.frombuffer(values, "<f8")


def from_bytes(data: bytes) -> Block:
    """The block that bytes are."""
    return Block(lambda offset, length: data[offset : offset + length])


def from_file(path: Path) -> Block:
    """The block in a file, which is opened for each column: a file that was cut can then do no harm.

    Raises ``Damaged``, also where the file cannot be read.
    """

    def read(offset: int, length: int) -> bytes:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                return os.pread(descriptor, length, offset)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise Damaged(str(error)) from None

    return Block(read)
