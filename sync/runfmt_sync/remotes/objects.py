"""An object store as a remote: ``s3://bucket/prefix``, ``gs://``, ``az://`` (``spec/object-store.md``).

Nothing is appended there, so a stream is segments, and a large file pieces, each named by what
it holds (``segments``). So whatever is repeated, raced or killed leaves at worst bytes twice,
which readers leave out. What was proved of a run is noted beside it with the ETags of its
objects: a note spares reading, and is never believed of an object that was replaced.
"""

from __future__ import annotations

import errno
import io
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from runfmt_sync.digests import Proof
from runfmt_sync.extents import MAX_EXTENT, Extent, Piece, Refused, Wanted
from runfmt_sync.faults import fault_point
from runfmt_sync.inventory import run_digest
from runfmt_sync.plan import Ask, Have
from runfmt_sync.remotes import read_each
from runfmt_sync.remotes.bucket import NOTE, Bucket, Joined, Listed, absent, at, pieces_at, place_of
from runfmt_sync.remotes.notes import Note, Proved
from runfmt_sync.remotes.placing import Placing, is_piece
from runfmt_sync.remotes.proving import Proving, keep_note, large
from runfmt_sync.remotes.segments import chain, length_of

if TYPE_CHECKING:
    from runfmt_sync.mirrored import Mirrored

__all__ = ["ObjectRemote"]

T = TypeVar("T")

AT_ONCE = 16
"""Requests under way."""
TOGETHER = 64
"""Runs, and ..."""
HELD = 32 * 2**20
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
        self._is_prepared = False

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
        self._is_prepared = True

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
        note, proved = (self._noted(ask.uid, listed), self._proved) if believe else (Note(), Proved())
        proving = Proving(self._bucket, proved, ask.uid, listed, note)
        entries = proving.prove(ask.streams, self._below.map)
        if RUN in entries and (refused := self._refusal(ask.uid, entries[RUN].proof, note)):
            return Have(refused=refused)
        if proving.found != note and self._is_prepared:
            keep_note(self._bucket, self._proved, ask.uid, proving.found)
        if RUN in entries:
            is_whole = all(held.length == held.proof.size for held in entries.values())
            if is_whole and run_digest((p, held.proof) for p, held in entries.items()) == ask.digest:
                return None
        staged = {digest: length_of(chain(pieces)) for digest, pieces in listed.pieces.items()}
        return Have(entries, staged)

    def _deleted(self, uid: str) -> str:
        return str(self._bucket.document(f"{DELETED}/{uid}.json").get("time", ""))

    def _noted(self, uid: str, listed: Listed) -> Note:
        """What was noted of a run, empty if nothing can be believed."""
        if listed.note is None:
            return Note()
        name = f"{place_of(uid)}/{NOTE}"
        return self._proved.note(uid, listed.note.tag, lambda: self._bucket.document(name))

    def _refusal(self, uid: str, proof: Proof, note: Note) -> str:
        """Why a run must be refused, empty if not; of one that is, nothing is noted."""
        if RUN in note.files and note.files[RUN].sha256 == proof.tail:
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
            parts, place = self._bucket.lying(uid, path, listed.streams[path]).parts, at(uid, path)
        elif path in listed.large and (said := large(self._bucket, uid, path)):
            parts, place = chain(listed.pieces[said.tail]), pieces_at(uid, said.tail)
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
                    shared = extent.whole.tail if extent.whole and is_piece(extent) else extent.path
                    due[extent.uid, shared].append((extent, data))
            taken = self._each(lambda some: places[some[0][0].uid].take(some, self._below.map), due.values())
            for (uid, _), error in zip(due, taken, strict=True):
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
