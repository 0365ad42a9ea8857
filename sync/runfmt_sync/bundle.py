"""A bundle: extents in a tar archive. It is the upload to a server, the download from it, and the sneakernet.

Members, in this order: ``manifest.json``; then for each group ``<n>.json``, the extents,
and ``<n>.bin``, their bytes one behind the other; last ``end.json``. A file of this kind
is compressed with zstd as a whole and ends in ``.runfmt``.

A bundle is believed only when it was read to its end: :func:`check` before :func:`pieces`.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import pairwise
from typing import IO, Any, BinaryIO, cast

import orjson
import zstandard

from runfmt.errors import FormatError, explain
from runfmt.layout import phase
from runfmt_sync.extents import MAX_EXTENT, Extent, Piece
from runfmt_sync.wire import extent_from_json, extent_to_json

__all__ = [
    "GROUP",
    "IN_MEMORY",
    "MAX_UNPACKED",
    "Contents",
    "Group",
    "Writer",
    "check",
    "groups",
    "is_dense",
    "packed",
    "pieces",
    "unpacked",
    "write",
]

GROUP = 16 * 2**20
"""Bytes of the extents that share a group; one longer extent is a group of its own (B006)."""
MOST = 8192
"""Extents of a group (B006)."""
MAX_LISTING = 64 * 2**20
"""Longest ``<n>.json`` in bytes (B006)."""
MAX_UNPACKED = 16 * 2**30
"""Bytes that a bundle in a file may unpack to (B006)."""
IN_MEMORY = 2 * GROUP
"""Bytes of a group that are held in memory; a longer one goes to a temporary file."""
LEVEL = 1
"""Of zstd. Streams are digits that hardly repeat, which the next levels cut in short matches that cost more
than they save: this one makes fewer bytes of streams than all up to 9, and is twice as fast as 3."""
DENSE = 2**20
"""Bytes of a group for which it is worth to ask whether it gets shorter, of a sample of so many:"""
SAMPLE = 2**17
MAX_WINDOW = 128 * 2**20
"""Most memory in bytes that unpacking may ask for."""


@dataclass(frozen=True)
class Group:
    """Some extents, and their bytes one behind the other."""

    extents: tuple[Extent, ...]
    data: BinaryIO

    def pieces(self) -> Iterator[Piece]:
        """The extents, each with its bytes, in their order."""
        self.data.seek(0)
        for extent in self.extents:
            yield extent, _chunks(self.data, extent.length)


def groups(pieces: Iterable[Piece], size: int = GROUP) -> Iterator[Group]:
    """Put pieces together until a group has about so many bytes; it is closed when the next is asked for."""
    extents: list[Extent] = []
    data = _spool()
    try:
        for extent, body in pieces:
            if extents and (data.tell() + extent.length > size or len(extents) == MOST):
                yield Group(tuple(extents), data)
                data.close()
                extents, data = [], _spool()
            for chunk in body:
                data.write(chunk)
            extents.append(extent)
        if extents:
            yield Group(tuple(extents), data)
    finally:
        data.close()


def unpacked(file: BinaryIO, coding: str = "zstd") -> BinaryIO:
    """The bytes of a bundle in a file that may be compressed: ``identity``, ``gzip`` or ``zstd``."""
    file.seek(0)
    if coding == "gzip":
        return cast(BinaryIO, gzip.GzipFile(fileobj=file, mode="rb"))
    if coding == "zstd":
        reader = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
        return cast(BinaryIO, reader.stream_reader(file, read_across_frames=True, closefd=False))
    return file


def packed(file: BinaryIO, coding: str = "zstd") -> AbstractContextManager[BinaryIO]:
    """Where to write a bundle that is compressed into a file: ``identity``, ``gzip`` or ``zstd``."""
    if coding == "gzip":
        return cast(AbstractContextManager[BinaryIO], gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6))
    if coding == "zstd":
        compressor = zstandard.ZstdCompressor(LEVEL)
        return cast(AbstractContextManager[BinaryIO], compressor.stream_writer(file, closefd=False))
    return nullcontext(file)


def is_dense(group: Group) -> bool:
    """Whether a group is large, and a sample of it hardly gets shorter: weights, pictures, archives."""
    size = group.data.seek(0, io.SEEK_END)
    if size < DENSE:
        return False
    group.data.seek(size // 2)
    sample = group.data.read(SAMPLE)
    return len(zstandard.ZstdCompressor(LEVEL).compress(sample)) > 0.98 * len(sample)


class Writer:
    """Writes the members of a bundle, to wherever each is to go."""

    def __init__(self) -> None:
        self.count = 0
        self._digest = hashlib.sha256()

    def begin(self, file: BinaryIO, manifest: Mapping[str, Any]) -> None:
        """Write what the bundle says of itself."""
        _add(file, "manifest.json", orjson.dumps({"bundle": 1, **manifest}))

    def add(self, file: BinaryIO, group: Group) -> None:
        """Write a group."""
        listing = orjson.dumps([extent_to_json(extent) for extent in group.extents])
        _add(file, f"{self.count}.json", listing)
        length = group.data.seek(0, io.SEEK_END)
        group.data.seek(0)
        file.write(_header(f"{self.count}.bin", length))
        for chunk in _chunks(group.data, length):
            file.write(chunk)
        file.write(bytes(-length % tarfile.BLOCKSIZE))
        self._digest.update(listing)
        self.count += 1

    def end(self, file: BinaryIO, **said: Any) -> None:
        """Write the end, and what the maker says there."""
        end = {"groups": self.count, "sha256": self._digest.hexdigest(), **said}
        _add(file, "end.json", orjson.dumps(end))
        file.write(bytes(2 * tarfile.BLOCKSIZE))

    def copy(self) -> Writer:
        """One that stands where this one stands."""
        other = Writer()
        other.count, other._digest = self.count, self._digest.copy()
        return other


def write(file: BinaryIO, manifest: Mapping[str, Any], content: Iterable[Group]) -> None:
    """Write a bundle. ``file`` need not be able to seek."""
    writer = Writer()
    writer.begin(file, manifest)
    for group in content:
        writer.add(file, group)
    writer.end(file)


@dataclass
class Contents:
    """What a bundle says at its beginning and at its end, and the runs that something in it is of."""

    manifest: dict[str, Any] = field(default_factory=dict)
    end: dict[str, Any] = field(default_factory=dict)
    uids: set[str] = field(default_factory=set)


def check(file: BinaryIO, limit: int | None = None) -> Contents:
    """Read a bundle to its end, and compare every digest.

    ``limit`` is the most that it may unpack to, in bytes. Raises ``FormatError`` (B001-B006, B010-B013).
    """
    reader = _Reader(file, limit)
    for extent, body in reader.pieces():
        digest = hashlib.sha256()
        for chunk in body:
            digest.update(chunk)
        if digest.hexdigest() != extent.sha256:
            raise FormatError("B005", f"the bytes of {extent.path} are not those that were announced")
        reader.contents.uids.add(extent.uid)
    return reader.contents


def pieces(file: BinaryIO) -> Iterator[Piece]:
    """The extents of a bundle that was checked, each with its bytes; those not read are passed over."""
    return _Reader(file, None).pieces()


class _Reader:
    """Reads the members in their order; any other member, or another order, ends it.

    Of tar only the plain header is read: no extension of it can do anything here.
    """

    def __init__(self, file: BinaryIO, limit: int | None) -> None:
        self.contents = Contents()
        self._file, self._left = file, limit

    def pieces(self) -> Iterator[Piece]:
        """The extents; the bundle is whole when they end without an error."""
        self.contents.manifest = self._document("manifest.json")
        version = self.contents.manifest.get("bundle")
        if version != 1 or version is True:
            raise FormatError("B002", f"bundle version {version!r} is not known: upgrade runfmt")
        count, digest = 0, hashlib.sha256()
        while True:
            name, size = self._next(f"{count}.json", "end.json")
            listing = self._all(size)
            if name == "end.json":
                break
            digest.update(listing)
            yield from self._group(count, _extents(listing))
            count += 1
        self.contents.end = end = _object(name, listing)
        if (end.get("groups"), end.get("sha256")) != (count, digest.hexdigest()):
            raise FormatError("B004", "its end does not fit to what it holds")
        self._finish()

    def _group(self, count: int, extents: tuple[Extent, ...]) -> Iterator[Piece]:
        _, size = self._next(f"{count}.bin")
        if size != sum(extent.length for extent in extents):
            raise FormatError("B003", f"{count}.bin is not as long as its extents")
        for extent in extents:
            body = self._body(extent.length)
            yield extent, body
            for _ in body:  # what nobody asked for
                pass
        self._read(-size % tarfile.BLOCKSIZE)

    def _document(self, name: str) -> dict[str, Any]:
        return _object(name, self._all(self._next(name)[1]))

    def _all(self, size: int) -> bytes:
        if size > MAX_LISTING:
            raise FormatError("B006", f"a listing of {size:,} bytes is over the limit of {MAX_LISTING:,}")
        data = b"".join(self._body(size))
        self._read(-size % tarfile.BLOCKSIZE)
        return data

    def _next(self, *names: str) -> tuple[str, int]:
        """Name and size of the next member, which must have one of these names."""
        try:
            header = tarfile.TarInfo.frombuf(self._read(tarfile.BLOCKSIZE), "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError) as error:
            raise FormatError("B001", f"no bundle, or a damaged one: {error}") from None
        if header.name not in names or header.type != tarfile.REGTYPE or header.size < 0:
            raise FormatError("B003", f"{header.name!r} stands where {names[0]} should be")
        return header.name, header.size

    def _body(self, size: int) -> Iterator[bytes]:
        """So many bytes, in chunks."""
        while size:
            chunk = self._read(min(MAX_EXTENT, size))
            size -= len(chunk)
            yield chunk

    def _finish(self) -> None:
        """Only the zeros with which tar fills its last record may follow."""
        rest = self._some(2 * tarfile.RECORDSIZE)
        while more := self._some(2 * tarfile.RECORDSIZE - len(rest)):
            rest += more
        if any(rest) or self._some(1):
            raise FormatError("B008", "something stands behind its end")

    def _read(self, size: int) -> bytes:
        """Exactly so many bytes."""
        if self._left is not None:
            self._left -= size
            if self._left < 0:
                raise FormatError("B006", "it unpacks to more than it may")
        data = b""
        while len(data) < size:
            more = self._some(size - len(data))
            if not more:
                raise FormatError("B001", "not whole: its end is missing")
            data += more
        return data

    def _some(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except (zlib.error, EOFError, OSError, zstandard.ZstdError) as error:
            raise FormatError("B001", f"damaged, or not whole: {explain(error)}") from None


def _extents(listing: bytes) -> tuple[Extent, ...]:
    said = _parse(listing)
    try:
        extents = tuple(map(extent_from_json, said))
    except (FormatError, TypeError) as error:
        raise FormatError("B010", f"no list of extents: {error}") from None
    is_long = len(extents) > 1 and sum(extent.length for extent in extents) > GROUP
    if is_long or len(extents) > MOST:
        raise FormatError("B006", "a group holds more than it may")
    for extent in extents:
        _check_piece(extent)
    for one, next_one in pairwise(extents):
        if one.uid == next_one.uid and phase(one.path) > phase(next_one.path):
            raise FormatError("B013", f"{next_one.path} comes too late")
    return extents


def _check_piece(extent: Extent) -> None:
    """Whether an extent of a file is one of it (B012)."""
    if extent.whole is None:
        return
    size = extent.whole.size
    is_whole = (extent.offset, extent.length) == (0, size)
    if extent.length > MAX_EXTENT or extent.offset + extent.length > size:
        raise FormatError("B012", f"{extent.path}: a piece is longer than it may be")
    if is_whole and extent.sha256 != extent.whole.tail:
        raise FormatError("B012", f"{extent.path}: its piece and the whole differ")


def _object(name: str, data: bytes) -> dict[str, Any]:
    document = _parse(data)
    if not isinstance(document, dict):
        raise FormatError("B003", f"{name} is no object")
    return document


def _parse(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise FormatError("B003", f"no JSON: {error}") from None


def _chunks(file: BinaryIO, length: int) -> Iterator[bytes]:
    while length:
        chunk = file.read(min(MAX_EXTENT, length))
        length -= len(chunk)
        yield chunk


def _spool() -> BinaryIO:
    spool: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115
    return cast(BinaryIO, spool)


def _add(file: BinaryIO, name: str, data: bytes) -> None:
    file.write(_header(name, len(data)) + data + bytes(-len(data) % tarfile.BLOCKSIZE))


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member.tobuf(tarfile.USTAR_FORMAT)
