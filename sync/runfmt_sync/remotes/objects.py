"""An object store as a remote: ``s3://bucket/prefix``, ``gs://``, ``az://`` (``spec/object-store.md``).

Nothing is appended there, so a stream is segments, and a large file pieces, each named by what
it holds (``segments``). So whatever is repeated, raced or killed leaves at worst bytes twice,
which readers leave out. What was proved of a run is noted beside it with the ETags of its
objects: a note spares reading, and is never believed of an object that was replaced.
"""

from __future__ import annotations

import errno
import hashlib
import io
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast
from urllib.parse import unquote

from obstore.exceptions import AlreadyExistsError

from runfmt.errors import CommError, FormatError, warn
from runfmt.layout import RUN, is_safe, is_stream, is_uid, phase
from runfmt.reading import refuse_future
from runfmt.rows import decode_document, encode_document
from runfmt_sync.digests import Proof, prove_bytes
from runfmt_sync.extents import MAX_EXTENT, Extent, Piece, Refused, Wanted
from runfmt_sync.faults import fault_point
from runfmt_sync.inventory import run_digest
from runfmt_sync.plan import Ask, Have, Held
from runfmt_sync.remotes import read_each
from runfmt_sync.remotes.bucket import LARGE, NOTE, PIECES, Bucket, Joined, Listed, absent, at, place_of
from runfmt_sync.remotes.notes import Proved
from runfmt_sync.remotes.placing import Placing
from runfmt_sync.remotes.segments import Part, chain, digest_of, length_of

if TYPE_CHECKING:
    from runfmt_sync.mirrored import Mirrored

__all__ = ["ObjectRemote"]

T = TypeVar("T")

AT_ONCE = 16
"""Requests under way."""
TOGETHER = 64
"""Runs, and ..."""
HELD = 16 * 2**20
"""... bytes, that are sent together, phase by phase."""
TRIES = 5
STORE, DELETED = ".runfmt/store.json", ".runfmt/deleted"


