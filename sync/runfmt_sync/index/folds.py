"""What a metrics stream comes to, kept in one file of its index: its summary, and how many rows it has.

The first line says the version, how the stream looked then, and the CRC-32 of the fold behind it.
Whatever does not fit is no fold: the stream is read again.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

import orjson

from runfmt.documents import replace
from runfmt.errors import FormatError
from runfmt.fold import Fold, decode_fold, encode_fold, fold
from runfmt_sync.index.streams import KEPT, Behind, Look, signature

__all__ = ["folded"]

NAME = "fold"
VERSION = "runfmt fold 1"


def folded(path: Path, folder: Path | None, most: int | None = None) -> Fold:
    """The fold of a stream as it is now; in ``folder`` it is kept for the next time.

    Only what is new is read, if nothing in it reaches back. Raises ``Behind`` where more than
    ``most`` bytes had to be read, ``OSError``.
    """
    kept = folder and folder / NAME
    with open(path, "rb") as stream:
        look = signature(os.fstat(stream.fileno()))
        then, known = _read(kept)
        if known and look == then:
            return known
        has_grown = look[0] > then[0] and look[2] == then[2]
        new = _followed(known if has_grown else None, stream, look[0], most)
    if kept and look[0] >= KEPT:
        with suppress(FormatError, OSError):  # then it is made again each time
            kept.parent.mkdir(parents=True, exist_ok=True)
            replace(kept, _encode(look, encode_fold(new)), durable=False)
    return new


def _followed(known: Fold | None, stream: BinaryIO, size: int, most: int | None) -> Fold:
    """What is known gone on with, or all folded."""
    if known and (most is None or size - known.size <= most) and known.follow(stream):
        return known
    if most is not None and size > most:
        raise Behind
    stream.seek(0)
    return fold(stream)


def _encode(look: Look, data: bytes) -> bytes:
    head = orjson.dumps([VERSION, *look, crc32(data)], option=orjson.OPT_APPEND_NEWLINE)
    return head + data


def _read(kept: Path | None) -> tuple[Look, Fold | None]:
    """What is kept, and how the stream looked then."""
    with suppress(OSError, ValueError):
        head, data = kept.read_bytes().split(b"\n", 1) if kept else (b"", b"")
        version, *look, check = orjson.loads(head)
        if version == VERSION and check == crc32(data):
            return (look[0], look[1], look[2]), decode_fold(data)
    return (0, 0, 0), None
