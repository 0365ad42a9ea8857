"""Applies the extents of runs to a store, by the one rule.

Stream: the offset is what is there → append; already there with the same bytes →
nothing to do; something missing before it → refused; other bytes → diverged.
File: put aside until it is whole and its digest right, then renamed into place.
So repeating, reordering, interrupting and racing are all harmless.

A new run is put together in ``.incoming/<uid>`` and appears by one rename when its
``run.json`` is in. In a run that readers can see, what has a phase is durable
before the next phase begins.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from runfmt.documents import read_document
from runfmt.editing import lay_edits_together
from runfmt.errors import FormatError, explain
from runfmt.layout import EDITS, RUN, is_safe, is_stream, is_uid, phase
from runfmt_sync.digests import Known, Proof, Proving, Signature, prove_file
from runfmt_sync.durability import Barrier, Disk
from runfmt_sync.extents import Extent, Piece, Refused
from runfmt_sync.faults import fault_point
from runfmt_sync.inventory import committed_size

if TYPE_CHECKING:
    from runfmt_sync.store import Store

__all__ = ["Batch", "Written", "append", "check_digest", "check_extent", "refusal"]

ONE_RUN = {
    errno.EACCES,
    errno.EFBIG,
    errno.EINVAL,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
}
"""What is refused of one file while others may be fine: FAT has no files of 4 GiB, and few signs in names."""
DEEPEST = 128
"""Folders in folders that are made: who walks through them must be able to."""


def refusal(error: OSError) -> Refused:
    """What a disk refuses of one run; raises again what it would refuse of all."""
    if error.errno not in ONE_RUN:
        raise error
    return Refused(f"the remote cannot take it: {explain(error)}")


class Batch:
    """Runs that are applied together; their locks are held until they have appeared.

    Locks are taken in one order, and given back before it would be broken, so that
    two batches never wait for each other.
    """

    def __init__(self, store: Store, disk: Disk, refused: dict[str, Refused]) -> None:
        self._store, self._disk, self._refused = store, disk, refused
        self._barrier = Barrier(disk)
        self._incoming: list[str] = []
        self._written: dict[str, dict[str, Known]] = {}
        self._locks = store.locks()

    def __enter__(self) -> Batch:
        return self

    def __exit__(self, *_: object) -> None:
        self._locks.release()

    def apply(self, uid: str, pieces: Iterable[Piece]) -> None:
        """Apply the extents of one run."""
        if not is_uid(uid):
            self._refused[uid] = Refused(f"{uid!r} is no uid [R010]")
            return
        if not self._locks.fits(uid):
            self.finish()
        self._locks.take(uid)
        with self._refusals(uid):
            if not self._store.seen(uid) and (time := self._store.deleted(uid)):
                raise Refused(f"the run was deleted here at {time}", again=True)
            application = _Application(self._store, uid, Barrier(self._disk), self._barrier)
            if application.apply(pieces):
                self._incoming.append(uid)
            self._written[uid] = application.written

    def finish(self) -> None:
        """Make all durable, let new runs appear, and let others at the runs."""
        self._barrier.wait()
        for uid in self._incoming:
            with self._refusals(uid):
                self._store.publish(uid, self._barrier)
        self._barrier.wait()
        self._store.written(self._written)
        self._locks.release()
        self._incoming, self._written = [], {}

    @contextmanager
    def _refusals(self, uid: str) -> Iterator[None]:
        try:
            yield
        except Refused as error:
            self._refused[uid] = error
        except FormatError as error:
            self._refused[uid] = Refused(str(error))
        except OSError as error:
            if error.errno == errno.EACCES and uid not in self._store.runs:
                raise  # where nothing new can be made, no run can
            self._refused[uid] = refusal(error)


class Written:
    """Proofs, so far, of what is written piece by piece, so that nothing is read to be proved again.

    By uid, and the path or the digest of the whole; each as it stood behind its last piece: whoever
    else writes there moves its time. May be forgotten, then the file is read.
    """

    MOST = 1024

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[Signature, Proving]] = {}

    def take(self, name: tuple[str, str], offset: int, file: BinaryIO) -> Proving | None:
        """What proves the bytes before an offset, all that are there; None if it is not known."""
        signature, proving = self._known.pop(name, (None, None))
        now = Signature.of(os.fstat(file.fileno()))
        if now.size == offset == 0:
            return Proving(is_stream=is_stream(name[1]))
        return proving if now == signature and now.size == offset else None

    def keep(self, name: tuple[str, str], proving: Proving, file: BinaryIO) -> None:
        """Remember it until the next piece comes."""
        while len(self._known) >= self.MOST:
            self._known.pop(next(iter(self._known)), None)
        self._known[name] = Signature.of(os.fstat(file.fileno())), proving


class _Application:
    """The extents of one run being applied, under its lock; a new run waits for the common barrier."""

    def __init__(self, store: Store, uid: str, own: Barrier, common: Barrier) -> None:
        self._uid, seen = uid, store.seen(uid)
        self.visible = seen is not None
        self.folder = seen or store.incoming(uid)
        self._parts = store.parts(uid)
        self._barrier = own if self.visible else common
        self._checked: set[str] = set()
        self._pieces = store.pieces
        self.written: dict[str, Known] = {}
        """Proofs of what is known from writing it, which need not be read for them."""

    def apply(self, pieces: Iterable[Piece]) -> bool:
        """Apply them in their order; gives whether the run is new and now whole."""
        reached = 0
        is_old = self.folder.exists()
        self._make("")
        for extent, body in pieces:
            check_extent(extent)
            if self.visible and phase(extent.path) != reached:
                self._barrier.wait()
            reached = phase(extent.path)
            self._make(extent.path.rpartition("/")[0])
            if extent.whole is None:
                self._append(extent, body)
            elif extent.path == EDITS:
                self._merge(extent, body)
            else:
                self._take(extent, extent.whole, body)
        if self.visible:
            self._barrier.wait()
            with suppress(OSError):  # pieces of other files may be there
                self._parts.rmdir()
        if self.visible or reached != phase(RUN):
            return False
        if is_old:  # a sync that was killed may have left bytes that are not durable yet
            for path in self.folder.rglob("*"):
                self._barrier.add(path)
        return True

    def _make(self, name: str) -> None:
        """Make a folder of the run, through no symbolic link (R006)."""
        if name in self._checked:
            return
        folder = self.folder / name
        if name:
            self._make(name.rpartition("/")[0])
            if folder.is_symlink():
                raise Refused(f"{folder} is a symbolic link: nothing is written through it [R006]")
        if not folder.is_dir():
            if not name:
                folder.parent.mkdir(exist_ok=True)  # never the root: a stick may have been taken away
            folder.mkdir(exist_ok=True)
            self._barrier.folders.add(folder.parent)
        self._checked.add(name)

    def _append(self, extent: Extent, body: Iterable[bytes]) -> None:
        path = self.folder / extent.path
        name = self._uid, extent.path
        self.written.pop(extent.path, None)
        with _open(path) as file:
            proving = self._pieces.take(name, extent.offset, file)
            append(file, extent, body if proving is None else _heard(body, proving))
            if proving is not None:
                self._pieces.keep(name, proving, file)
                self.written[extent.path] = Known(Signature.of(os.fstat(file.fileno())), proving.proof)
        self._barrier.add(path)

    def _take(self, extent: Extent, whole: Proof, body: Iterable[bytes]) -> None:
        """A file or a piece of one; in a run that is seen it appears at the barrier after it is whole."""
        path = self.folder / extent.path
        in_place = not self.visible and extent.length == whole.size
        part = path if in_place else self._part(whole.digest)
        data = b"".join(body)
        if part in self._barrier.renames:  # another file with the same bytes, that has to have its name first
            self._barrier.wait()
        if extent.offset and not part.exists() and _is(path, whole):
            return  # it became whole before
        if not self._write(part, extent, whole, data):
            return
        if self.visible:
            if extent.path == RUN and read_document(part).get("uid") != self._uid:
                part.unlink()
                raise Refused(f"{RUN} is of another run than {self._uid} [R016]")
            self._barrier.renames[part] = path
            return
        if not in_place:
            os.replace(part, path)
        self._barrier.add(path)

    def _write(self, part: Path, extent: Extent, whole: Proof, data: bytes) -> bool:
        """Write a file or a piece of one; gives whether the file is whole now."""
        name = self._uid, whole.digest
        with _open(part) as file:
            if extent.offset > (there := file.seek(0, os.SEEK_END)):
                raise Refused(f"{extent.path}: only {there:,} bytes of it are here", again=True)
            proving = self._pieces.take(name, extent.offset, file)
            if proving is None or extent.length == whole.size:  # else the proof of the whole will tell
                check_digest(extent, data)
            _write(file, extent.offset, data)
            fault_point("store.part")
            end = extent.offset + extent.length
            if proving is not None and extent.length < whole.size:
                proving.update(data)
            if end < whole.size:
                if proving is not None:
                    self._pieces.keep(name, proving, file)
                return False
            _cut(file, end)
            if extent.length < end and (proving.proof if proving else prove_file(file)) != whole:
                part.unlink()
                raise Refused(f"{extent.path}: its pieces do not make the file; it starts anew", again=True)
            self.written[extent.path] = Known(Signature.of(os.fstat(file.fileno())), whole)
        return True

    def _part(self, digest: str) -> Path:
        self._parts.parent.mkdir(exist_ok=True)
        self._parts.mkdir(exist_ok=True)
        return self._parts / digest

    def _merge(self, extent: Extent, body: Iterable[bytes]) -> None:
        """``edits.json`` is never replaced: both sides' edits are kept (R096)."""
        data = b"".join(body)
        check_digest(extent, data)
        try:
            lay_edits_together(self.folder, data)
        except (FormatError, TimeoutError) as error:
            raise Refused(str(error)) from None
        fault_point("store.merged")


