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
import os
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast
from urllib.parse import quote, unquote

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import from_url

from runfmt.editing import laid_together
from runfmt.errors import CommError, FormatError, UsageError, warn
from runfmt.layout import EDITS, RUN, id_problem, is_safe, is_stream, is_uid, phase
from runfmt.reading import refuse_future
from runfmt.rows import decode_document, encode_document
from runfmt_sync.applying import check_digest, check_extent
from runfmt_sync.digests import BLOCK, Proof, prove_bytes
from runfmt_sync.extents import MAX_EXTENT, Extent, Piece, Refused, Wanted
from runfmt_sync.faults import fault_point
from runfmt_sync.plan import Ask, Have, Held
from runfmt_sync.remotes import read_each
from runfmt_sync.remotes.segments import Part, Segment, chain, digest_of, name_of, parse, to_merge

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
COVERED_FOR = timedelta(hours=1)
"""How long segments stay that a larger one stands for: a reader may have listed them."""
TRIES = 5
STORE, DELETED, RUNS = ".runfmt/store.json", ".runfmt/deleted", "runs"
NOTE, LARGE, PIECES = ".note.json", ".large", ".pieces"
"""Below a run; no path of a run begins with a dot (R005)."""


@dataclass
class _Object:
    size: int
    tag: str
    time: datetime


@dataclass
class _Listed:
    """What lies at a run's place: files by path, segments of streams by path, pieces by digest."""

    files: dict[str, _Object] = field(default_factory=dict)
    large: dict[str, _Object] = field(default_factory=dict)
    streams: dict[str, dict[Segment, _Object]] = field(default_factory=lambda: defaultdict(dict))
    pieces: dict[str, dict[Segment, _Object]] = field(default_factory=lambda: defaultdict(dict))
    note: _Object | None = None

    def add(self, name: str, found: _Object) -> None:
        """Take an object by its name below the run's."""
        head, _, rest = name.partition("/")
        path, _, last = name.rpartition("/")
        if name == NOTE:
            self.note = found
        elif head == LARGE:
            self.large[unquote(rest)] = found
        elif head == PIECES:
            digest, _, piece = rest.partition("/")
            if segment := parse(piece):
                self.pieces[digest][segment] = found
        elif is_stream(unquote(path)) and (segment := parse(last)):
            self.streams[unquote(path)][segment] = found
        elif is_safe(unquote(name)):
            self.files[unquote(name)] = found


@dataclass
class _Tail:
    """A stream as far as it was proved: whole blocks, and the digest of what is behind them."""

    length: int = 0
    blocks: tuple[str, ...] = ()
    digest: Any = field(default_factory=hashlib.sha256)
    names: str = ""
    """Of the segments that it was made of."""

    def add(self, data: bytes) -> None:
        """Prove what follows."""
        view = memoryview(data)
        while view:
            room = BLOCK - self.length % BLOCK
            self.digest.update(view[:room])
            self.length += len(view[:room])
            view = view[room:]
            if self.length % BLOCK == 0:
                self.blocks, self.digest = (*self.blocks, self.digest.hexdigest()), hashlib.sha256()

    @property
    def proof(self) -> Proof:
        """The proof of all of it."""
        return Proof(self.length, self.blocks, self.digest.hexdigest())


