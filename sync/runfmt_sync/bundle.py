"""A bundle: extents in a tar archive. POSTed to a server it is the upload, on a USB stick the sneakernet.

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
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, cast

import orjson
import zstandard

from runfmt.errors import FormatError
from runfmt_sync.extents import MAX_EXTENT, Extent, Piece
from runfmt_sync.wire import extent_from_json, extent_to_json

__all__ = [
    "GROUP",
    "Group",
    "Manifest",
    "check",
    "groups",
    "packed",
    "pieces",
    "unpacked",
    "write",
]

GROUP = 16 * 2**20
"""Bytes of the extents that share a group; one longer extent is a group of its own."""
MAX_LISTING = 64 * 2**20
"""Longest ``<n>.json`` in bytes."""
IN_MEMORY = 2 * GROUP
"""Bytes of a group that are held in memory; a longer one goes to a temporary file."""

MAX_WINDOW = 128 * 2**20
"""Most memory in bytes that unpacking may ask for."""

Manifest = dict[str, Any]
"""What a bundle says of itself: ``bundle``, the integer 1, and what its maker adds."""


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
    """Put pieces together until a group has about so many bytes; each is closed when the next is asked for."""
    extents: list[Extent] = []
    data = _spool()
    try:
        for extent, body in pieces:
            if extents and data.tell() + extent.length > size:
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
        return cast(BinaryIO, gzip.GzipFile(fileobj=file))
    if coding == "zstd":
        reader = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
        return cast(BinaryIO, reader.stream_reader(file, read_across_frames=True, closefd=False))
    return file


def packed(file: BinaryIO, coding: str = "zstd") -> AbstractContextManager[BinaryIO]:
    """Where to write a bundle that is compressed into a file: ``identity`` or ``zstd``."""
    if coding == "zstd":
        compressor = zstandard.ZstdCompressor()
        return cast(AbstractContextManager[BinaryIO], compressor.stream_writer(file, closefd=False))
    return nullcontext(file)


def write(file: BinaryIO, manifest: Mapping[str, Any], content: Iterable[Group]) -> None:
    """Write a bundle. ``file`` need not be able to seek."""
    count, digest = 0, hashlib.sha256()
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.USTAR_FORMAT) as tar:
        _add(tar, "manifest.json", orjson.dumps({"bundle": 1, **manifest}))
        for group in content:
            listing = orjson.dumps([extent_to_json(extent) for extent in group.extents])
            digest.update(listing)
            _add(tar, f"{count}.json", listing)
            length = group.data.seek(0, io.SEEK_END)
            group.data.seek(0)
            tar.addfile(_member(f"{count}.bin", length), group.data)
            count += 1
        _add(tar, "end.json", orjson.dumps({"groups": count, "sha256": digest.hexdigest()}))


def check(file: BinaryIO, limit: int | None = None) -> Manifest:
    """Read a bundle to its end, and compare every digest; gives the manifest.

    ``limit`` is the most that it may unpack to, in bytes. Raises ``FormatError`` (B001-B006, B010).
    """
    reader = _Reader(file, limit)
    for group in reader.groups():
        for extent, body in group.pieces():
            digest = hashlib.sha256()
            for chunk in body:
                digest.update(chunk)
            if digest.hexdigest() != extent.sha256:
                raise FormatError("B005", f"the bytes of {extent.path} are not those that were announced")
    return reader.manifest


def pieces(file: BinaryIO) -> Iterator[Piece]:
    """The extents of a bundle that was checked, each with its bytes."""
    for group in _Reader(file, None).groups():
        yield from group.pieces()


class _Reader:
    """Reads the members in their order; any other member, or another order, ends it.

    Of tar only the plain header is read: no extension of it can do anything here.
    """

    def __init__(self, file: BinaryIO, limit: int | None) -> None:
        self.manifest: Manifest = {}
        self._file, self._left = file, limit

    def groups(self) -> Iterator[Group]:
        """The groups; the bundle is whole when they end without an error."""
        self.manifest = self._document("manifest.json")
        if self.manifest.get("bundle") != 1:
            version = self.manifest.get("bundle")
            raise FormatError("B002", f"bundle version {version!r} is not known: upgrade runfmt")
        count, digest = 0, hashlib.sha256()
        while True:
            name, size = self._next(f"{count}.json", "end.json")
            listing = self._all(size)
            if name == "end.json":
                break
            digest.update(listing)
            with _spool() as data:
                yield self._group(count, _extents(listing), data)
            count += 1
        if _parse(listing) != {"groups": count, "sha256": digest.hexdigest()}:
            raise FormatError("B003", "its end does not fit to what it holds")

    def _group(self, count: int, extents: tuple[Extent, ...], data: BinaryIO) -> Group:
        _, size = self._next(f"{count}.bin")
        if size != sum(extent.length for extent in extents):
            raise FormatError("B003", f"{count}.bin is not as long as its extents")
        for chunk in self._body(size):
            data.write(chunk)
        return Group(extents, data)

    def _document(self, name: str) -> dict[str, Any]:
        document = _parse(self._all(self._next(name)[1]))
        if not isinstance(document, dict):
            raise FormatError("B003", f"{name} is no object")
        return document

    def _all(self, size: int) -> bytes:
        if size > MAX_LISTING:
            raise FormatError("B006", f"a listing of {size:,} bytes is over the limit of {MAX_LISTING:,}")
        return b"".join(self._body(size))

    def _next(self, *names: str) -> tuple[str, int]:
        """Name and size of the next member, which must have one of these names."""
        try:
            header = tarfile.TarInfo.frombuf(self._read(tarfile.BLOCKSIZE), "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError) as error:
            raise FormatError("B001", f"no bundle, or a damaged one: {error}") from None
        if header.name not in names or header.type != tarfile.REGTYPE or header.size < 0:
            raise FormatError("B003", f"{header.name} stands where {names[0]} should be")
        return header.name, header.size

    def _body(self, size: int) -> Iterator[bytes]:
        """The bytes of a member, in chunks."""
        left = size
        while left:
            chunk = self._read(min(MAX_EXTENT, left))
            left -= len(chunk)
            yield chunk
        self._read(-size % tarfile.BLOCKSIZE)

    def _read(self, size: int) -> bytes:
        """Exactly so many bytes."""
        if self._left is not None:
            self._left -= size
            if self._left < 0:
                raise FormatError("B006", "it unpacks to more than it may")
        data = b""
        while len(data) < size:
            try:
                more = self._file.read(size - len(data))
            except (zlib.error, EOFError, gzip.BadGzipFile, zstandard.ZstdError) as error:
                raise FormatError("B001", f"damaged, or not whole: {error}") from None
            if not more:
                raise FormatError("B001", "not whole: its end is missing")
            data += more
        return data


def _extents(listing: bytes) -> tuple[Extent, ...]:
    said = _parse(listing)
    try:
        return tuple(map(extent_from_json, said))
    except (FormatError, TypeError) as error:
        raise FormatError("B010", f"no list of extents: {error}") from None


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


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    tar.addfile(_member(name, len(data)), io.BytesIO(data))


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member
