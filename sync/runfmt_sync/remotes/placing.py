"""Puts the extents of a run into an object store, by the one rule (``applying``)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any

from obstore.exceptions import AlreadyExistsError, PreconditionError

from runfmt.editing import laid_together
from runfmt.errors import FormatError
from runfmt.layout import EDITS, RUN, id_problem, is_stream
from runfmt.rows import decode_document, encode_document
from runfmt_sync.applying import check_digest, check_extent
from runfmt_sync.digests import Proof
from runfmt_sync.extents import MAX_EXTENT, Extent, Refused
from runfmt_sync.faults import fault_point
from runfmt_sync.remotes.bucket import LARGE, NOTE, PIECES, Bucket, Listed, Stored, at, place_of
from runfmt_sync.remotes.notes import Proved
from runfmt_sync.remotes.segments import Part, Segment, chain, digest_of, length_of, name_of, to_merge

__all__ = ["Placing"]

COVERED_FOR = timedelta(hours=1)
"""How long segments stay that a larger one stands for: a reader may have listed them (O014)."""
TRIES = 5


class Placing:
    """A run at its place while extents are put there; several paths of a phase at once."""

    def __init__(
        self, bucket: Bucket, proved: Proved, uid: str, listed: Listed, note: Mapping[str, Any]
    ) -> None:
        self._bucket, self._proved, self._uid, self._listed = bucket, proved, uid, listed
        self._files: dict[str, list[Any]] = dict(note.get("files", {}))
        self._streams: dict[str, list[Any]] = dict(note.get("streams", {}))
        self._touched: set[str] = set()

    def take(self, some: Iterable[tuple[Extent, bytes]]) -> Refused | None:
        """Put the extents of one path; gives why it was refused, if it was."""
        try:
            for extent, data in some:
                check_extent(extent)
                check_digest(extent, data)
                self._take(extent, data)
        except Refused as error:
            return error
        except FormatError as error:
            return Refused(str(error))
        return None

    def _take(self, extent: Extent, data: bytes) -> None:
        fault_point("objects.extent")
        self._touched.add(extent.path)
        if extent.whole is None:
            self._append(extent, data)
        elif extent.path == EDITS:
            self._merge(data)
        elif extent.length < extent.whole.size:
            self._put_piece(extent, extent.whole, data)
        else:
            if extent.path == RUN:
                _check_run(self._uid, data)
            if extent.sha256 != extent.whole.tail:
                raise Refused(f"{extent.path}: the file is not the one that was announced", again=True)
            self._put_file(extent.path, data)

    def _append(self, extent: Extent, data: bytes) -> None:
        path, segments = extent.path, self._listed.streams[extent.path]
        parts = chain(segments)
        there = length_of(parts)
        if extent.offset > there:
            raise Refused(f"{path}: only {there:,} bytes are here", again=True)
        if data and not data.endswith(b"\n"):
            raise Refused(f"{path}: an extent that does not end a line", again=True)
        known = min(there - extent.offset, len(data))
        if known and data[:known] != b"".join(
            self._bucket.bytes_of(at(self._uid, path), parts, extent.offset, extent.offset + known)
        ):
            raise Refused(f"{path} has diverged: other bytes are here", again=True)
        if known < len(data) or not segments:
            segment = Segment(extent.offset, extent.offset + len(data), extent.sha256[:16])
            self._put_segment(path, segment, data)
            self._proved.grew(self._uid, path, there, data[known:], chain(segments))

    def _put_segment(self, path: str, segment: Segment, data: bytes) -> None:
        tag = self._bucket.put(f"{at(self._uid, path)}/{name_of(segment)}", data)
        self._listed.streams[path][segment] = Stored(len(data), tag, datetime.now(timezone.utc))

    def _put_file(self, path: str, data: bytes) -> None:
        tag = self._bucket.put(at(self._uid, path), data)
        self._files[path] = [len(data), tag, hashlib.sha256(data).hexdigest()]
        if path in self._listed.large:
            self._bucket.remove([at(self._uid, path, LARGE)])

    def _put_piece(self, extent: Extent, whole: Proof, data: bytes) -> None:
        pieces = self._listed.pieces[whole.tail]
        there = length_of(chain(pieces))
        if extent.offset > there:
            raise Refused(f"{extent.path}: only {there:,} bytes are here", again=True)
        if extent.offset + len(data) > there:
            segment = Segment(extent.offset, extent.offset + len(data), extent.sha256[:16])
            place = f"{place_of(self._uid)}/{PIECES}/{whole.tail}/{name_of(segment)}"
            pieces[segment] = Stored(len(data), self._bucket.put(place, data), datetime.now(timezone.utc))
        if extent.offset + len(data) == whole.size:
            said = encode_document({"size": whole.size, "sha256": whole.tail})
            self._bucket.put(at(self._uid, extent.path, LARGE), said)
            if extent.path in self._listed.files:
                self._bucket.remove([at(self._uid, extent.path)])
            self._files.pop(extent.path, None)

    def _merge(self, data: bytes) -> None:
        """Edits are never replaced: both sides' are kept (R096), also where no precondition is heeded."""
        for _ in range(TRIES):
            there, tag = self._bucket.tagged(at(self._uid, EDITS))
            merged = laid_together(there, data)
            if merged == there:
                return
            with suppress(AlreadyExistsError, PreconditionError):
                mode = {"e_tag": tag} if there else "create"
                now = self._bucket.put(at(self._uid, EDITS), merged, mode)
                fault_point("objects.merged")
                self._files[EDITS] = [len(merged), now, hashlib.sha256(merged).hexdigest()]
        there, _ = self._bucket.tagged(at(self._uid, EDITS))
        if laid_together(there, data) != there:
            raise Refused(f"{EDITS} changes again and again: sync again", again=True)

    def finish(self) -> None:
        """Merge small segments, and note what was proved."""
        for path in filter(is_stream, self._touched):
            self._compact(path)
            if proof := self._proved.stream(self._uid, path):
                names = digest_of(chain(self._listed.streams[path]))
                self._streams[path] = [proof.size, names, proof.blocks, proof.tail]
        if self._touched:
            fault_point("objects.noting")
            known = {"runfmt": 1, "files": self._files, "streams": self._streams}
            tag = self._bucket.put(f"{place_of(self._uid)}/{NOTE}", encode_document(known))
            self._proved.noted(self._uid, tag, known)

    def _compact(self, path: str) -> None:
        segments = self._listed.streams[path]
        if merging := to_merge(chain(segments), MAX_EXTENT):
            parts = [Part(segment, 0) for segment in merging]
            data = b"".join(
                self._bucket.bytes_of(at(self._uid, path), parts, merging[0].start, merging[-1].end)
            )
            digest = hashlib.sha256(data).hexdigest()[:16]
            self._put_segment(path, Segment(merging[0].start, merging[-1].end, digest), data)
            fault_point("objects.compacted")
            self._proved.grew(self._uid, path, merging[-1].end, b"", chain(segments))
            used = {part.segment for part in chain(segments)}
            before = datetime.now(timezone.utc) - COVERED_FOR
            old = [one for one, found in segments.items() if one not in used and found.time < before]
            self._bucket.remove([f"{at(self._uid, path)}/{name_of(one)}" for one in old])


def _check_run(uid: str, data: bytes) -> None:
    """A ``run.json`` shows the run, so it must be of it, and have an id."""
    document = decode_document(data)
    if document.get("uid") != uid:
        raise Refused(f"{RUN} is of another run than {uid} [R016]")
    run_id = document.get("id")
    if not isinstance(run_id, str) or (wrong := id_problem(run_id)):
        raise Refused(f"id {run_id!r} {wrong if isinstance(run_id, str) else 'is no text'} [R013]")