class ObjectRemote:
    """A :class:`runfmt_sync.remotes.Mirror` in an object store. May be called from several threads."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._store = _open(self.url)
        self._pool, self._below = ThreadPoolExecutor(AT_ONCE), ThreadPoolExecutor(AT_ONCE)
        self._tails: dict[tuple[str, str], _Tail] = {}
        self._notes: dict[str, tuple[str, dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._id = str(self._document(STORE).get("id", ""))

    @property
    def store_id(self) -> str:
        """The id of the store, empty before runs were brought to it."""
        return self._id

    def prepare(self) -> None:
        """Give the place an id, if it has none."""
        if not self._id:
            with suppress(AlreadyExistsError):  # some stores replace it: what is there then counts for all
                self.put(STORE, encode_document({"id": str(uuid.uuid4())}), mode="create")
            self._id = str(self._document(STORE)["id"])

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
                return self._look_at(ask, self._list(ask.uid), believe)
            except FileNotFoundError:
                continue  # it was merged or replaced meanwhile
        return Have(refused="it changes while it is read: sync again")

    def _look_at(self, ask: Ask, listed: _Listed, believe: bool) -> Have | None:
        if RUN not in listed.files and (deleted := self._deleted(ask.uid)):
            return Have(deleted=deleted)
        note = self._noted(ask.uid, listed.note) if believe else {}
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
            from runfmt_sync.inventory import run_digest

            is_whole = all(held.length == held.proof.size for held in entries.values())
            if is_whole and run_digest((p, held.proof) for p, held in entries.items()) == ask.digest:
                return None
        staged = {digest: _length(chain(pieces)) for digest, pieces in listed.pieces.items()}
        return Have(entries, staged)

    def _list(self, uid: str) -> _Listed:
        listed, head = _Listed(), f"{RUNS}/{uid}/"
        with self._faults():
            for page in obstore.list(self._store, f"{RUNS}/{uid}", chunk_size=1000):
                for found in page:
                    tag = str(found["e_tag"] or "").strip('"')
                    listed.add(
                        found["path"].removeprefix(head), _Object(found["size"], tag, found["last_modified"])
                    )
        return listed

    def _deleted(self, uid: str) -> str:
        return str(self._document(f"{DELETED}/{uid}.json").get("time", ""))

    def _files(self, uid: str, listed: _Listed, note: Mapping[str, Any]) -> dict[str, Proof]:
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
        got = self._below.map(lambda path: self.tagged(_at(uid, path)), unknown)
        for path, (data, tag) in zip(unknown, got, strict=True):
            if (tag or "").strip('"') != listed.files[
                path
            ].tag:  # what is listed may not have all it refers to
                raise _absent(path)
            found[path] = prove_bytes(data)
        for path in listed.large.keys() - listed.files.keys():
            if (proof := self._large(uid, path)) and _length(chain(listed.pieces[proof.tail])) == proof.size:
                found[path] = proof
        return found

    def _large(self, uid: str, path: str) -> Proof | None:
        said = self._document(_at(uid, path, LARGE))
        size, digest = said.get("size"), said.get("sha256")
        return Proof(size, (), digest) if isinstance(size, int) and isinstance(digest, str) else None

    def _prove(
        self, uid: str, path: str, parts: Sequence[Part], length: int, note: Mapping[str, Any]
    ) -> Proof:
        """The proof of the first bytes of a stream, from what was sent or noted as far as that reaches."""
        with self._lock:
            tail = self._tails.get((uid, path))
        names = digest_of(parts)
        if note and tail and (tail.length, tail.names) == (length, names):
            return tail.proof
        size, noted, blocks, digest = note.get("streams", {}).get(path, (0, "", (), ""))
        if (size, noted) == (length, names):
            return Proof(size, tuple(blocks), digest)
        made = _Tail()
        for data in self.bytes_of(uid, path, parts, 0, length):
            made.add(data)
        if length == _length(parts):
            made.names = names
            with self._lock:
                self._tails[uid, path] = made
        return made.proof

    def _refusal(self, uid: str, proof: Proof, note: Mapping[str, Any]) -> str:
        """Why a run must be refused, empty if not; one that was noted was brought by this version."""
        if note.get("files", {}).get(RUN, ("", "", ""))[2] == proof.tail:
            return ""
        try:
            refuse_future(decode_document(self._get(_at(uid, RUN))), f"{self.url}/{_at(uid, RUN)}")
        except FormatError as error:
            return str(error)
        return ""

    def ids(self) -> dict[str, str]:
        """The id of each run that is there, by uid; one that must be refused is warned of."""
        with self._faults():
            found = obstore.list_with_delimiter(self._store, RUNS)["common_prefixes"]
        uids = [uid for prefix in found if is_uid(uid := prefix.rstrip("/").rpartition("/")[2])]
        documents = self._each(lambda uid: self._document(_at(uid, RUN)), uids)
        ids = {}
        for uid, document in zip(uids, documents, strict=True):
            try:
                refuse_future(document, f"{self.url}/{_at(uid, RUN)}")
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
            raise _absent(path)
        if not is_stream(path):
            with suppress(FileNotFoundError):
                file = io.BytesIO(self._get(_at(uid, path)))
                file.seek(offset)
                return file
        listed = self._list(uid)
        if path in listed.streams:
            parts, place = chain(listed.streams[path]), _at(uid, path)
        elif path in listed.large and (proof := self._large(uid, path)):
            parts, place = chain(listed.pieces[proof.tail]), f"{RUNS}/{uid}/{PIECES}/{proof.tail}"
        else:
            raise _absent(path)
        return cast(BinaryIO, io.BufferedReader(_Joined(self._get, place, parts, offset), MAX_EXTENT))

    def fetch(self, wanted: Sequence[Wanted]) -> Iterator[bytes | None]:
        """The bytes of small spans, many at once; None for those that are not there so."""
        for start in range(0, len(wanted), 4 * AT_ONCE):
            some = wanted[start : start + 4 * AT_ONCE]
            yield from self._each(lambda one: next(read_each(self, [one])), some)

    def bytes_of(self, uid: str, path: str, parts: Sequence[Part], start: int, end: int) -> Iterator[bytes]:
        """The bytes of a stream from one offset to another, segment by segment."""
        for segment, skip in parts:
            first, last = max(segment.start + skip, start), min(segment.end, end)
            if first < last:
                data = self._get(f"{_at(uid, path)}/{name_of(segment)}")
                yield data[first - segment.start : last - segment.start]

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
        places = {uid: place for uid, place in begun.items() if isinstance(place, _Place)}
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

    def _begin(self, uid: str) -> _Place | Refused:
        if not is_uid(uid):
            return Refused(f"{uid!r} is no uid [R010]")
        listed = self._list(uid)
        if RUN not in listed.files and (time := self._deleted(uid)):
            return Refused(f"the run was deleted here at {time}", again=True)
        return _Place(self, uid, listed, self._noted(uid, listed.note))

    def delete(self, uid: str, by: str) -> str:
        """Remove a run, and remember that. Raises ``FileNotFoundError`` if it never was here."""
        listed, deleted = self._list(uid), self._deleted(uid)
        if not (listed.files or listed.streams or deleted):
            raise FileNotFoundError(errno.ENOENT, "there is no such run", uid)
        if not deleted:
            time = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            self.put(f"{DELETED}/{uid}.json", encode_document({"time": time, "by": by}))
            fault_point("delete.tombstone")
        with self._faults():
            names = [one["path"] for page in obstore.list(self._store, f"{RUNS}/{uid}") for one in page]
            names.sort(key=lambda name: not name.endswith(f"/{RUN}"))  # what shows it goes first
            for start in range(0, len(names), 1000):
                obstore.delete(self._store, names[start : start + 1000])
        return self._deleted(uid)

    # Requests

    def _noted(self, uid: str, note: _Object | None) -> dict[str, Any]:
        """What was noted of a run, empty if nothing can be believed."""
        if note is None:
            return {}
        with self._lock:
            tag, known = self._notes.get(uid, ("", {}))
        if tag == note.tag:
            return known
        said = self._document(f"{RUNS}/{uid}/{NOTE}")
        known = said if said.get("runfmt") == 1 else {}
        with self._lock:
            self._notes[uid] = (note.tag, known)
        return known

    def _document(self, name: str) -> dict[str, Any]:
        """A small JSON object, empty if there is none that can be read."""
        with suppress(FileNotFoundError, FormatError):
            return decode_document(self._get(name))
        return {}

    def _get(self, name: str) -> bytes:
        with self._faults():
            return bytes(obstore.get(self._store, name).bytes())

    def put(self, name: str, data: bytes, mode: Any = "overwrite") -> str:
        """Put an object; gives its ETag."""
        try:
            with self._faults():
                put = obstore.put(self._store, name, data, mode=mode, use_multipart=False)
        except FileNotFoundError:
            raise CommError(f"there is no bucket for {self.url}: make it, then try again") from None
        return str(put["e_tag"] or "").strip('"')

    def tagged(self, name: str) -> tuple[bytes, str | None]:
        """The bytes of an object with its ETag; nothing if there is none."""
        try:
            with self._faults():
                got = obstore.get(self._store, name)
                return bytes(got.bytes()), got.meta["e_tag"]
        except FileNotFoundError:
            return b"", None

    def remove(self, names: Sequence[str]) -> None:
        """Remove objects; those that are gone are no matter."""
        with self._faults(), suppress(FileNotFoundError):
            for start in range(0, len(names), 1000):
                obstore.delete(self._store, [*names[start : start + 1000]])

    def note(self, uid: str, known: dict[str, Any]) -> None:
        """Note what was proved of a run."""
        tag = self.put(f"{RUNS}/{uid}/{NOTE}", encode_document(known))
        with self._lock:
            self._notes[uid] = (tag, known)

    def grew(self, uid: str, path: str, there: int, data: bytes, parts: Sequence[Part]) -> None:
        """A stream that was proved up to ``there`` has more behind it, or other segments."""
        with self._lock:
            tail = self._tails.get((uid, path)) or (_Tail() if not there else None)
            if tail is not None and tail.length == there:
                tail.add(data)
                tail.names = digest_of(parts)
                self._tails[uid, path] = tail
            else:
                self._tails.pop((uid, path), None)

    def proof_of(self, uid: str, path: str) -> Proof | None:
        """The proof of a stream as far as it was sent or read, None if that is not known."""
        with self._lock:
            tail = self._tails.get((uid, path))
            return tail.proof if tail else None

    def _each(self, do: Callable[[Any], T], items: Iterable[Any]) -> list[T]:
        """Do something for each, many at once; what it does uses no more than the pool below."""
        return [*self._pool.map(do, [*items])]

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """What the store refuses is the remote's fault."""
        try:
            yield
        except (FileNotFoundError, AlreadyExistsError, PreconditionError):
            raise
        except (BaseError, OSError) as error:
            first = str(error).partition("\n")[0]
            raise CommError(f"the remote {self.url} gave up: {first}; mend it, then try again") from error


