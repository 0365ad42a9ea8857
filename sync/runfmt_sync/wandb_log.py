"""Transaction logs of W&B, ``run-<id>.wandb``: records of protobuf messages in LevelDB's log format.

A file is a header of 7 bytes, then blocks of 32 KiB in which each piece of a record has a CRC-32, a
length and a type (https://github.com/google/leveldb/blob/main/doc/log_format.md).
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runfmt.errors import MissingLibrary, UsageError

__all__ = ["items", "read_log", "records"]

MAGIC = b":W&B" + struct.pack("<HB", 0xBEE1, 0)
BLOCK = 32768
HEADER = struct.Struct("<IHB")
"""CRC-32 of type and data, length, type."""
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def read_log(path: Path) -> Iterator[Any]:
    """The ``Record`` messages of a log, as far as they are whole."""
    try:
        from wandb.proto.wandb_internal_pb2 import Record
    except ImportError as error:
        raise MissingLibrary("reading what W&B wrote", "'runfmt[wandb]'") from error
    for data in records(path):
        yield Record.FromString(data)


def records(path: Path) -> Iterator[bytes]:
    """The records of a log up to its end, or to where it was cut off.

    Raises ``UsageError`` for another file, and where a piece that is whole has not its checksum.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise UsageError(f"{path} is no transaction log of W&B")
        parts: list[bytes] = []
        for kind, data in _pieces(path, file.read):
            if kind in (FULL, FIRST):
                parts = []
            parts.append(data)
            if kind in (FULL, LAST):
                yield b"".join(parts)
                parts = []  # else many ends of one beginning would be read again and again


def _pieces(path: Path, read: Any) -> Iterator[tuple[int, bytes]]:
    """Type and data of each piece."""
    at = len(MAGIC)
    while True:
        if BLOCK - at % BLOCK < HEADER.size:
            at += len(read(BLOCK - at % BLOCK))
        header = read(HEADER.size)
        if len(header) < HEADER.size:
            return
        crc, length, kind = HEADER.unpack(header)
        data = read(length)
        if len(data) < length or kind == 0:  # cut off; or room that was made and never filled
            return
        if zlib.crc32(data, zlib.crc32(header[-1:])) != crc:
            raise UsageError(f"{path} is damaged: what is at byte {at} has not its checksum")
        yield kind, data
        at += HEADER.size + length


def items(found: Any) -> dict[str, Any]:
    """The values in the items of a message, nested as their keys say."""
    tree: dict[str, Any] = {}
    for item in found:
        *above, last = getattr(item, "nested_key", None) or [item.key]  # samples do not nest
        place = tree
        for key in above:
            place = place.setdefault(key, {})
        place[last] = json.loads(item.value_json)
    return tree