def append(file: BinaryIO, extent: Extent, body: Iterable[bytes]) -> None:
    """Append an extent to a stream that is open for reading and writing, unbuffered.

    Of each chunk only the last has the LF that commits it, so the last is held
    back until the digest is right. Raises ``Refused``; the stream is then as it was.
    """
    there = committed_size(file)
    if extent.offset > there:
        raise Refused(f"{extent.path}: only {there:,} bytes are here", again=True)
    _cut(file, there)  # an unterminated tail; never a line
    digest, offset, held = hashlib.sha256(), extent.offset, b""
    for chunk in body:
        digest.update(chunk)
        known = min(max(there - offset, 0), len(chunk))
        file.seek(offset)
        if known and file.read(known) != chunk[:known]:
            raise Refused(f"{extent.path} has diverged: other bytes are here", again=True)
        _write(file, max(offset - len(held), there), held)
        held, offset = chunk[known:], offset + len(chunk)
    if offset != extent.offset + extent.length or digest.hexdigest() != extent.sha256 or not _ends_line(held):
        file.truncate(there)
        raise Refused(f"{extent.path}: an extent arrived with another digest than was announced", again=True)
    fault_point("store.append")
    _write(file, offset - len(held), held)
    fault_point("store.appended")


def _heard(body: Iterable[bytes], proving: Proving) -> Iterator[bytes]:
    for chunk in body:
        proving.update(chunk)
        yield chunk