class ObjectRemote:
    """A :class:`runfmt_sync.remotes.Mirror` in an object store. May be called from several threads."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._bucket, self._proved = Bucket(self.url), Proved()
        self._pool, self._below = ThreadPoolExecutor(AT_ONCE), ThreadPoolExecutor(AT_ONCE)
        self._id = str(self._bucket.document(STORE).get("id", ""))

    @property
    def store_id(self) -> str:
        """The id of the store, empty before runs were brought to it."""
        return self._id

    def prepare(self) -> None:
        """Give the place an id, if it has none."""
        if not self._id:
            with suppress(AlreadyExistsError):  # some stores replace it: what is there then counts for all
                self._bucket.put(STORE, encode_document({"id": str(uuid.uuid4())}), mode="create")
            self._id = str(self._bucket.document(STORE)["id"])

    def look(self) -> None:
        """Each question is asked anew."""

    # What is there

    def have(self, asks: Iterable[Ask], *, believe: bool = True) -> dict[str, Have]:
        """What is there of runs, of those that are not the same as asked."""
        asked = [*asks]
        found = self._each(lambda ask: self._have(ask, believe), asked)
        return {ask.uid: have for ask, have in zip(asked, found, strict=True) if have is not None}

    def _have(self, ask: Ask, believe: bool) -> Have | None:
        for _ in range(TRIES):
            try:
                return self._look_at(ask, self._bucket.run(ask.uid), believe)
            except FileNotFoundError:
                continue  # it was merged or replaced meanwhile
        return Have(refused="it changes while it is read: sync again")

    def _look_at(self, ask: Ask, listed: Listed, believe: bool) -> Have | None:
        if RUN not in listed.files and (deleted := self._deleted(ask.uid)):
            return Have(deleted=deleted)
        note = self._noted(ask.uid, listed) if believe else {}
        entries = {
            path: Held(proof.size, proof) for path, proof in self._files(ask.uid, listed, note).items()
        }
        for path, segments in listed.streams.items():
            parts = chain(segments)
            length = parts[-1].segment.end if parts else 0
            proof = self._prove(ask.uid, path, parts, min(length, ask.streams.get(path, length)), note)
            entries[path] = Held(length, proof)
        if RUN in entries:
            if refused := self._refusal(ask.uid, entries[RUN].proof, note):
                return Have(refused=refused)
            is_whole = all(held.length == held.proof.size for held in entries.values())
            if is_whole and run_digest((p, held.proof) for p, held in entries.items()) == ask.digest:
                return None
        staged = {digest: length_of(chain(pieces)) for digest, pieces in listed.pieces.items()}
        return Have(entries, staged)

    def _deleted(self, uid: str) -> str:
        return str(self._bucket.document(f"{DELETED}/{uid}.json").get("time", ""))

    def _files(self, uid: str, listed: Listed, note: Mapping[str, Any]) -> dict[str, Proof]:
        """The proofs of files, as noted where the object is the one that was noted."""
        noted = note.get("files", {})
        found: dict[str, Proof] = {}
        unknown = []
        for path, one in listed.files.items():
            size, tag, digest = noted.get(path, (-1, "", ""))
            if (size, tag) == (one.size, one.tag):
                found[path] = Proof(size, (), digest)
            else:
                unknown.append(path)
        got = self._below.map(lambda path: self._bucket.tagged(at(uid, path)), unknown)
        for path, (data, tag) in zip(unknown, got, strict=True):
            if (tag or "").strip('"') != listed.files[path].tag:
                raise absent(path)  # as it was listed: streams that were may not have all that it tells of
            found[path] = prove_bytes(data)
        for path in listed.large.keys() - listed.files.keys():
            proof = self._large(uid, path)
            parts = chain(listed.pieces[proof.tail]) if proof else []
            if proof and length_of(parts) == proof.size:
                found[path] = proof if note else self._read_large(uid, proof, parts)
        return found

    def _large(self, uid: str, path: str) -> Proof | None:
        said = self._bucket.document(at(uid, path, LARGE))
        size, digest = said.get("size"), said.get("sha256")
        return Proof(size, (), digest) if isinstance(size, int) and isinstance(digest, str) else None

    def _read_large(self, uid: str, proof: Proof, parts: Sequence[Part]) -> Proof:
        """The proof of a file in pieces, all of which are read."""
        digest = hashlib.sha256()
        for data in self._bucket.bytes_of(_pieces(uid, proof), parts, 0, proof.size):
            digest.update(data)
        return Proof(proof.size, (), digest.hexdigest())

    def _noted(self, uid: str, listed: Listed) -> dict[str, Any]:
        """What was noted of a run, empty if nothing can be believed."""
        if listed.note is None:
            return {}
        name = f"{place_of(uid)}/{NOTE}"
        return self._proved.note(uid, listed.note.tag, lambda: self._bucket.document(name))

    def _prove(
        self, uid: str, path: str, parts: Sequence[Part], length: int, note: Mapping[str, Any]
    ) -> Proof:
        """The proof of the first bytes of a stream, from what was sent or noted as far as that reaches."""
        is_whole = length == length_of(parts)
        if note and is_whole and (proof := self._proved.stream(uid, path, parts)):
            return proof
        size, names, blocks, digest = note.get("streams", {}).get(path, (-1, "", (), ""))
        if (size, names) == (length, digest_of(parts)):
            return Proof(size, tuple(blocks), digest)
        read = self._bucket.bytes_of(at(uid, path), parts, 0, length)
        return self._proved.read(uid, path, parts, read, whole=is_whole)

    def _refusal(self, uid: str, proof: Proof, note: Mapping[str, Any]) -> str:
        """Why a run must be refused, empty if not; one that was noted was brought by this version."""
        if note.get("files", {}).get(RUN, ("", "", ""))[2] == proof.tail:
            return ""
        try:
            refuse_future(decode_document(self._bucket.get(at(uid, RUN))), f"{self.url}/{at(uid, RUN)}")
        except FormatError as error:
            return str(error)
        return ""

    def ids(self) -> dict[str, str]:
        """The id of each run that is there, by uid; one that must be refused is warned of."""
        uids = [*filter(is_uid, self._bucket.folders("runs"))]
        documents = self._each(lambda uid: self._bucket.document(at(uid, RUN)), uids)
        ids = {}
        for uid, document in zip(uids, documents, strict=True):
            try:
                refuse_future(document, f"{self.url}/{at(uid, RUN)}")
            except FormatError as error:
                warn(str(error))
                continue
            if document:
                ids[uid] = str(document.get("id", uid))
        return ids

    def place(self) -> Mirrored:
        """The runs that a URL means: behind that of the store may stand a project and an id."""
        from runfmt_sync.mirrored import Mirrored

        url = self.url
        names: list[str] = []
        while not (found := ObjectRemote(url)).store_id:
            url, _, name = url.rpartition("/")
            names.insert(0, unquote(name))
            if url.endswith("/"):
                raise CommError(f"{self.url}: no runs were brought there")
        return Mirrored(found, names)

    # Reading

    def read(self, uid: str, path: str, offset: int = 0) -> BinaryIO:
        """The bytes of a file of a run, from an offset. Raises ``FileNotFoundError``."""
        if not is_uid(uid) or not is_safe(path):
            raise absent(path)
        if not is_stream(path):
            with suppress(FileNotFoundError):
                file = io.BytesIO(self._bucket.get(at(uid, path)))
                file.seek(offset)
                return file
        listed = self._bucket.run(uid)
        if path in listed.streams:
            parts, place = chain(listed.streams[path]), at(uid, path)
        elif path in listed.large and (proof := self._large(uid, path)):
            parts, place = chain(listed.pieces[proof.tail]), _pieces(uid, proof)
        else:
            raise absent(path)
        return cast(BinaryIO, io.BufferedReader(Joined(self._bucket, place, parts, offset), MAX_EXTENT))

    def fetch(self, wanted: Sequence[Wanted]) -> Iterator[bytes | None]:
        """The bytes of small spans, many at once; None for those that are not there so."""
        for start in range(0, len(wanted), 4 * AT_ONCE):
            some = wanted[start : start + 4 * AT_ONCE]
            yield from self._each(lambda one: next(read_each(self, [one])), some)

    # Taking

    def apply(self, pieces: Iterable[Piece]) -> dict[str, Refused]:
        """Put extents, sorted by run and in the order of committing; gives the runs that were refused."""
        refused: dict[str, Refused] = {}
        batch: list[tuple[Extent, bytes]] = []
        size, runs = 0, 0
        for extent, body in pieces:
            data = b"".join(body)
            if batch and (size + len(data) > HELD or (runs == TOGETHER and extent.uid != batch[-1][0].uid)):
                self._apply(batch, refused)
                batch, size, runs = [], 0, 0
            runs += not batch or batch[-1][0].uid != extent.uid
            batch.append((extent, data))
            size += len(data)
        self._apply(batch, refused)
        return refused

    def _apply(self, batch: list[tuple[Extent, bytes]], refused: dict[str, Refused]) -> None:
        uids = [uid for uid in dict.fromkeys(extent.uid for extent, _ in batch) if uid not in refused]
        begun = dict(zip(uids, self._each(self._begin, uids), strict=True))
        for uid, place in begun.items():
            if isinstance(place, Refused):
                refused[uid] = place
        places = {uid: place for uid, place in begun.items() if isinstance(place, Placing)}
        for now in range(phase(RUN) + 1):
            due = defaultdict(list)
            for extent, data in batch:
                if phase(extent.path) == now and extent.uid in places and extent.uid not in refused:
                    due[extent.uid, extent.path].append((extent, data))
            for (uid, _), error in zip(
                due, self._each(lambda some: places[some[0][0].uid].take(some), due.values()), strict=True
            ):
                if error:
                    refused.setdefault(uid, error)
            fault_point("objects.phase")
        self._each(lambda place: place.finish(), places.values())

    def _begin(self, uid: str) -> Placing | Refused:
        if not is_uid(uid):
            return Refused(f"{uid!r} is no uid [R010]")
        listed = self._bucket.run(uid)
        if RUN not in listed.files and (time := self._deleted(uid)):
            return Refused(f"the run was deleted here at {time}", again=True)
        return Placing(self._bucket, self._proved, uid, listed, self._noted(uid, listed))

    def delete(self, uid: str, by: str) -> str:
        """Remove a run, and remember that. Raises ``FileNotFoundError`` if it never was here."""
        listed, deleted = self._bucket.run(uid), self._deleted(uid)
        if not (listed.files or listed.streams or deleted):
            raise FileNotFoundError(errno.ENOENT, "there is no such run", uid)
        if not deleted:
            time = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            self._bucket.put(f"{DELETED}/{uid}.json", encode_document({"time": time, "by": by}))
            fault_point("delete.tombstone")
        names = self._bucket.names(place_of(uid))
        self._bucket.remove(
            sorted(names, key=lambda name: not name.endswith(f"/{RUN}"))
        )  # what shows it first
        return self._deleted(uid)

    def _each(self, do: Callable[[Any], T], items: Iterable[Any]) -> list[T]:
        """Do something for each, many at once; what it does uses no more than the pool below."""
        return [*self._pool.map(do, [*items])]


def _pieces(uid: str, proof: Proof) -> str:
    """Where the pieces of a large file lie (O021)."""
    return f"{place_of(uid)}/{PIECES}/{proof.tail}"