class _Place:
    """A run at its place while extents are put there; several paths of a phase at once."""

    def __init__(self, remote: ObjectRemote, uid: str, listed: _Listed, note: Mapping[str, Any]) -> None:
        self._remote, self._uid, self._listed = remote, uid, listed
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
        there = _length(parts)
        if extent.offset > there:
            raise Refused(f"{path}: only {there:,} bytes are here", again=True)
        if data and not data.endswith(b"\n"):
            raise Refused(f"{path}: an extent that does not end a line", again=True)
        known = min(there - extent.offset, len(data))
        if known and data[:known] != b"".join(
            self._remote.bytes_of(self._uid, path, parts, extent.offset, extent.offset + known)
        ):
            raise Refused(f"{path} has diverged: other bytes are here", again=True)
        if known < len(data) or not segments:
            segment = Segment(extent.offset, extent.offset + len(data), extent.sha256[:16])
            self._put_segment(path, segment, data)
            self._remote.grew(self._uid, path, there, data[known:], chain(segments))

    def _put_segment(self, path: str, segment: Segment, data: bytes) -> None:
        tag = self._remote.put(f"{_at(self._uid, path)}/{name_of(segment)}", data)
        self._listed.streams[path][segment] = _Object(len(data), tag, datetime.now(timezone.utc))

    def _put_file(self, path: str, data: bytes) -> None:
        tag = self._remote.put(_at(self._uid, path), data)
        self._files[path] = [len(data), tag, hashlib.sha256(data).hexdigest()]
        if path in self._listed.large:
            self._remote.remove([_at(self._uid, path, LARGE)])

    def _put_piece(self, extent: Extent, whole: Proof, data: bytes) -> None:
        pieces = self._listed.pieces[whole.tail]
        there = _length(chain(pieces))
        if extent.offset > there:
            raise Refused(f"{extent.path}: only {there:,} bytes are here", again=True)
        if extent.offset + len(data) > there:
            segment = Segment(extent.offset, extent.offset + len(data), extent.sha256[:16])
            place = f"{RUNS}/{self._uid}/{PIECES}/{whole.tail}/{name_of(segment)}"
            pieces[segment] = _Object(len(data), self._remote.put(place, data), datetime.now(timezone.utc))
        if extent.offset + len(data) == whole.size:
            said = encode_document({"size": whole.size, "sha256": whole.tail})
            self._remote.put(_at(self._uid, extent.path, LARGE), said)
            if extent.path in self._listed.files:
                self._remote.remove([_at(self._uid, extent.path)])
            self._files.pop(extent.path, None)

    def _merge(self, data: bytes) -> None:
        """Edits are never replaced: both sides' are kept (R096), also where no precondition is heeded."""
        for _ in range(TRIES):
            there, tag = self._remote.tagged(_at(self._uid, EDITS))
            merged = laid_together(there, data)
            if merged == there:
                return
            with suppress(AlreadyExistsError, PreconditionError):
                mode = {"e_tag": tag} if there else "create"
                now = self._remote.put(_at(self._uid, EDITS), merged, mode)
                fault_point("objects.merged")
                self._files[EDITS] = [len(merged), now, hashlib.sha256(merged).hexdigest()]
        there, _ = self._remote.tagged(_at(self._uid, EDITS))
        if laid_together(there, data) != there:
            raise Refused(f"{EDITS} changes again and again: sync again", again=True)

    def finish(self) -> None:
        """Merge small segments, and note what was proved."""
        for path in filter(is_stream, self._touched):
            self._compact(path)
            if proof := self._remote.proof_of(self._uid, path):
                names = digest_of(chain(self._listed.streams[path]))
                self._streams[path] = [proof.size, names, proof.blocks, proof.tail]
        if self._touched:
            fault_point("objects.noting")
            self._remote.note(self._uid, {"runfmt": 1, "files": self._files, "streams": self._streams})

    def _compact(self, path: str) -> None:
        segments = self._listed.streams[path]
        if merging := to_merge(chain(segments), MAX_EXTENT):
            parts = [Part(segment, 0) for segment in merging]
            data = b"".join(self._remote.bytes_of(self._uid, path, parts, merging[0].start, merging[-1].end))
            digest = hashlib.sha256(data).hexdigest()[:16]
            self._put_segment(path, Segment(merging[0].start, merging[-1].end, digest), data)
            fault_point("objects.compacted")
            self._remote.grew(self._uid, path, merging[-1].end, b"", chain(segments))
            used = {part.segment for part in chain(segments)}
            before = datetime.now(timezone.utc) - COVERED_FOR
            old = [one for one, found in segments.items() if one not in used and found.time < before]
            self._remote.remove([f"{_at(self._uid, path)}/{name_of(one)}" for one in old])