def _cut(file: BinaryIO, size: int) -> None:
    """Let a file end there. ext4 writes a file that was cut to nothing when it is closed: not in vain."""
    if os.fstat(file.fileno()).st_size > size:
        file.truncate(size)


def _ends_line(held: bytes) -> bool:
    return not held or held.endswith(b"\n")


def _is(path: Path, whole: Proof) -> bool:
    """Whether a file is there with these contents."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size != whole.size:
        return False
    with open(path, "rb") as file:
        return prove_file(file) == whole


def _open(path: Path) -> BinaryIO:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    return open(descriptor, "r+b", buffering=0)


def _write(file: BinaryIO, offset: int, data: bytes) -> None:
    file.seek(offset)
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def check_extent(extent: Extent) -> None:
    """Raise ``Refused`` for an extent that may be nowhere."""
    if not is_safe(extent.path):
        raise Refused(f"{extent.path!r} may not be written [R007]")
    if extent.path.count("/") > DEEPEST:
        raise Refused(f"{extent.path[:80]}...: folders in folders in folders, more than {DEEPEST}")
    if (extent.whole is None) != is_stream(extent.path):
        raise Refused(f"{extent.path}: a stream goes in lines, a file whole [R003, R004]")


def check_digest(extent: Extent, data: bytes) -> None:
    """Raise ``Refused`` for bytes that are not those of an extent."""
    if hashlib.sha256(data).hexdigest() != extent.sha256:
        raise Refused(f"{extent.path}: an extent arrived with another digest than was announced", again=True)
