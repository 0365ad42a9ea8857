"""What moves: extents, and how a span of a file is cut into them.

An extent is bytes of a stream from an offset (whole lines, at most 8 MiB, or one
longer line), or a file, or a piece of a large file with the digest of the whole.

The plan is made of *spans*, which are cut into extents while they are read: where
lines end and what digest they have are facts of the bytes, so each byte is read
once and the planner stays pure.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from runfmt.errors import Error
from runfmt.layout import is_stream
from runfmt_sync.digests import CHUNK, Changed, Proof, Signature, prove_bytes
from runfmt_sync.inventory import Entry

__all__ = [
    "MAX_EXTENT", "Extent", "Piece", "Refused", "Span", "Wanted", "cut", "open_entry", "piece_at",
    "piece_of",
]  # fmt: skip

MAX_EXTENT = 8 * 2**20


@dataclass(frozen=True)
class Span:
    """Bytes of an entry that have to move; ``whole`` proves a file, None for a stream."""

    path: str
    offset: int
    end: int
    whole: Proof | None = None


Wanted = tuple[str, Span]
"""A span of the run with this uid."""


@dataclass(frozen=True)
class Extent:
    """Some bytes and where they belong; ``sha256`` is theirs, ``whole`` that of the file they are of."""

    uid: str
    path: str
    offset: int
    length: int
    sha256: str
    whole: Proof | None = None


Piece = tuple[Extent, Iterable[bytes]]
"""An extent with its bytes, in chunks of at most 8 MiB; of several only the last holds an LF."""


class Refused(Error):
    """An extent that does not fit to what is there; nothing of it was kept.

    ``again``: it may fit after asking anew what is there.
    """

    def __init__(self, message: str, *, again: bool = False) -> None:
        super().__init__(message)
        self.again = again


def open_entry(folder: Path, entry: Entry) -> BinaryIO:
    """The bytes of an entry as the inventory found them. Raises ``Changed`` if they are gone."""
    if entry.held is not None:
        return io.BytesIO(entry.held)
    try:
        file = open(folder / entry.path, "rb")  # noqa: SIM115
    except FileNotFoundError:
        raise Changed(entry.path) from None
    now = Signature.of(os.fstat(file.fileno()))
    same = now == entry.signature
    # A stream may have grown meanwhile; the bytes that were proved are still there.
    if not same and not (is_stream(entry.path) and now.inode == entry.signature.inode):
        file.close()
        raise Changed(entry.path)
    return file


def piece_of(uid: str, span: Span, data: bytes) -> Piece:
    """The extent that a span is, if its bytes are not too many."""
    digest = hashlib.sha256(data).hexdigest()
    return Extent(uid, span.path, span.offset, len(data), digest, span.whole), (data,)


def piece_at(place: Path, uid: str, span: Span) -> Piece | None:
    """A span that is whole lines of a stream, or a whole file, as an extent; follows no link (R006)."""
    length = span.end - span.offset
    with open(os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if span.end > size:
            return None
        file.seek(max(span.offset - 1, 0))
        before, data = file.read(min(span.offset, 1)), file.read(length)
    is_whole = {before, data[-1:]} <= {b"", b"\n"} if is_stream(span.path) else length == size
    if len(data) < length or not is_whole:
        return None
    return piece_of(uid, replace(span, whole=None if is_stream(span.path) else prove_bytes(data)), data)


def cut(uid: str, span: Span, file: BinaryIO) -> Iterator[Piece]:
    """Cut a span into extents, reading each when it is asked for."""
    file.seek(span.offset)
    offset = span.offset
    while True:
        data = _read(file, min(MAX_EXTENT, span.end - offset))
        if span.whole is None and offset + len(data) < span.end:
            data = data[: data.rfind(b"\n") + 1]
            if not data:
                length = _line_length(file, offset, span.end)
                yield _long_line(uid, span.path, offset, length, file)
                offset += length
                file.seek(offset)
                continue
            file.seek(offset + len(data))
        yield piece_of(uid, replace(span, offset=offset), data)
        offset += len(data)
        if offset >= span.end:
            return


def _read(file: BinaryIO, length: int) -> bytes:
    data = file.read(length)
    if len(data) != length:
        raise Changed("shorter than it was")
    return data


def _line_length(file: BinaryIO, offset: int, end: int) -> int:
    """Bytes of the line that begins at an offset, with its LF."""
    file.seek(offset)
    length = 0
    while offset + length < end:
        chunk = _read(file, min(CHUNK, end - offset - length))
        found = chunk.find(b"\n")
        if found >= 0:
            return length + found + 1
        length += len(chunk)
    raise Changed("shorter than it was")


def _long_line(uid: str, path: str, offset: int, length: int, file: BinaryIO) -> Piece:
    digest = hashlib.sha256()
    for chunk in _chunks(file, offset, length):
        digest.update(chunk)
    return Extent(uid, path, offset, length, digest.hexdigest()), _chunks(file, offset, length)


def _chunks(file: BinaryIO, offset: int, length: int) -> Iterator[bytes]:
    file.seek(offset)
    while length:
        chunk = _read(file, min(MAX_EXTENT, length))
        length -= len(chunk)
        yield chunk