class _Joined(io.RawIOBase):
    """Segments behind each other, each fetched when it is reached."""

    def __init__(self, get: Callable[[str], bytes], place: str, parts: Sequence[Part], offset: int) -> None:
        self._get, self._place, self._parts, self._at = get, place, parts, offset
        self._held: tuple[Segment, bytes] | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: _length(self._parts)}[whence]
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        for segment, _ in self._parts:
            if segment.start <= self._at < segment.end:
                if self._held is None or self._held[0] != segment:
                    self._held = (segment, self._get(f"{self._place}/{name_of(segment)}"))
                data = self._held[1][self._at - segment.start :][: len(buffer)]
                buffer[: len(data)] = data
                self._at += len(data)
                return len(data)
        return 0


def _open(url: str) -> Any:
    retries = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}
    allowed = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
    scheme = url.partition(":")[0]
    config = {"aws_checksum_algorithm": "SHA256"} if scheme == "s3" else None
    try:
        return from_url(
            url,
            config=cast(Any, config),
            client_options={"allow_http": allowed},
            retry_config=cast(Any, retries),
        )
    except BaseError as error:
        raise UsageError(f"{url} cannot be opened: {str(error).partition(chr(10))[0]}") from None


def _at(uid: str, path: str, below: str = "") -> str:
    """The name of the object that a path of a run is; signs that a store may treat its own way are quoted."""
    name = "/".join(quote(part, safe=SAFE) for part in path.split("/"))
    return f"{RUNS}/{uid}/{below}/{name}" if below else f"{RUNS}/{uid}/{name}"


SAFE = "-_.=+@,"


def _length(parts: Sequence[Part]) -> int:
    return parts[-1].segment.end if parts else 0


def _absent(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, "the remote has no such file", path)


def _check_run(uid: str, data: bytes) -> None:
    """A ``run.json`` shows the run, so it must be of it, and have an id."""
    document = decode_document(data)
    if document.get("uid") != uid:
        raise Refused(f"{RUN} is of another run than {uid} [R016]")
    run_id = document.get("id")
    if not isinstance(run_id, str) or (wrong := id_problem(run_id)):
        raise Refused(f"id {run_id!r} {wrong if isinstance(run_id, str) else 'is no text'} [R013]")
