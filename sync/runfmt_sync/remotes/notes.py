"""What was proved of runs in an object store: streams as they grow, and the notes of it (O030, O031)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from runfmt_sync.digests import BLOCK, Proof
from runfmt_sync.remotes.bucket import Lying
from runfmt_sync.remotes.segments import Segment, digest_of, within

__all__ = [
    "Note", "NotedFile", "NotedLarge", "NotedStream", "Proved", "Tail", "decode_note", "encode_note",
]  # fmt: skip

NONE = digest_of([])


class NotedFile(NamedTuple):
    """An object that is a file: its size in bytes, ETag and SHA-256."""

    size: int
    tag: str
    sha256: str


class NotedLarge(NamedTuple):
    """A file in pieces: the ETag of what says so, size and SHA-256, and the digest of the pieces' names."""

    tag: str
    size: int
    sha256: str
    names: str


class NotedStream(NamedTuple):
    """A stream: its length in bytes, the digest of the segments' names, and the digests of its proof."""

    size: int = -1
    names: str = ""
    blocks: tuple[str, ...] = ()
    tail: str = ""


@dataclass
class Note:
    """What is noted of a run, by path."""

    files: dict[str, NotedFile] = field(default_factory=dict)
    large: dict[str, NotedLarge] = field(default_factory=dict)
    streams: dict[str, NotedStream] = field(default_factory=dict)


def encode_note(note: Note) -> dict[str, Any]:
    """A note as a document."""
    return {"runfmt": 1, "files": note.files, "large": note.large, "streams": note.streams}


def decode_note(document: Mapping[str, Any]) -> Note:
    """The inverse of :func:`encode_note`; of what is no note nothing is believed."""
    try:
        if document["runfmt"] != 1:
            return Note()
        files, large, streams = document["files"], document["large"], document["streams"]
        return Note(
            {
                path: NotedFile(int(size), str(tag), str(sha256))
                for path, (size, tag, sha256) in files.items()
            },
            {path: NotedLarge(str(t), int(s), str(d), str(n)) for path, (t, s, d, n) in large.items()},
            {
                path: NotedStream(int(size), str(names), tuple(map(str, blocks)), str(tail))
                for path, (size, names, blocks, tail) in streams.items()
            },
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        return Note()


@dataclass(frozen=True)
class Tail:
    """A stream as far as it was proved: whole blocks, and the digest of what is behind them."""

    length: int = 0
    blocks: tuple[str, ...] = ()
    digest: Any = field(default_factory=hashlib.sha256)
    names: str = NONE
    """The digest of those of the segments that end in it."""

    def grown(self, data: bytes) -> Tail:
        """With these bytes behind it."""
        length, blocks, digest = self.length, self.blocks, self.digest.copy()
        view = memoryview(data)
        while view:
            room = BLOCK - length % BLOCK
            digest.update(view[:room])
            length += len(view[:room])
            view = view[room:]
            if length % BLOCK == 0:
                blocks, digest = (*blocks, digest.hexdigest()), hashlib.sha256()
        return Tail(length, blocks, digest)

    def of(self, segments: Iterable[Segment]) -> Tail:
        """As what these segments hold."""
        return Tail(self.length, self.blocks, self.digest, digest_of(within(segments, self.length)))

    @property
    def proof(self) -> Proof:
        """The proof of all of it."""
        return Proof(self.length, self.blocks, self.digest.hexdigest())

    @property
    def noted(self) -> NotedStream:
        """What is noted of it."""
        return NotedStream(self.length, self.names, self.blocks, self.digest.hexdigest())


class Proved:
    """What this process knows. May be used by several threads."""

    def __init__(self) -> None:
        self._tails: dict[tuple[str, str], Tail] = {}
        self._files: dict[tuple[str, str], tuple[str, Any]] = {}
        self._notes: dict[str, tuple[str, Note]] = {}
        self._lock = threading.Lock()

    # Streams

    def stream(self, lying: Lying, length: int, noted: NotedStream) -> Proof:
        """The proof of the first bytes of a stream, of which no more is read than nobody has proved."""
        if length < lying.length:
            blocks = self._blocks(lying, noted)[: length // BLOCK]
            return _read_on(Tail(len(blocks) * BLOCK, blocks), lying, length).proof
        if (noted.size, noted.names) == (length, lying.names):
            return Proof(length, noted.blocks, noted.tail)
        return self.tail(lying, noted).proof

    def tail(self, lying: Lying, noted: NotedStream) -> Tail:
        """A stream, to be gone on with: of one that is noted the last block is read."""
        if known := self.known(lying):
            return known
        blocks = self._blocks(lying, noted)
        read = _read_on(Tail(len(blocks) * BLOCK, blocks), lying, lying.length)
        return self.keep(lying.uid, lying.path, read.of(lying.segments))

    def known(self, lying: Lying) -> Tail | None:
        """A stream as it was sent or read, None if it lies otherwise now."""
        known = self._tails.get((lying.uid, lying.path), Tail())
        return known if (known.length, known.names) == (lying.length, lying.names) else None

    def keep(self, uid: str, path: str, tail: Tail) -> Tail:
        """A stream is proved as far as this."""
        self._tails[uid, path] = tail
        return tail

    def _blocks(self, lying: Lying, noted: NotedStream) -> tuple[str, ...]:
        """The blocks that are known of a stream as it lies: none behind where an unknown segment begins."""
        found: tuple[str, ...] = ()
        known = self._tails.get((lying.uid, lying.path), Tail()).noted
        for length, names, blocks, _ in (known, noted):
            old = within(lying.segments, length)
            if digest_of(old) == names:
                others = (segment.start for segment in {*lying.segments} - {*old})
                found = max(found, blocks[: min(others, default=length) // BLOCK], key=len)
        return found

    # Large files

    def piece(self, uid: str, whole: str, before: Sequence[Segment], now: Segment, data: bytes) -> None:
        """Take a piece that comes behind others of a file with this digest."""
        names, digest = self._files.get((uid, whole), (NONE, hashlib.sha256()))
        if not before:
            names, digest = NONE, hashlib.sha256()
        if names == digest_of(before):
            digest = digest.copy()
            digest.update(data)
            self._files[uid, whole] = (digest_of([*before, now]), digest)

    def file(self, uid: str, whole: str, pieces: Sequence[Segment], read: Iterable[bytes]) -> str:
        """The digest of a file of these pieces, which are read where they did not all pass here."""
        names, digest = self._files.get((uid, whole), (NONE, None))
        if digest is None or names != digest_of(pieces):
            digest = hashlib.sha256()
            for data in read:
                digest.update(data)
        return str(digest.hexdigest())

    # Notes

    def note(self, uid: str, tag: str, read: Callable[[], dict[str, Any]]) -> Note:
        """What was noted of a run under an ETag, read if another one was."""
        with self._lock:
            before, known = self._notes.get(uid, (None, Note()))
        if before != tag:
            known = decode_note(read())
            self.noted(uid, tag, known)
        return known

    def noted(self, uid: str, tag: str, note: Note) -> None:
        """A run has this note."""
        with self._lock:
            self._notes[uid] = (tag, note)


def _read_on(tail: Tail, lying: Lying, length: int) -> Tail:
    for data in lying.read(tail.length, length):
        tail = tail.grown(data)
    return tail
