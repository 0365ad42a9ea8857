"""Puts the extents of a run into an object store, by the one rule (``applying``)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta, timezone

from obstore.exceptions import AlreadyExistsError, PreconditionError

from runfmt.editing import laid_together
from runfmt.errors import FormatError
from runfmt.layout import EDITS, RUN, id_problem, is_stream
from runfmt.rows import decode_document, encode_document
from runfmt_sync.applying import check_digest, check_extent
from runfmt_sync.digests import Proof
from runfmt_sync.extents import MAX_EXTENT, Extent, Refused
from runfmt_sync.faults import fault_point
from runfmt_sync.remotes.bucket import LARGE, Bucket, Each, Listed, Lying, Stored, at, pieces_at
from runfmt_sync.remotes.notes import Note, NotedFile, NotedLarge, NotedStream, Proved
from runfmt_sync.remotes.proving import keep_note, large
from runfmt_sync.remotes.segments import Segment, chain, covered, digest_of, length_of, name_of, to_merge

__all__ = ["Placing", "is_piece"]

COVERED_FOR = timedelta(hours=1)
"""How long segments stay that a larger one stands for: a reader may have listed them (O014)."""
UNUSED_FOR = timedelta(days=7)
"""How long pieces stay that no file is made of: who was cut off goes on with them (O023)."""
TRIES = 5


class Placing:
    """A run at its place while extents are put there; several paths of a phase at once."""

    def __init__(self, bucket: Bucket, proved: Proved, uid: str, listed: Listed, note: Note) -> None:
        self._bucket, self._proved, self._uid, self._listed = bucket, proved, uid, listed
        self._note = Note({**note.files}, {**note.large}, {**note.streams})
        self._touched: set[str] = set()

    def take(self, some: Sequence[tuple[Extent, bytes]], each: Each) -> Refused | None:
        """Put the extents of one path, or of files with one digest; gives why one was refused, if it was.

        The objects are put at once, so what comes behind a missing one may be there: nobody reads it.
        """
        puts: list[tuple[str, bytes]] = []
        refused = None
        for extent, data in some:
            try:
                fault_point("objects.extent")
                check_extent(extent)
                check_digest(extent, data)
                puts += self._take(extent, data)
            except Refused as error:
                refused = error
                break
            except FormatError as error:
                refused = Refused(str(error))
                break
        for _ in each(lambda put: self._put(*put), puts):
            pass
        for extent, _ in [] if refused else some:
            if extent.whole and is_piece(extent) and extent.offset + extent.length == extent.whole.size:
                refused = refused or self._complete(extent.path, extent.whole)
        return refused

    def _take(self, extent: Extent, data: bytes) -> list[tuple[str, bytes]]:
        """Take an extent; gives what is yet to be put."""
        self._touched.add(extent.path)
        if extent.whole is None:
            return self._append(extent, data)
        if is_piece(extent):
            return self._add_piece(extent, extent.whole, data)
        if extent.path == EDITS:
            self._merge(data)
            return []
        if extent.path == RUN:
            _check_run(self._uid, data)
        if extent.sha256 != extent.whole.tail:
            raise Refused(f"{extent.path}: the file is not the one that was announced", again=True)
        self._put_file(extent.path, data)
        return []

    def _put(self, name: str, data: bytes) -> str:
        fault_point("objects.put")
        return self._bucket.put(name, data)

    # Streams

    def _lying(self, path: str) -> Lying:
        return self._bucket.lying(self._uid, path, self._listed.streams[path])

    def _append(self, extent: Extent, data: bytes) -> list[tuple[str, bytes]]:
        path, lying = extent.path, self._lying(extent.path)
        if extent.offset > lying.length:
            raise Refused(f"{path}: only {lying.length:,} bytes are here", again=True)
        if data and not data.endswith(b"\n"):
            raise Refused(f"{path}: an extent that does not end a line", again=True)
        known = min(lying.length - extent.offset, len(data))
        if known and data[:known] != b"".join(lying.read(extent.offset, extent.offset + known)):
            raise Refused(f"{path} has diverged: other bytes are here", again=True)
        new = data[known:]
        if not new and lying.segments:
            return []
        tail = self._proved.tail(lying, self._note.streams.get(path, NotedStream()))
        put = self._add_segment(path, lying.length, new)
        self._proved.keep(self._uid, path, tail.grown(new).of(self._listed.streams[path]))
        return [put]

    def _add_segment(self, path: str, start: int, data: bytes) -> tuple[str, bytes]:
        segment = Segment(start, start + len(data), hashlib.sha256(data).hexdigest()[:16])
        self._listed.streams[path][segment] = _stored(data)
        return f"{at(self._uid, path)}/{name_of(segment)}", data

    # Files

    def _put_file(self, path: str, data: bytes) -> None:
        tag = self._put(at(self._uid, path), data)
        self._note.files[path] = NotedFile(len(data), tag, hashlib.sha256(data).hexdigest())
        if path in self._listed.large:
            self._bucket.remove([at(self._uid, path, LARGE)])

    def _add_piece(self, extent: Extent, whole: Proof, data: bytes) -> list[tuple[str, bytes]]:
        pieces = self._listed.pieces[whole.tail]
        parts = chain(pieces)
        there = length_of(parts)
        if extent.offset > there:
            raise Refused(f"{extent.path}: only {there:,} bytes are here", again=True)
        if extent.offset + len(data) <= there:
            return []
        segment = Segment(extent.offset, extent.offset + len(data), extent.sha256[:16])
        self._proved.piece(self._uid, whole.tail, [part.segment for part in parts], segment, data)
        pieces[segment] = _stored(data)
        return [(f"{pieces_at(self._uid, whole.tail)}/{name_of(segment)}", data)]

    def _complete(self, path: str, whole: Proof) -> Refused | None:
        """Let a file appear whose pieces are all there, if they make the one that was announced."""
        place, pieces = pieces_at(self._uid, whole.tail), self._listed.pieces[whole.tail]
        parts = chain(pieces)
        segments = [part.segment for part in parts]
        read = self._bucket.bytes_of(place, parts, 0, whole.size)
        if self._proved.file(self._uid, whole.tail, segments, read) != whole.tail:
            self._bucket.remove([f"{place}/{name_of(one)}" for one in pieces])
            pieces.clear()
            return Refused(f"{path}: the file is not the one that was announced", again=True)
        fault_point("objects.pieces")
        said = encode_document({"size": whole.size, "sha256": whole.tail})
        tag = self._put(at(self._uid, path, LARGE), said)
        self._note.large[path] = NotedLarge(tag, whole.size, whole.tail, digest_of(segments))
        if path in self._listed.files:
            self._bucket.remove([at(self._uid, path)])
        return None

    def _merge(self, data: bytes) -> None:
        """Edits are never replaced: both sides' are kept (R096), also where no precondition is heeded."""
        self._bucket.probe()
        for _ in range(TRIES):
            there, tag = self._bucket.tagged(at(self._uid, EDITS))
            merged = laid_together(there, data)
            if merged == there:
                return
            with suppress(AlreadyExistsError, PreconditionError):
                now = self._bucket.put(at(self._uid, EDITS), merged, {"e_tag": tag} if there else "create")
                fault_point("objects.merged")
                self._note.files[EDITS] = NotedFile(len(merged), now, hashlib.sha256(merged).hexdigest())
        there, _ = self._bucket.tagged(at(self._uid, EDITS))
        if laid_together(there, data) != there:
            raise Refused(f"{EDITS} changes again and again: sync again", again=True)

    # When all is put

    def finish(self) -> None:
        """Merge small segments, remove what nobody needs, and note what was proved."""
        for path in filter(is_stream, self._touched):
            self._compact(path)
            if tail := self._proved.known(self._lying(path)):
                self._note.streams[path] = tail.noted
        self._sweep()
        if self._touched:
            fault_point("objects.noting")
            keep_note(self._bucket, self._proved, self._uid, self._note)

    def _compact(self, path: str) -> None:
        lying = self._lying(path)
        if merging := to_merge(lying.parts, MAX_EXTENT):
            tail, start = self._proved.known(lying), merging[0].segment.start + merging[0].skip
            self._put(*self._add_segment(path, start, b"".join(lying.read(start, lying.length))))
            fault_point("objects.compacted")
            self._remove_covered(path)
            if tail:
                self._proved.keep(self._uid, path, tail.of(self._listed.streams[path]))

    def _remove_covered(self, path: str) -> None:
        """Remove segments for which a larger one stands, that has their bytes."""
        place, segments, before = at(self._uid, path), self._listed.streams[path], _now() - COVERED_FOR
        old = [one for one, found in segments.items() if found.time < before]
        gone = []
        for larger, ones in covered(self._lying(path).parts, old).items():
            data = self._bucket.get(f"{place}/{name_of(larger)}")
            gone += [one for one in ones if _digest(data, larger.start, one) == one.digest]
        self._bucket.remove([f"{place}/{name_of(one)}" for one in gone])
        for one in gone:
            del segments[one]

    def _sweep(self) -> None:
        """Remove pieces that no file is made of (O023)."""
        before = _now() - UNUSED_FOR
        old = {
            digest
            for digest, pieces in self._listed.pieces.items()
            if all(found.time < before for found in pieces.values())
        }
        if old:
            files = {*self._listed.large, *self._note.large}
            old -= {said.tail for path in files if (said := large(self._bucket, self._uid, path))}
        for digest in old:
            place, pieces = pieces_at(self._uid, digest), self._listed.pieces[digest]
            self._bucket.remove([f"{place}/{name_of(one)}" for one in pieces])


def is_piece(extent: Extent) -> bool:
    """Whether an extent is a part of a file."""
    return extent.whole is not None and extent.length < extent.whole.size


def _digest(data: bytes, start: int, segment: Segment) -> str:
    """The digest of a segment that has these bytes, which begin at an offset."""
    return hashlib.sha256(data[segment.start - start : segment.end - start]).hexdigest()[:16]


def _stored(data: bytes) -> Stored:
    """What is put now, as a listing will have it."""
    return Stored(len(data), "", _now())


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _check_run(uid: str, data: bytes) -> None:
    """A ``run.json`` shows the run, so it must be of it, and have an id."""
    document = decode_document(data)
    if document.get("uid") != uid:
        raise Refused(f"{RUN} is of another run than {uid} [R016]")
    run_id = document.get("id")
    if not isinstance(run_id, str) or (wrong := id_problem(run_id)):
        raise Refused(f"id {run_id!r} {wrong if isinstance(run_id, str) else 'is no text'} [R013]")
