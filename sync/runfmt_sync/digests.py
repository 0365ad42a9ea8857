"""What proves that two sides hold the same bytes.

A file is proved by the SHA-256 of the whole. A stream is proved by the SHA-256
of each 4 MiB block and of the tail behind the last whole block, so that any
prefix can be proved from the same blocks, and growing costs only the new bytes.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from runfmt_sync.state import Journal

__all__ = [
    "BLOCK",
    "Changed",
    "Known",
    "KnownDigests",
    "Proof",
    "Proving",
    "Signature",
    "Standing",
    "prove_bytes",
    "prove_file",
    "prove_stream",
]

BLOCK = 4 * 2**20
CHUNK = 2**20
SETTLED_NS = 2 * 10**9
"""Age from which a file's time of change tells two contents apart: FAT keeps two seconds.

A time with a fraction of a second is of a file system that keeps 10 ms or less.
"""


class Changed(Exception):
    """A file was replaced or cut while it was being read: look again."""


class Signature(NamedTuple):
    """What moves when a file is replaced: bytes, nanoseconds, inode."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Signature:
        """The signature in a file's status."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


@dataclass(frozen=True)
class Proof:
    """Size in bytes and digests, in lower-case hexadecimal; ``blocks`` is empty for a file."""

    size: int
    blocks: tuple[str, ...]
    tail: str

    @cached_property
    def digest(self) -> str:
        """One digest for all: the plain SHA-256 of the bytes if there is no whole block."""
        return (
            hashlib.sha256("".join((*self.blocks, self.tail)).encode()).hexdigest()
            if self.blocks
            else self.tail
        )


def prove_bytes(data: bytes) -> Proof:
    """The proof of a file with these contents."""
    return Proof(len(data), (), hashlib.sha256(data).hexdigest())


def prove_file(file: BinaryIO) -> Proof:
    """The proof of a file, read from its beginning."""
    digest, size = hashlib.sha256(), 0
    file.seek(0)
    while chunk := file.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
    return Proof(size, (), digest.hexdigest())


def prove_stream(file: BinaryIO, size: int, known: Proof | None = None) -> Proof:
    """The proof of a stream's first ``size`` bytes; blocks that are known are not read again.

    Raises ``Changed`` if the stream is shorter.
    """
    whole = size // BLOCK
    blocks = list(known.blocks[:whole]) if known else []
    file.seek(len(blocks) * BLOCK)
    while len(blocks) < whole:
        blocks.append(_read_digest(file, BLOCK))
    return Proof(size, tuple(blocks), _read_digest(file, size % BLOCK))


def _read_digest(file: BinaryIO, length: int) -> str:
    digest = hashlib.sha256()
    while length:
        chunk = file.read(min(length, CHUNK))
        if not chunk:
            raise Changed("shorter than it was")
        digest.update(chunk)
        length -= len(chunk)
    return digest.hexdigest()


class Proving:
    """The proof of bytes as they come, one behind the other: of a stream, or else of a file."""

    def __init__(self, *, is_stream: bool) -> None:
        self._is_stream = is_stream
        self._blocks: list[str] = []
        self._size, self._tail = 0, hashlib.sha256()

    def update(self, data: bytes) -> None:
        """What comes next."""
        rest = memoryview(data)
        while self._is_stream and len(rest) >= (missing := BLOCK - self._size % BLOCK):
            self._tail.update(rest[:missing])
            self._blocks.append(self._tail.hexdigest())
            self._size, rest, self._tail = self._size + missing, rest[missing:], hashlib.sha256()
        self._tail.update(rest)
        self._size += len(rest)

    @property
    def proof(self) -> Proof:
        """The proof of all that came."""
        return Proof(self._size, tuple(self._blocks), self._tail.hexdigest())


class Known(NamedTuple):
    """A proof, and the signature of the file at the time."""

    signature: Signature
    proof: Proof


def encode_known(known: Mapping[str, Known]) -> dict[str, Any]:
    """What is known of a run's files as a JSON object; each begins with the signature."""
    return {path: [*at, proof.size, proof.tail, *proof.blocks] for path, (at, proof) in known.items()}


def decode_known(document: Mapping[str, Any]) -> dict[str, Known]:
    """The inverse of :func:`encode_known`."""
    return {
        path: Known(Signature(size, mtime, inode), Proof(proved, tuple(blocks), tail))
        for path, (size, mtime, inode, proved, tail, *blocks) in document.items()
    }


class Standing(NamedTuple):
    """A run as it stood when it was last looked at: who it is, its digest, its files and bytes."""

    uid: str
    id: str
    digest: str
    files: int
    size: int


class KnownDigests:
    """The digests of runs' files by run folder; a cache that spares reading, and may be deleted."""

    def __init__(self, path: Path | None) -> None:
        self._journal = Journal(path)

    def of(self, run: str) -> dict[str, Known]:
        """What is known of a run folder's files."""
        try:
            return decode_known(self._journal.get(run)["files"])
        except (TypeError, ValueError, KeyError, AttributeError):  # nothing, or of another version
            return {}

    def standing(self, run: str, found: Mapping[str, Signature] | None) -> Standing | None:
        """What a run folder holds if these files, all that it has, stand as they stood."""
        if found is None:
            return None
        try:
            document = self._journal.get(run)
            files, standing = document["files"], Standing(*document["standing"])
            same = len(found) == len(files) and all(files[path][:3] == [*at] for path, at in found.items())
            return standing if same else None
        except (TypeError, ValueError, KeyError, AttributeError):
            return None

    def remember(self, run: str, known: Mapping[str, Known], standing: Standing | None = None) -> None:
        """Keep what was found, except of files so young that a change may not show in their time.

        ``standing`` describes the run if these are all its files.
        """
        now = time.time_ns()
        kept = {
            path: one for path, one in known.items() if _is_settled(one.signature, now) or one.proof.blocks
        }
        whole = [*standing] if standing and len(kept) == standing.files else None
        value = {"files": encode_known(kept), "standing": whole}
        if value != self._journal.get(run):
            self._journal.put(run, value)


def _is_settled(signature: Signature, now: int) -> bool:
    coarse = signature.mtime_ns % 10**9 == 0
    return signature.mtime_ns < now - (SETTLED_NS if coarse else SETTLED_NS // 20)
