"""What lies of a run in an object store, proved: as it was noted, or else as it is read (O030, O031)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from runfmt.rows import encode_document
from runfmt_sync.digests import Proof, prove_bytes
from runfmt_sync.plan import Held
from runfmt_sync.remotes.bucket import (
    LARGE,
    NOTE,
    Bucket,
    Each,
    Listed,
    absent,
    at,
    bare,
    pieces_at,
    place_of,
)
from runfmt_sync.remotes.notes import Note, NotedFile, NotedLarge, NotedStream, Proved, encode_note
from runfmt_sync.remotes.segments import chain, digest_of, length_of

__all__ = ["Proving", "keep_note", "large"]


class Proving:
    """A run as it was listed; ``found`` is afterwards what may be noted of it."""

    def __init__(self, bucket: Bucket, proved: Proved, uid: str, listed: Listed, note: Note) -> None:
        self._bucket, self._proved, self._uid, self._listed, self._note = bucket, proved, uid, listed, note
        self.found = Note()

    def prove(self, streams: Mapping[str, int], each: Each) -> dict[str, Held]:
        """What is there by path, streams as far as these lengths.

        Raises ``FileNotFoundError`` if it changes meanwhile.
        """
        entries: dict[str, Held] = {}
        files = self._listed.files
        unknown = [path for path in files if not self._is_noted(path)]
        self.found.files = {path: self._note.files[path] for path in files.keys() - unknown}
        self.found.files |= zip(unknown, each(self._read_file, unknown), strict=True)
        for path, noted in self.found.files.items():
            entries[path] = Held(noted.size, Proof(noted.size, (), noted.sha256))
        for path in self._listed.large.keys() - files.keys():
            if whole := self._noted_large(path) or self._read_large(path):
                self.found.large[path] = whole
                entries[path] = Held(whole.size, Proof(whole.size, (), whole.sha256))
        for path in self._listed.streams:
            entries[path] = self._prove_stream(path, streams)
        return entries

    def _is_noted(self, path: str) -> bool:
        noted, found = self._note.files.get(path), self._listed.files[path]
        return noted is not None and bool(found.tag) and (noted.size, noted.tag) == (found.size, found.tag)

    def _read_file(self, path: str) -> NotedFile:
        data, said = self._bucket.tagged(at(self._uid, path))
        tag = bare(said)
        if tag != self._listed.files[path].tag:
            raise absent(path)  # as it was listed: streams that were may not have all that it tells of
        return NotedFile(len(data), tag, prove_bytes(data).tail)

    def _noted_large(self, path: str) -> NotedLarge | None:
        noted, found = self._note.large.get(path), self._listed.large[path]
        if noted is None or not found.tag or noted.tag != found.tag:
            return None
        parts = chain(self._listed.pieces[noted.sha256])
        return noted if noted.names == digest_of(part.segment for part in parts) else None

    def _read_large(self, path: str) -> NotedLarge | None:
        """A file in pieces, all of which are read; None if some are missing."""
        said = large(self._bucket, self._uid, path)
        parts = chain(self._listed.pieces[said.tail]) if said else []
        if said is None or length_of(parts) != said.size:
            return None
        digest = hashlib.sha256()
        for data in self._bucket.bytes_of(pieces_at(self._uid, said.tail), parts, 0, said.size):
            digest.update(data)
        names = digest_of(part.segment for part in parts)
        return NotedLarge(self._listed.large[path].tag, said.size, digest.hexdigest(), names)

    def _prove_stream(self, path: str, streams: Mapping[str, int]) -> Held:
        lying = self._bucket.lying(self._uid, path, self._listed.streams[path])
        length = min(lying.length, streams.get(path, lying.length))
        noted = self._note.streams.get(path, NotedStream())
        proof = self._proved.stream(lying, length, noted)
        if length == lying.length:
            self.found.streams[path] = NotedStream(length, lying.names, proof.blocks, proof.tail)
        elif noted.size == lying.length:
            self.found.streams[path] = noted
        return Held(lying.length, proof)


def large(bucket: Bucket, uid: str, path: str) -> Proof | None:
    """What a file in pieces is said to be, None if that cannot be read (O021)."""
    said = bucket.document(at(uid, path, LARGE))
    size, digest = said.get("size"), said.get("sha256")
    return Proof(size, (), digest) if isinstance(size, int) and isinstance(digest, str) else None


def keep_note(bucket: Bucket, proved: Proved, uid: str, note: Note) -> None:
    """Put the note of a run beside it."""
    tag = bucket.put(f"{place_of(uid)}/{NOTE}", encode_document(encode_note(note)))
    proved.noted(uid, tag, note)
